"""What fuzzing found: each was a traceback, or a number that silently became another one."""

import gzip
import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from torchtrack_uq import InputError
from torchtrack_uq.calibration.annotations import read_decisions
from torchtrack_uq.calibration.file import Calibration
from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.datasets.points import read_points_movie
from torchtrack_uq.datasets.published.unpack import unpack_zip
from torchtrack_uq.exchange import TrackTable, read_tracks
from torchtrack_uq.exchange.geff_graph import find_geff
from torchtrack_uq.guarantees.acceptance import AcceptanceThreshold, ReviewStatistic
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import open_frames
from torchtrack_uq.movies.points_table import read_points
from torchtrack_uq.results.saved_tracks import _settings
from torchtrack_uq.results.state import load_state
from torchtrack_uq.review.decision_log import Decision, DecisionLog
from torchtrack_uq.training.run import checkpoint_to_continue
from torchtrack_uq.utils.yaml_file import read_yaml

DIGITS = "9" * 400
DEEP = "[" * 100_000 + "]" * 100_000
BTRACK = Path(__file__).parents[1] / "exchange" / "files" / "btrack.h5"


@pytest.mark.parametrize("row", [f"{DIGITS} 0 1 0", f"1 0 {'9' * 19} 0", f"1 0 1 -{DIGITS}"])
def test_a_lineage_of_numbers_beyond_64_bits_is_refused(tmp_path: Path, row: str) -> None:
    (tmp_path / "man_track.txt").write_text(row + "\n")
    with pytest.raises(InputError, match=r"man_track.txt: .*18 digits"):
        Lineage.read(tmp_path / "man_track.txt")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1.5,5,5,1", "frame of row 1 is 1.5; expected a whole number"),
        ("1,5,5,1.5", "track of row 1 is 1.5; expected a whole number"),
        ("1e300,5,5,1", "infinite entries, or some beyond float32"),
        ("1,5e38,5,1", "infinite entries, or some beyond float32"),
        ("9e17,5,5,1", "frame of row 1 is 9e[+]17; expected a whole number"),
        ("1,[],5,1", "expected columns .* of numbers"),
        (f"{DIGITS},5,5,1", "expected columns .* of numbers|infinite entries"),
        ("1,5,5,true", "expected columns .* of numbers"),
    ],
)
def test_points_of_an_annotated_movie_are_whole_frames_and_finite(
    tmp_path: Path, row: str, message: str
) -> None:
    (tmp_path / "man_track.txt").write_text("1 0 1 0\n")
    (tmp_path / "points.csv").write_text(f"frame,x,y,track\n0,5,5,1\n{row}\n")
    with pytest.raises(InputError, match=message):
        read_points_movie(tmp_path)


@pytest.mark.parametrize("damage", [slice(0, 40), slice(0, -4)])
def test_annotated_points_whose_gzip_is_cut_off_are_refused(tmp_path: Path, damage: slice) -> None:
    text = "frame,x,y,track\n" + "".join(f"{t},5.{t},5,1\n" for t in range(90))
    (tmp_path / "man_track.txt").write_text("1 0 89 0\n")
    (tmp_path / "points.csv.gz").write_bytes(gzip.compress(text.encode())[damage])
    with pytest.raises(InputError, match="cannot be read"):
        read_points_movie(tmp_path)


def test_a_table_that_only_begins_as_utf16_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(b"\xff\xfeframe,y,x\n0,1,1\n1,1,1")
    with pytest.raises(InputError, match="begins as UTF-16"):
        read_points(tmp_path / "p.csv")


def test_points_beyond_float32_are_refused_and_not_infinite() -> None:
    with pytest.raises(InputError, match="beyond what float32 holds"):
        read_points(pd.DataFrame({"frame": [0, 1], "y": [1.0, 1e39], "x": [1.0, 2.0]}))


@pytest.mark.parametrize("track", [1e300, 2.0**63, 2.0**53 + 2])
def test_ids_that_floats_cannot_tell_apart_are_refused_in_results_of_others(track: float) -> None:
    table = pd.DataFrame({"frame": [0, 1], "particle": [1.0, track], "y": [5.0, 6.0], "x": [5.0, 5.0]})
    with pytest.raises(InputError, match="expected whole numbers"):
        read_tracks(table)


