"""Every format, read from a file that its own library wrote, gives the same tracks."""

import warnings
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from tests.exchange.small_movie import LINEAGE, LINKS, as_spots, small_cells, small_masks
from tests.exchange.written import (
    PIXEL,
    mastodon_csv,
    trackastra_graph,
    trackmate_csv,
    trackmate_xml,
    ultrack_table,
)
from torchtrack_uq.errors import InputError
from torchtrack_uq.exchange import TrackTable, read_tracks
from torchtrack_uq.exchange.match_cells import match_cells
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.results.ctc import write_ctc
from torchtrack_uq.results.tracklets import tracklets
from torchtrack_uq.uncertain_tracker import UncertainTracker

FILES = Path(__file__).parent / "files"


def links_of(tracks: TrackTable) -> set[tuple[int, ...]]:
    """Frame and label of both ends of each link, by the masks."""
    cells = small_cells()
    cell = match_cells(tracks, cells, Movie.open(None, small_masks())).cell
    assert (cell >= 0).all()
    ends = (
        np.stack([cells.frame[cell[end]], cells.label[cell[end]]], axis=1)
        for end in (tracks.mother, tracks.daughter)
    )
    return {tuple(int(v) for v in row) for row in np.concatenate(list(ends), axis=1)}


def laptrack_tables() -> tuple[pd.DataFrame, ...]:
    laptrack = pytest.importorskip("laptrack")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # laptrack's own, of versions to come
        tracker = laptrack.LapTrack(cutoff=8**2, splitting_cutoff=10**2)
        tables: tuple[pd.DataFrame, ...] = tracker.predict_dataframe(as_spots(), ["y", "x"], "frame")
    return tables


def test_laptrack_frames_as_it_returns_them() -> None:
    tracks = read_tracks(laptrack_tables())
    assert tracks.source == "LapTrack"
    assert links_of(tracks) == LINKS


def test_laptrack_frames_as_they_are_saved(tmp_path: Path) -> None:
    files = []
    for name, table in zip(("track", "split", "merge"), laptrack_tables(), strict=True):
        files.append(tmp_path / f"{name}_df.csv")
        table.to_csv(files[-1])
    assert links_of(read_tracks(files)) == LINKS


def test_laptrack_without_its_splits_is_refused() -> None:
    with pytest.raises(InputError, match="4 tracks belong to 2 trees"):
        read_tracks(laptrack_tables()[0])


def test_trackpy(tmp_path: Path) -> None:
    trackpy = pytest.importorskip("trackpy")
    trackpy.quiet()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas' own about trackpy
        linked = trackpy.link(as_spots()[["frame", "y", "x"]], search_range=6, memory=1)
    undivided = {link for link in LINKS if link[1] == link[3]}
    assert undivided <= links_of(read_tracks(linked))
    linked.to_csv(tmp_path / "linked.csv")
    assert links_of(read_tracks(tmp_path / "linked.csv")) == links_of(read_tracks(linked))


@pytest.mark.parametrize("name", ["btrack.h5", "btrack.csv", "btrack_napari.npz"])
def test_btrack_dummies_are_no_cells(name: str) -> None:
    if name.endswith("h5"):
        pytest.importorskip("h5py")
    source: object = FILES / name
    if name.endswith("npz"):
        held = np.load(FILES / name)
        graph = {int(child): [int(parent)] for child, parent in held["graph"]}
        source = (held["data"], {"dummy": held["dummy"]}, graph)
    tracks = read_tracks(source)
    assert tracks.source == "btrack"
    assert tracks.notes[0].startswith("1 dummies")
    gone = {(2, 1, 3, 1), (3, 1, 4, 1)}
    assert links_of(tracks) == (LINKS - gone) | {(2, 1, 4, 1)}


def test_trackmate_xml_is_in_pixels_and_without_what_is_hidden(tmp_path: Path) -> None:
    tracks = read_tracks(trackmate_xml(tmp_path / "tracks.xml"))
    assert (tracks.unit, len(tracks)) == ("pixel", 15)
    assert tracks.notes == ("3 spots that TrackMate hides were left out",)
    assert links_of(tracks) == LINKS


def test_another_pixel_size_than_the_file_states(tmp_path: Path) -> None:
    file = trackmate_xml(tmp_path / "tracks.xml")
    stated, given = read_tracks(file), read_tracks(file, pixel_size=2 * PIXEL)
    np.testing.assert_allclose(given.coords, stated.coords / 2)


def test_trackmate_csv(tmp_path: Path) -> None:
    files = trackmate_csv(tmp_path)
    tracks = read_tracks(files, pixel_size=PIXEL)
    assert links_of(tracks) == LINKS
    assert read_tracks(files).unit == "micron"
    raw = [
        pd.read_csv(file, low_memory=False) for file in files
    ]  # as a notebook reads them, header rows and all
    assert links_of(read_tracks(raw, pixel_size=PIXEL)) == LINKS


