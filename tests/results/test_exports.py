"""Tracks come back from every format with the same links and probabilities."""

import xml.etree.ElementTree as ET
from pathlib import Path

import geff
import numpy as np
import pandas as pd
import pytest
import tifffile

from tests.support.exchange import Links, gap_and_division, links_of, links_of_table
from torchtrack_uq import InputError, TrackingResult, UncertainTracker
from torchtrack_uq.cli import main
from torchtrack_uq.cli.export import _FORMATS
from torchtrack_uq.exchange import read_tracks
from torchtrack_uq.results import SavedTracks, export_tracks, to_napari
from torchtrack_uq.results.track_files import FORMATS

VOXEL = (2.0, 0.5, 0.25)


@pytest.fixture(scope="module", params=[2, 3], ids=["2D", "3D in micrometres"])
def result(request: pytest.FixtureRequest) -> TrackingResult:
    return gap_and_division() if request.param == 2 else gap_and_division(planes=4, voxel_size=VOXEL)


@pytest.fixture(scope="module")
def out(result: TrackingResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return result.save(tmp_path_factory.mktemp("saved") / "out", progress=False)


def close(links: Links) -> object:
    return pytest.approx(links, rel=1e-5)


def test_the_movie_has_a_gap_a_division_and_a_cell_alone(result: TrackingResult) -> None:
    links = links_of(result)
    assert ((1, 9), (3, 9)) in links
    assert {((2, 1), (3, 2)), ((2, 1), (3, 3))} <= links.keys()
    assert not [link for link in links if (4, 7) in link]
    assert len({round(p, 4) for p in links.values()}) > 4


class TestGeff:
    def test_tracks(self, result: TrackingResult, out: Path) -> None:
        graph, _ = geff.read(out / "tracks.geff")
        assert _geff_links(graph) == close(links_of(result))

    def test_candidates_have_the_tracks_among_them_and_what_was_not_chosen(
        self, result: TrackingResult, out: Path
    ) -> None:
        graph, metadata = geff.read(out / "candidates.geff")
        chosen = graph.edge_subgraph(edge for edge in graph.edges if graph.edges[edge]["selected"])
        assert _geff_links(graph, chosen.edges) == close(links_of(result))
        others = [data for _, _, data in graph.edges(data=True) if not data["selected"]]
        least = metadata.extra["probabilities"]["edges_at_least"]
        p = result.probabilities.link.numpy()
        assert len(others) == ((p >= least) & ~result.selected).sum() > 0
        assert min(data["probability"] for data in others) >= least
        assert set(graph.nodes) == set(range(len(result.detections)))

    def test_a_daughters_candidates_and_no_mother_sum_to_one(self, result: TrackingResult, out: Path) -> None:
        graph, metadata = geff.read(out / "candidates.geff")
        least = metadata.extra["probabilities"]["edges_at_least"]
        for node, data in graph.nodes(data=True):
            if data["t"] > 0:
                mass = data["p_appear"] + sum(
                    graph.edges[edge]["probability"] for edge in graph.in_edges(node)
                )
                left_out = len(result.links) * least
                assert 1 - left_out <= mass <= 1 + 1e-5

    def test_a_chosen_link_is_there_however_unlikely(self, result: TrackingResult, tmp_path: Path) -> None:
        from torchtrack_uq.results import settings_of, write_candidates

        write_candidates(tmp_path / "c.geff", result, settings_of(result), least=2.0)
        graph, _ = geff.read(tmp_path / "c.geff")
        assert _geff_links(graph) == close(links_of(result))


def _geff_links(graph, edges=None) -> Links:  # type: ignore[no-untyped-def]
    cells = pd.DataFrame.from_dict(dict(graph.nodes(data=True)), orient="index").rename(
        columns={"t": "frame"}
    )
    rows = [(i, j, graph.edges[i, j]["probability"]) for i, j in (graph.edges if edges is None else edges)]
    return links_of_table(cells, pd.DataFrame(rows, columns=["mother", "daughter", "probability"]))


def test_cell_tracking_challenge(result: TrackingResult, out: Path) -> None:
    """Without probabilities, for which the format has no room."""
    tracks = np.loadtxt(out / "res_track.txt", dtype=int, ndmin=2)
    cells = {}  # by track and frame
    for t, file in enumerate(sorted(out.glob("mask*.tif"))):
        mask = tifffile.imread(file)
        for track in np.unique(mask[mask > 0]):
            where = np.stack(np.nonzero(mask == track), axis=1).mean(axis=0)
            nearest = (
                np.abs(result.detections.coords[result.detections.in_frame(t)] - where).sum(axis=1).argmin()
            )
            cells[track, t] = (t, int(result.detections.label[result.detections.in_frame(t)][nearest]))
    found = set()
    for track, begin, end, parent in tracks:
        found |= {(cells[track, t - 1], cells[track, t]) for t in range(begin + 1, end + 1)}
        if parent:
            last = tracks[tracks[:, 0] == parent][0, 2]
            found.add((cells[parent, last], cells[track, begin]))
    assert found == links_of(result).keys()


class TestTables:
    def test_napari(self, result: TrackingResult, out: Path, tmp_path: Path) -> None:
        table = _exported(out, "napari-csv", tmp_path)
        space = ["z", "y", "x"][-result.detections.ndim :]
        assert list(table)[: len(space) + 4] == ["time", *space, "id", "parent_id", "seg_id"]
        assert _table_links(
            table.rename(columns={"time": "frame", "seg_id": "label", "p_chosen": "p"})
        ) == close(links_of(result))
        np.testing.assert_allclose(table[space], result.detections.coords, rtol=1e-5)

    def test_mastodon(self, result: TrackingResult, out: Path, tmp_path: Path) -> None:
        table = _exported(out, "mastodon", tmp_path)
        assert not table.isna().to_numpy().any()  # it skips a spot that lacks a number
        assert _table_links(table.rename(columns={"quality": "p"})) == close(links_of(result))
        size = VOXEL if result.detections.ndim == 3 else (1.0, 1.0)
        axes = ["z", "y", "x"][-len(size) :]
        np.testing.assert_allclose(table[axes], result.detections.coords * np.array(size), rtol=1e-5)
        row = {number: i for i, number in enumerate(table["id"])}
        assert all(row[parent] < i for i, parent in enumerate(table["parent_id"]) if parent != -1)

    def test_parquet(self, result: TrackingResult, out: Path, tmp_path: Path) -> None:
        pytest.importorskip(
            "pyarrow", reason="pyarrow is not installed: pip install 'torchtrack-uq[parquet]'"
        )
        export_tracks(SavedTracks.of(result), "parquet", tmp_path / "links.parquet")
        found = pd.read_parquet(tmp_path / "links.parquet")
        pd.testing.assert_frame_equal(found, result.links)


def _exported(out: Path, to: str, folder: Path) -> pd.DataFrame:
    assert main(["export", str(out), "--to", to, "-o", str(folder / "new" / "tracks.csv")]) == 0
    return pd.read_csv(folder / "new" / "tracks.csv")


def _table_links(table: pd.DataFrame) -> Links:
    linked = table[table["parent_id"] != -1]
    columns = {"mother": linked["parent_id"], "daughter": linked["id"], "probability": linked["p"]}
    return links_of_table(table.set_index("id"), pd.DataFrame(columns))


@pytest.fixture(scope="module")
def root(out: Path, tmp_path_factory: pytest.TempPathFactory) -> ET.Element:
    file = tmp_path_factory.mktemp("trackmate") / "tracks.xml"
    assert main(["export", str(out), "--to", "trackmate", "-o", str(file)]) == 0
    return ET.parse(file).getroot()


class TestTrackMate:
    """Laid out as TrackMate 7 saves its files; there is no Java here to load one."""

    def test_links_and_probabilities(self, result: TrackingResult, root: ET.Element) -> None:
        spots = {int(spot.attrib["ID"]): spot.attrib for spot in root.iter("Spot")}
        cells = pd.DataFrame(
            {"frame": [s["FRAME"] for s in spots.values()], "label": [s["name"] for s in spots.values()]},
            index=list(spots),
        )
        edges = pd.DataFrame(
            [
                {
                    "mother": int(edge.attrib["SPOT_SOURCE_ID"]),
                    "daughter": int(edge.attrib["SPOT_TARGET_ID"]),
                    "probability": edge.attrib["PROBABILITY"],
                }
                for edge in root.iter("Edge")
            ]
        )
        assert links_of_table(cells, edges) == close(links_of(result))

    def test_places_are_in_the_units_that_it_names(self, result: TrackingResult, root: ET.Element) -> None:
        size = dict(zip("ZYX", VOXEL, strict=True)) if result.detections.ndim == 3 else {}
        model = root.find("Model")
        assert model is not None
        assert len(list(root.iter("Spot"))) == len(result.detections)  # the one without a track too
        assert model.attrib == {"spatialunits": "µm" if size else "pixel", "timeunits": "sec"}
        axes = "ZYX"[-result.detections.ndim :]
        for spot in root.iter("Spot"):
            i = int(spot.attrib["ID"])
            place = [float(spot.attrib[f"POSITION_{axis}"]) / size.get(axis, 1.0) for axis in axes]
            np.testing.assert_allclose(place, result.detections.coords[i], rtol=1e-5)
            assert float(spot.attrib["POSITION_T"]) == 30.0 * result.detections.frame[i]

    def test_all_that_its_reader_asks_for_is_there(self, root: ET.Element) -> None:
        assert [child.tag for child in root] == ["Log", "Model", "Settings", "GUIState", "DisplaySettings"]
        declared = {
            kind: {f.attrib["feature"] for f in root.iterfind(f"Model/FeatureDeclarations/{kind}/Feature")}
            for kind in ("SpotFeatures", "EdgeFeatures", "TrackFeatures")
        }
        for tag, kind, names in (
            ("Spot", "SpotFeatures", {"ID", "name"}),
            ("Edge", "EdgeFeatures", set()),
            ("Track", "TrackFeatures", {"name"}),
        ):
            elements = list(root.iterfind(f"Model//{tag}"))
            assert elements
            for element in elements:
                assert element.attrib.keys() - names <= declared[kind]
                numbers = [float(value) for key, value in element.attrib.items() if key not in names]
                assert np.isfinite(numbers).all()  # what is not known is left out
        shown = {item.attrib["TRACK_ID"] for item in root.iterfind("Model/FilteredTracks/TrackID")}
        assert shown == {track.attrib["TRACK_ID"] for track in root.iter("Track")}
        for part in ("ImageData", "DetectorSettings", "InitialSpotFilter", "SpotFilterCollection",
                     "TrackerSettings", "TrackFilterCollection", "AnalyzerCollection"):  # fmt: skip
            assert root.find(f"Settings/{part}") is not None

    def test_each_track_is_a_lineage(self, root: ET.Element) -> None:
        ends = [
            {edge.attrib[name] for edge in track for name in ("SPOT_SOURCE_ID", "SPOT_TARGET_ID")}
            for track in root.iter("Track")
        ]
        assert len(ends) == 2  # with the division, with the gap
        assert not ends[0] & ends[1]


class TestNapari:
    def test_tracks_come_back_from_the_layer(self, result: TrackingResult) -> None:
        data, options, kind = next(layer for layer in to_napari(result) if layer[2] == "tracks")
        cells = pd.DataFrame({"path": data[:, 0], "frame": data[:, 1], **options["properties"]})
        found = {}
        for _, rows in cells.groupby("path"):
            before = rows.iloc[:-1].itertuples()
            for one, other in zip(before, rows.iloc[1:].itertuples(), strict=True):
                found[(one.frame, one.label), (other.frame, other.label)] = other.probability
        for child, parents in options["graph"].items():
            first = cells[cells["path"] == child].iloc[0]
            last = cells[cells["path"] == parents[0]].iloc[-1]
            found[(last["frame"], last["label"]), (first["frame"], first["label"])] = first["probability"]
        assert kind == "tracks"
        assert found == close(links_of(result))

    def test_labels_have_the_numbers_of_the_tracks(self, result: TrackingResult) -> None:
        layers = {kind: (data, options) for data, options, kind in to_napari(result)}
        labels = np.asarray(layers["labels"][0])
        assert labels.shape == (5, *result.movie.frame_shape)
        for path, t, *place in layers["tracks"][0]:
            assert labels[(int(t), *(round(x - 0.01) for x in place))] == path

    def test_doubts_are_in_the_order_of_the_review_list(self, result: TrackingResult) -> None:
        data, options, _ = next(layer for layer in to_napari(result, n_doubts=3) if layer[2] == "points")
        review = result.review(3)
        assert data[:, 0].tolist() == review["frame"].tolist()
        assert options["features"]["reason"].tolist() == review["reason"].tolist()

    def test_every_layer_is_in_micrometres_where_these_are_known(self, result: TrackingResult) -> None:
        scales = {options.get("scale") for _, options, _ in to_napari(result)}
        assert scales == ({(1.0, *VOXEL)} if result.detections.ndim == 3 else {None})

    def test_images_come_along_and_are_read_when_looked_at(
        self, blobs: tuple[np.ndarray, np.ndarray]
    ) -> None:
        found = UncertainTracker("overlap").track(*blobs, progress=False)
        data, options, kind = to_napari(found)[0]
        assert (kind, options["name"]) == ("image", "images")
        np.testing.assert_array_equal(np.asarray(data[2]), blobs[0][2])


class TestExport:
    def test_a_result_and_its_folder_give_the_same_file(
        self, result: TrackingResult, out: Path, tmp_path: Path
    ) -> None:
        for to in ("napari-csv", "mastodon"):
            for name, tracks in (("a", SavedTracks.of(result)), ("b", SavedTracks.read(out))):
                export_tracks(tracks, to, tmp_path / f"{to}{name}.csv")
            a, b = (pd.read_csv(tmp_path / f"{to}{name}.csv") for name in "ab")
            pd.testing.assert_frame_equal(a, b, rtol=1e-4)

    def test_the_help_knows_the_formats(self) -> None:
        assert _FORMATS.keys() == FORMATS.keys()

    def test_it_works_without_settings_as_of_earlier_versions(self, out: Path, tmp_path: Path) -> None:
        (tmp_path / "old").mkdir()
        for name in ("cells.csv", "links.csv"):
            (tmp_path / "old" / name).write_text((out / name).read_text())
        tracks = SavedTracks.read(tmp_path / "old")
        assert (tracks.settings, tracks.voxel_size) == ({}, None)
        export_tracks(tracks, "trackmate", tmp_path / "t.xml")

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"cells.csv": None}, "cells.csv is missing; expected what `torchtrack-uq track -o` wrote"),
            ({"links.csv": None}, "links.csv is missing"),
            ({"links.csv": "frame,mother\n1,2\n"}, "has no column daughter"),
            ({"cells.csv": ""}, "cannot be read as a table"),
            ({"settings.json": "{}"}, "is no file of settings of torchtrack-uq"),
            ({"settings.json": "{"}, "cannot be read"),
            (
                {"cells.csv": "frame,label,track,y,x\n0,1,1,2,3\n1,1,1,2,3\n"},
                "has a link of label 9 in frame 1, which is no cell in cells.csv",
            ),
            (
                {"cells.csv": "frame,label,track,y,x\n0,1,1,2,3\n0,1,1,2,3\n"},
                "has a cell twice",
            ),
        ],
    )
    def test_a_folder_that_is_no_result_is_refused_in_a_sentence(
        self,
        change: dict[str, str | None],
        said: str,
        out: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        place = tmp_path / "changed"
        place.mkdir()
        for name in ("cells.csv", "links.csv", "settings.json"):
            text = change.get(name, (out / name).read_text())
            if text is not None:
                (place / name).write_text(text)
        assert main(["export", str(place), "--to", "mastodon", "-o", str(tmp_path / "m.csv")]) == 2
        printed = capsys.readouterr().err
        assert said in printed
        assert printed.count("\n") == 1
        assert not (tmp_path / "m.csv").exists()

    def test_two_mothers_and_mothers_of_the_same_frame_are_refused(self, out: Path) -> None:
        cells, links = pd.read_csv(out / "cells.csv"), pd.read_csv(out / "links.csv")
        both = links.assign(selected=True)
        with pytest.raises(InputError, match="two selected mothers for one daughter"):
            SavedTracks._joined(cells, both, {}, "it")
        late = links.assign(mother_frame=links["mother_frame"].mask(links["mother_frame"] == 3, 4))
        with pytest.raises(InputError, match="not in an earlier frame"):
            SavedTracks._joined(cells, late, {}, "it")

    def test_a_file_that_is_there_stays(
        self, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "m.csv"
        file.write_text("mine")
        command = ["export", str(out), "--to", "mastodon", "-o", str(file)]
        assert main(command) == 2
        assert "is there already" in capsys.readouterr().err
        assert file.read_text() == "mine"
        assert main([*command, "--overwrite"]) == 0
        assert file.read_text().startswith("id,")
        assert [item.name for item in tmp_path.iterdir()] == ["m.csv"]

    def test_an_export_that_fails_leaves_nothing(self, result: TrackingResult, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="format 'pdf' is unknown"):
            export_tracks(SavedTracks.of(result), "pdf", tmp_path / "t.pdf")
        assert not list(tmp_path.iterdir())


class TestOurOwnReader:
    """`read_tracks`, as `torchtrack-uq doubt` opens what others made."""

    @pytest.mark.parametrize("form", ["tracks.geff", "masks and res_track.txt", "TrackMate", "networkx"])
    def test_reads_the_same_tracks(
        self, form: str, result: TrackingResult, out: Path, tmp_path: Path
    ) -> None:
        if form == "TrackMate":
            export_tracks(SavedTracks.read(out), "trackmate", tmp_path / "t.xml")
        sources = {
            "tracks.geff": out / "tracks.geff",
            "masks and res_track.txt": _challenge_only(out, tmp_path / "ctc"),
            "TrackMate": tmp_path / "t.xml",
            "networkx": result.graph,
        }
        found = read_tracks(sources[form], progress=False)
        assert len(found.frame) == len(result.detections)
        row = _cells_at(found.frame, found.coords, result)
        mother = np.full(len(result.detections), -1)
        mother[row[found.daughter]] = row[found.mother]
        np.testing.assert_array_equal(mother, result.mother)


def _challenge_only(out: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in (*out.glob("mask*.tif"), out / "res_track.txt"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def _cells_at(frame: np.ndarray, coords: np.ndarray, result: TrackingResult) -> np.ndarray:
    cells = result.detections
    apart = np.abs(cells.coords[None] - coords[:, None]).max(axis=2)
    apart[frame[:, None] != cells.frame[None]] = np.inf
    assert (apart.min(axis=1) < 0.01).all()
    return apart.argmin(axis=1)


class TestPoints:
    """Of a table that has its own frame numbers and ids, which may be text, or 0."""

    @pytest.mark.parametrize("ids", [["a", "007", "b", "NA"], [0, 1, 2, 3], [10, 11, 12, 13]], ids=str)
    def test_their_links_are_found_in_every_file(self, ids: list[object], tmp_path: Path) -> None:
        spots = pd.DataFrame({"frame": [480, 480, 481, 481], "y": [4.0, 50, 5, 51], "x": 4.0, "id": ids})
        result = UncertainTracker("distance").track_points(spots, progress=False)
        result.save(tmp_path / "out", progress=False)
        assert (result.mother >= 0).sum() == 2
        for tracks in (SavedTracks.of(result), SavedTracks.read(tmp_path / "out")):
            np.testing.assert_array_equal(tracks.mother, result.mother)
            np.testing.assert_allclose(tracks.probability, result.decision_probability, rtol=1e-5)
            assert tracks.cells["label"].tolist() == result.cells["label"].tolist()
            for to in ("napari-csv", "mastodon", "trackmate"):
                export_tracks(tracks, to, tmp_path / to, overwrite=True)
        table = pd.read_csv(tmp_path / "napari-csv", dtype={"seg_id": str}, keep_default_na=False)
        assert table["seg_id"].tolist() == [str(label) for label in result.cells["label"]]

    def test_doubts_lie_on_their_tracks_in_napari(self) -> None:
        spots = pd.DataFrame({"frame": [480, 480, 481, 481], "y": [4.0, 8, 6, 51], "x": 4.0})
        result = UncertainTracker("distance").track_points(spots, progress=False)
        _, (tracks, *_), (doubts, *_) = to_napari(result)
        assert len(doubts)
        places = {tuple(place) for place in tracks[:, 1:]}
        assert all(tuple(place) in places for place in doubts)