def test_unsigned_ids_beyond_signed_ones_are_refused_and_not_negative() -> None:
    with pytest.raises(InputError, match="id of row 1 is 18446744073709551615"):
        TrackTable("a", [0, 1], [[1, 1], [2, 2]], [0], [1], id=np.array([1, 2**64 - 1], np.uint64))  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [('ID="1"', f'ID="{DIGITS}"'), ('FRAME="0"', 'FRAME="inf"')])
def test_trackmate_files_with_numbers_beyond_64_bits_are_refused(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    spot = '<Spot ID="1" FRAME="0" POSITION_X="1" POSITION_Y="1" POSITION_Z="0" />'
    text = f"<TrackMate><Model><AllSpots>{spot}</AllSpots></Model></TrackMate>"
    (tmp_path / "t.xml").write_text(text.replace(*change))
    with pytest.raises(InputError, match="lacks a number"):
        read_tracks(tmp_path / "t.xml")


def test_damage_anywhere_in_an_hdf5_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    content, rng = BTRACK.read_bytes(), np.random.default_rng(0)
    n_refused = 0
    for _ in range(60):
        data = bytearray(content)
        at = int(rng.integers(96, 4000))
        data[at : at + 8] = rng.bytes(8)
        (tmp_path / "t.h5").write_bytes(data)
        try:
            read_tracks(tmp_path / "t.h5")
        except InputError:
            n_refused += 1
    assert n_refused > 10


def test_a_btrack_file_whose_tracks_do_not_cover_their_objects_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    (tmp_path / "t.h5").write_bytes(BTRACK.read_bytes())
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        kind = next(iter(file["tracks"]))
        runs = file["tracks"][kind]["map"]
        runs[0, 1] += 1
    with pytest.raises(InputError, match="not complete"):
        read_tracks(tmp_path / "t.h5")


def test_a_member_of_an_archive_without_a_name_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("NAMELESS", b"")
    content = (tmp_path / "a.zip").read_bytes()
    place = content.rindex(b"NAMELESS")
    directory = bytearray(content[:place] + content[place + 8 :])
    directory[place - 18 : place - 16] = bytes(2)  # length of the name, in the central directory
    end = directory.rindex(b"PK\x05\x06")
    directory[end + 12 : end + 16] = (46).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(directory)
    with pytest.raises(InputError, match="without a name"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "out", progress=False)
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]


