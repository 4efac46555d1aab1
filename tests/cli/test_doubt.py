from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from tests.exchange.small_movie import small_masks
from tests.exchange.written import PIXEL, trackmate_csv, trackmate_xml, ultrack_table
from torchtrack_uq.cli import main


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    (tmp_path / "masks").mkdir()
    for t, mask in enumerate(small_masks()):
        tifffile.imwrite(tmp_path / "masks" / f"t{t:03d}.tif", mask)
    return tmp_path / "masks"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_doubt_says_how_many_are_expected_to_be_wrong(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = ultrack_table()
    swapped = table["track_id"].where(
        ~((table["t"] > 1) & table["track_id"].isin([1])), table["track_id"].map({1: 9})
    )
    table.assign(track_id=swapped, parent_track_id=table["parent_track_id"]).to_csv(
        tmp_path / "t.csv", index=False
    )
    assert run("doubt", tmp_path / "t.csv", "-m", masks, "-o", tmp_path / "out", "--quiet") == 0
    said = capsys.readouterr().out
    assert "15 spots: 12 links, 1 starts, 1 ends, 1 divisions to judge" in said
    assert "expected to be wrong" in said
    assert (
        "look first at the end of cell 1 in frame 1" in said
        or "look first at the start of cell 1 in frame 2" in said
    )
    doubts = pd.read_csv(tmp_path / "out" / "doubts.csv")
    first = doubts.head(2)
    assert set(first["kind"]) == {"start", "end"}
    assert set(first["alternative"]) == {"mother", "daughter"}


def test_several_files_and_a_pixel_size(masks: Path, tmp_path: Path) -> None:
    files = trackmate_csv(tmp_path)
    options = ("-m", masks, "--pixel-size", PIXEL, "--quiet")
    assert run("doubt", *files, *options, "-o", tmp_path / "csv") == 0
    assert (
        run("doubt", trackmate_xml(tmp_path / "t.xml"), "-m", masks, "--quiet", "-o", tmp_path / "xml") == 0
    )
    csv, xml = (pd.read_csv(tmp_path / name / "doubts.csv") for name in ("csv", "xml"))
    pd.testing.assert_frame_equal(csv, xml)


def test_sample_and_fit_go_on_from_its_folder(masks: Path, tmp_path: Path) -> None:
    ultrack_table().to_csv(tmp_path / "t.csv", index=False)
    assert (
        run("doubt", tmp_path / "t.csv", "-m", masks, "-o", tmp_path / "out", "--max-gap", 2, "--quiet") == 0
    )
    asked = tmp_path / "ask.csv"
    assert run("sample", tmp_path / "out", "-n", 8, "-o", asked) == 0
    answers = pd.read_csv(asked)
    linked = answers["tracked_mother"] > 0
    answers["verdict"] = np.where(linked, "mother", "none")
    answers["mother"] = answers["tracked_mother"].where(linked).astype("Int64")
    answers["mother_frame"] = answers["tracked_mother_frame"].where(linked).astype("Int64")
    answers.to_csv(asked, index=False)
    options = ("--tracker", "distance", "-o", tmp_path / "fit.json", "--quiet")
    assert run("fit", "--decisions", asked, "-m", masks, *options) == 0
    again = ("--temperature", tmp_path / "fit.json", "--quiet")
    assert run("doubt", tmp_path / "t.csv", "-m", masks, "-o", tmp_path / "fitted", *again) == 0
    assert len(pd.read_csv(tmp_path / "fitted" / "doubts.csv")) == len(
        pd.read_csv(tmp_path / "out" / "doubts.csv")
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing.xml", "-m", "masks"), "does not exist"),
        (("t.csv", "-m", "masks", "--paper"), "--paper knows frame pairs only"),
        (("t.csv", "-m", "masks", "--first-frame", "1"), "frame -1"),
        (("t.csv", "-m", "masks", "--pixel-size", "0.1"), "lie in no cell of the masks"),
        (("t.csv", "--tracker", "overlap"), "compares masks"),
    ],
)
def test_unusable_input_is_one_sentence(
    masks: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ultrack_table().to_csv(tmp_path / "t.csv", index=False)
    monkeypatch.chdir(tmp_path)
    assert run("doubt", *arguments, "-o", "out", "--quiet") == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_results_among_the_masks_are_refused_before_anything_is_read(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("no,tracking\n1,2\n")
    assert run("doubt", tmp_path / "t.csv", "-m", masks, "-o", masks, "--overwrite", "--quiet") == 2
    assert "results would mix with the input" in capsys.readouterr().err


def test_their_result_is_not_replaced(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "res_track.txt").write_text("1 0 5 0\n")
    for out in (theirs, theirs / "new"):
        assert run("doubt", theirs, "-m", masks, "-o", out, "--overwrite", "--quiet") == 2
        assert "choose a folder apart from it" in capsys.readouterr().err
    assert [item.name for item in theirs.iterdir()] == ["res_track.txt"]


def test_what_would_be_ignored_or_refused_late_is_refused_before_cells_are_measured(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchtrack_uq.movies.detections.Detections.from_movie", None)
    theirs = tmp_path / "theirs.csv"
    theirs.write_text("frame,particle,y,x\n0,1,5,5\n1,1,5,6\n")
    assert run("doubt", theirs, "-o", tmp_path / "out", "--channel", 2) == 2
    assert "channel say how masks and images are read" in capsys.readouterr().err
    assert run("doubt", theirs, "-m", masks, "-o", tmp_path / "out", "--search-range", "4um") == 2
    assert "nobody knows how large a voxel is" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("with_masks", [False, True])
def test_tracks_in_volumes_are_scored_by_the_model_for_volumes(tmp_path: Path, *, with_masks: bool) -> None:
    volumes, rows = np.zeros((3, 8, 40, 40), np.uint16), []
    for t in range(3):
        for track, (y, x) in enumerate([(8, 8), (26, 24)], start=1):
            volumes[t, 2:6, y : y + 6, x + t : x + t + 6] = track
            rows.append({"track_id": track, "t": t, "z": 3.5, "y": y + 2.5, "x": x + t + 2.5})
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    tifffile.imwrite(tmp_path / "m.tif", volumes, imagej=True, metadata={"axes": "TZYX"})
    masks = ("-m", tmp_path / "m.tif") if with_masks else ()
    out = tmp_path / "out"
    assert run("doubt", tmp_path / "t.csv", *masks, "--tracker", "trackastra", "-o", out, "--quiet") == 0
    assert (pd.read_csv(out / "doubts.csv")["probability"] > 0.5).all()