def test_either_of_trackmates_tables_alone_is_refused(tmp_path: Path) -> None:
    spots, edges = trackmate_csv(tmp_path)
    with pytest.raises(InputError, match="table of edges"):
        read_tracks(spots)
    with pytest.raises(InputError, match="table of spots"):
        read_tracks(edges)


def test_mastodon_csv(tmp_path: Path) -> None:
    files = mastodon_csv(tmp_path)
    assert links_of(read_tracks(files, pixel_size=PIXEL)) == LINKS
    assert links_of(read_tracks(tmp_path, pixel_size=PIXEL)) == LINKS
    assert read_tracks(files).unit == "micrometer"


def test_trackastra_graph_and_edge_table(tmp_path: Path) -> None:
    tracking = pytest.importorskip("trackastra.tracking")
    graph = trackastra_graph()
    assert links_of(read_tracks(graph)) == LINKS
    tracking.graph_to_edge_table(graph, outpath=tmp_path / "edges.csv")
    edges = read_tracks(tmp_path / "edges.csv")
    assert links_of(edges) == LINKS
    assert edges.coords is None


def test_trackastra_ctc_and_geff(tmp_path: Path) -> None:
    tracking = pytest.importorskip("trackastra.tracking")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trackastra's and geff's own
        tracking.graph_to_ctc(trackastra_graph(), small_masks(), outdir=tmp_path / "ctc")
        tracking.write_to_geff(trackastra_graph(), small_masks(), tmp_path / "result.zarr")
    assert links_of(read_tracks(tmp_path / "ctc", progress=False)) == LINKS
    geff = read_tracks(tmp_path / "result.zarr")
    assert geff.source == "geff"
    assert geff.label is not None
    assert links_of(geff) == LINKS


def test_our_own_results(tmp_path: Path) -> None:
    """The folder of `track` is a Cell Tracking Challenge result and holds a geff graph: both read the same."""
    result = UncertainTracker("distance").track(None, small_masks(), progress=False)
    result.save(tmp_path / "out", progress=False)
    expected = {(int(a), int(b)) for a, b in result.edges[["mother", "daughter"]].to_numpy()}
    geff = read_tracks(tmp_path / "out" / "tracks.geff")
    assert set(zip(geff.id[geff.mother].tolist(), geff.id[geff.daughter].tolist(), strict=True)) == expected
    np.testing.assert_array_equal(geff.label, result.detections.label)
    assert (
        links_of(read_tracks(tmp_path / "out", progress=False))
        == links_of(geff)
        == links_of(read_tracks(result.graph))
    )


def test_ctc_labels_count_in_its_own_masks(tmp_path: Path) -> None:
    """The masks that were tracked had other labels: there, cells are told by position."""
    movie, cells = Movie.open(None, small_masks()), small_cells()
    mother = np.full(len(cells), -1, np.int64)
    rows = {(int(f), int(v)): i for i, (f, v) in enumerate(zip(cells.frame, cells.label, strict=True))}
    for a, b, c, d in LINKS:
        mother[rows[c, d]] = rows[a, b]
    write_ctc(tmp_path, movie, cells, tracklets(cells.frame, mother), progress=False)
    tracks = read_tracks(tmp_path, progress=False)
    assert tracks.masks == tmp_path
    renumbered = Movie.open(None, np.where(small_masks() > 0, small_masks() + 10, 0).astype(np.uint16))
    match = match_cells(tracks, Detections.from_movie(renumbered, progress=False), renumbered)
    assert match.how == "positions"
    assert (match.cell >= 0).all()


def test_ultrack_table_and_its_csv(tmp_path: Path) -> None:
    table = ultrack_table()
    assert links_of(read_tracks(table)) == LINKS
    table.to_csv(tmp_path / "tracks.csv.gz", index=False)
    assert links_of(read_tracks(tmp_path / "tracks.csv.gz")) == LINKS


def test_frames_that_count_from_one() -> None:
    table = ultrack_table().assign(t=lambda rows: rows["t"] + 1)
    with pytest.raises(InputError, match="first_frame=1"):
        links_of(read_tracks(table))
    assert links_of(read_tracks(table, first_frame=1)) == LINKS
    with pytest.raises(InputError, match="frame -1"):
        read_tracks(ultrack_table(), first_frame=1)


def test_a_document_type_is_refused(tmp_path: Path) -> None:
    """Entities that name entities expand without end; the file is not even parsed to its root."""
    bomb = '<!DOCTYPE TrackMate [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    with pytest.raises(InputError, match="document type"):
        read_tracks(trackmate_xml(tmp_path / "bomb.xml", doctype=bomb))


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    file = trackmate_xml(tmp_path / "tracks.xml")
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(InputError, match="no complete XML"):
        read_tracks(file)