def test_parquet_whose_own_notes_name_no_type_is_refused(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    frame = pd.DataFrame({"frame": [0, 1], "y": [1.0, 2.0], "x": [1.0, 2.0]})
    frame.columns = pd.Index(["frame", "y", "x"], dtype=object)
    table = pyarrow.Table.from_pandas(frame)
    notes = table.schema.metadata[b"pandas"].replace(b'"numpy_type": "', b'"numpy_type": "inu')
    parquet.write_table(table.replace_schema_metadata({b"pandas": notes}), tmp_path / "p.parquet")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        read_points(tmp_path / "p.parquet")


def test_a_trackmate_file_in_an_encoding_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.xml").write_text('<?xml version="1.0" encoding="UTV-8"?><TrackMate></TrackMate>')
    with pytest.raises(InputError, match="UTV-8"):
        read_tracks(tmp_path / "t.xml")


def test_a_feature_beyond_float32_is_left_out() -> None:
    table = pd.DataFrame(
        {"frame": [0, 1], "y": [1.0, 2.0], "x": [1.0, 2.0], "a": [1e39, 1.0], "b": [1.0, 2.0]}
    )
    assert list(read_points(table).features) == ["b"]


def test_an_acceptance_threshold_of_400_digits_is_refused(tmp_path: Path) -> None:
    for name in ("alpha", "delta", "threshold"):
        values = {**asdict(AcceptanceThreshold(0.01, 0.05, 0.9, True, 1000, 900, 2)), name: 10**400}
        (tmp_path / "t.json").write_text(json.dumps(values))
        with pytest.raises(InputError):
            AcceptanceThreshold.load(tmp_path / "t.json")


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("back_to", [0, 1, 2])
def test_a_tiff_whose_pages_go_round_in_a_circle_is_refused(
    tmp_path: Path, bigtiff: bool, back_to: int
) -> None:
    file = tmp_path / "a.tif"
    with tifffile.TiffWriter(file, bigtiff=bigtiff) as writer:
        for t in range(3):
            writer.write(np.full((4, 5), t, np.uint8))
    open_frames(tmp_path, axes="YX", scene=1)  # as it was written, it is read
    with tifffile.TiffFile(file) as tif:
        offsets = [page.offset for page in tif.pages]
        n_tags, place = len(tif.pages[2].tags), tif.pages[2].offset
    data = bytearray(file.read_bytes())
    after = place + (8 + 20 * n_tags if bigtiff else 2 + 12 * n_tags)
    width = 8 if bigtiff else 4
    assert not any(data[after : after + width])
    data[after : after + width] = offsets[back_to].to_bytes(width, "little")
    file.write_bytes(data)
    for place_of in (tmp_path, file):
        with pytest.raises(InputError, match="has no end"):
            open_frames(place_of)


@pytest.mark.parametrize("shape", [(), (3,), (0,)])
def test_an_array_without_rows_and_columns_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    np.save(tmp_path / "b.npy", np.zeros(shape, np.uint8))
    for place in (tmp_path, tmp_path / "a.npy"):
        with pytest.raises(InputError, match="shape"):
            open_frames(place)


def test_deeply_nested_json_is_refused_by_everything_that_reads_json(tmp_path: Path) -> None:
    file = tmp_path / "zarr.json"
    file.write_text(DEEP)
    for read in (Calibration.load, AcceptanceThreshold.load, _settings, read_yaml):
        with pytest.raises(InputError):
            read(file)
    assert find_geff(tmp_path) is None


@pytest.mark.parametrize("content", ["[1]", "3", '{"attributes": null}', '{"attributes": 3}'])
def test_json_that_is_no_mapping_is_no_geff(tmp_path: Path, content: str) -> None:
    (tmp_path / "zarr.json").write_text(content)
    assert find_geff(tmp_path) is None


@pytest.mark.parametrize("count", [10**30, float("inf"), float("nan")])
def test_counts_beyond_64_bits_are_no_statistic(count: float) -> None:
    stored = json.loads(json.dumps(ReviewStatistic.of([0.9], [True]).to_json()))
    next(rows for rows in stored["decisions"] if rows).update({"3": count})
    with pytest.raises(InputError, match="fit again"):
        ReviewStatistic.from_json(stored)


def test_a_log_with_the_line_ends_of_an_old_mac_is_refused(tmp_path: Path) -> None:
    text = "frame,label,verdict,mother_frame,mother,time,who\r1,1,none,,,now,me\r"
    (tmp_path / "d.csv").write_bytes(text.encode())
    with pytest.raises(InputError, match=r"d.csv .*(log of decisions|columns)"):
        DecisionLog(tmp_path / "d.csv")


def test_a_quotation_without_end_in_a_log_is_refused_and_swallows_no_later_decision(tmp_path: Path) -> None:
    rows = ["frame,label,verdict,mother_frame,mother,time,who", '1,1,none,,,"now,me', "1,2,none,,,now,me", ""]
    (tmp_path / "d.csv").write_text("\n".join(rows))
    with pytest.raises(InputError, match=r"d\.csv cannot be read"):
        DecisionLog(tmp_path / "d.csv")


def test_a_row_that_a_crash_cut_within_a_quoted_name_swallows_no_later_decision(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    log = DecisionLog(file, 'Doe, "J."')
    log.append(Decision(1, 1, "none"))
    log.append(Decision(1, 2, "none"))
    file.write_bytes(file.read_bytes()[:-5])
    coords = np.arange(8.0).reshape(4, 2)
    cells = Detections.from_points(np.array([0, 1, 1, 2]), coords, label=np.array([1, 1, 2, 1]))
    assert read_decisions(file, cells).known.tolist() == [False, True, False, False]
    DecisionLog(file, "me").append(Decision(2, 1, "none"))
    assert [one.cell for one in DecisionLog(file).decisions] == [(1, 1), (2, 1)]


@pytest.mark.parametrize(
    "header", [b"{'descr': '<f8', 'shape': (3", b"{'descr': 'O', 'shape': ()}", b"\0" * 30]
)
def test_an_array_in_a_state_whose_header_is_damaged_is_refused(tmp_path: Path, header: bytes) -> None:
    member = np.lib.format.magic(1, 0) + len(header).to_bytes(2, "little") + header
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("facts.npy", member)
    (tmp_path / "state.npz").write_bytes(out.getvalue())
    with pytest.raises(InputError, match="cannot be read"):
        load_state(tmp_path)


@pytest.mark.parametrize("text", ["- 1", "3", "", "a: [", "\x00", "a: 2020-13-45"])
def test_a_run_that_is_no_mapping_is_not_continued(tmp_path: Path, text: str) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"")
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(InputError, match=r"run\.yaml"):
        checkpoint_to_continue(tmp_path, {"seed": 1})