def test_what_is_no_tracking_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty.csv").write_text("")
    for source, words in (
        (tmp_path / "noise.bin", "no tracking"),
        (tmp_path / "table.csv", "columns a, b"),
        (tmp_path / "empty.csv", "cannot be read"),
        (tmp_path / "nothing.xml", "does not exist"),
        (tmp_path, "no tracking that is known"),
        (17, "a int is no tracking"),
        (nx.Graph(), "undirected"),
        (pd.DataFrame({"frame": [0], "particle": [0]}), "no column holds positions"),
    ):
        with pytest.raises(InputError, match=words):
            read_tracks(source)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mother": [0], "daughter": [0]}, "stays in frame 0"),
        ({"mother": [2], "daughter": [0]}, "leads back in time"),
        ({"mother": [0, 0], "daughter": [2, 2]}, "stands twice"),
        ({"mother": [0], "daughter": [9]}, "rows 0 to 9 of 3 spots"),
        ({"frame": [0, -1, 1]}, "frame -1"),
        ({"id": [4, 4, 5]}, "spot 4 stands twice"),
        ({"label": [1, 1, 1]}, "label 1 stands twice in frame 0"),
        ({"coords": [[0, 0], [0, np.nan], [1, 1]]}, "no finite position"),
        ({"coords": [[0], [0], [1]]}, "expected .3, 2. or .3, 3."),
        ({"frame": []}, "holds no spot"),
        ({"frame": [0, 0.5, 1]}, "expected whole numbers"),
    ],
)
def test_tables_that_contradict_themselves(changes: dict[str, object], words: str) -> None:
    columns: dict[str, object] = {
        "frame": [0, 0, 1],
        "coords": np.zeros((3, 2)),
        "mother": [0],
        "daughter": [2],
    }
    with pytest.raises(InputError, match=words):
        TrackTable("mine", **{**columns, **changes})  # type: ignore[arg-type]


def test_unknown_spots_and_parents_are_refused() -> None:
    spots = {"frame": [0, 1], "coords": np.zeros((2, 2))}
    with pytest.raises(InputError, match="link 0 names spot 9"):
        TrackTable.from_ids("mine", [1, 2], [1], [9], **spots)
    with pytest.raises(InputError, match="track 7 has no spot"):
        TrackTable.from_runs("mine", [0, 1], [1, 2], {2: [7]}, coords=np.zeros((2, 2)))
    with pytest.raises(InputError, match="begins in frame 0, not after its parent 2"):
        TrackTable.from_runs("mine", [0, 1], [1, 2], {1: [2]}, coords=np.zeros((2, 2)))
    with pytest.raises(InputError, match="track 1 has two spots in frame 0"):
        TrackTable.from_runs("mine", [0, 0], [1, 1], {}, coords=np.zeros((2, 2)))


def test_the_lineage_of_the_small_movie_is_what_its_links_say() -> None:
    assert len(LINKS) == sum(end - begin for _, begin, end, _ in LINEAGE) + 2


_HEAD = "frame,particle,y,x"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{_HEAD},x\n0,0,5,6,7\n1,0,5,6,7\n", "several columns x"),
        (f"{_HEAD}\n0,0,5,here\n1,0,5,6\n", "x holds what is no number"),
        (f"{_HEAD}\n0,inf,5,6\n1,0,5,6\n", "particle of row 0 is inf"),
        ("track_id,t,y,x,parent_track_id\n1,0,5,6,none\n", "parent_track_id holds what is no number"),
    ],
)
def test_columns_that_nobody_can_read_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "tracks.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_tracks(tmp_path / "tracks.csv")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tracks.csv", f"{_HEAD}\n0,0,5.5,6\n1,0,5,6\n".encode("utf-16")),
        ("tracks.csv", f"{_HEAD}\n0,0,5.5,6\n1,0,5,6\n".replace(",", ";").replace(".", ",").encode()),
    ],
    ids=["UTF-16", "decimal comma"],
)
def test_tables_as_spreadsheets_save_them(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(read_tracks(tmp_path / name).coords, [[5.5, 6], [5, 6]])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tracks.csv.gz", b"\x1f\x8bnothing"),
        ("tracks.h5", b"\x89HDF\r\n\x1a\n" + bytes(64)),
        ("tracks.xml", b'<TrackMate><Settings><ImageData nslices="many"/></Settings></TrackMate>'),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError):
        read_tracks(tmp_path / name)


def test_large_ids_stay_apart() -> None:
    table = pd.DataFrame({"frame": [0, 0], "particle": [2**53, 2**53 + 1], "y": [5.0, 9.0], "x": [5.0, 5.0]})
    assert read_tracks(table).track.tolist() == [2**53, 2**53 + 1]


def test_a_time_between_frames_is_refused() -> None:
    graph = nx.DiGraph()
    graph.add_node(1, time=0.7, y=5.0, x=5.0)
    with pytest.raises(InputError, match=r"frame of row 0 is 0\.7"):
        read_tracks(graph)
