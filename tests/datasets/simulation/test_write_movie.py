"""A simulated movie as a folder is what the package's own readers and commands take."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from torchtrack_uq.cli import main
from torchtrack_uq.datasets import CorruptionRates, read_annotated, read_ctc_sequence
from torchtrack_uq.datasets.simulation import Conditions, simulate, write_simulated
from torchtrack_uq.errors import InputError

SMALL = Conditions(6, 30, (150, 150), motion=2.0, divide=0.05, apart=10.0, diameter=11.0)
RATES = CorruptionRates(missed=0.1, split=0.05, false=0.05)


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_masks_and_points_are_the_simulated_movie(tmp_path: Path) -> None:
    counts = write_simulated(tmp_path / "out", SMALL, 3, progress=False)
    expected = simulate(SMALL, 3)
    masks = read_ctc_sequence(tmp_path / "out" / "01", progress=False)
    points = read_annotated(tmp_path / "out" / "points", progress=False)
    assert masks.detections.has_images
    assert not (tmp_path / "out" / "01_ERR_SEG").exists()
    for found in (masks, points):
        assert np.array_equal(found.detections.label, expected.detections.label)
        assert np.array_equal(found.detections.frame, expected.detections.frame)
        assert np.array_equal(found.mother, expected.mother)
        assert np.array_equal(found.lineage.parent, expected.lineage.parent)
        away = np.linalg.norm(found.detections.coords - expected.detections.coords, axis=1)
        assert np.median(away) < 0.5
    assert counts["cells"] == counts["detections"] == len(expected)
    assert counts["tracks"] == len(expected.lineage)
    assert counts["divisions"] == expected.summary()["n_divisions"] > 0


@pytest.mark.filterwarnings("ignore:.*no room")
def test_what_is_found_and_the_truth_about_it_are_written(tmp_path: Path) -> None:
    write_simulated(tmp_path, SMALL, 1, RATES, progress=False)
    expected = simulate(SMALL, 1, RATES)
    found, truth = pd.read_csv(tmp_path / "detections.csv"), pd.read_csv(tmp_path / "truth.csv")
    assert np.array_equal(found[["frame", "label"]], truth[["frame", "label"]])
    assert found[["y", "x"]].to_numpy() == pytest.approx(expected.detections.coords, abs=1e-3)
    assert np.array_equal(truth["track"], expected.tracks)
    assert expected.kinds is not None
    for kind in ("false", "merged", "split"):
        assert np.array_equal(truth[kind].astype(bool), getattr(expected.kinds, kind))
    said = json.loads((tmp_path / "simulation.json").read_text())
    assert said["errors"]["missed"] == 0.1
    assert said["counts"]["detections"] == len(found)
    segmented = read_ctc_sequence(tmp_path / "01", segmentation=tmp_path / "01_ERR_SEG", progress=False)
    assert len(segmented) == pytest.approx(len(expected), rel=0.02)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_simulated(tmp_path / name, SMALL, seed, CorruptionRates(missed=0.1), progress=False)
    a, b, c = (content(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    assert a["01/t000.tif"] != c["01/t000.tif"]


def test_movies_in_3d_are_written_too(tmp_path: Path) -> None:
    conditions = Conditions(3, 10, (6, 60, 60), motion=1.0, voxel_size=(3.0, 1.0, 1.0), diameter=9.0)
    write_simulated(tmp_path, conditions, 0, progress=False)
    assert tifffile.imread(tmp_path / "01" / "t000.tif").shape == (6, 60, 60)
    movie = read_annotated(tmp_path / "01", voxel_size=(3.0, 1.0, 1.0), progress=False)
    assert np.array_equal(movie.tracks, simulate(conditions).tracks)
    assert list(pd.read_csv(tmp_path / "points" / "points.csv")) == ["frame", "z", "y", "x", "track"]


def test_files_that_are_there_are_not_replaced_and_nothing_is_left_of_what_fails(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        write_simulated(tmp_path / "out", SMALL, progress=False)
    with pytest.raises(InputError, match="no whole number of pixels"):
        write_simulated(tmp_path / "new", Conditions(size=(10.5, 20)), progress=False)
    with pytest.raises(InputError, match="have no room"):
        write_simulated(tmp_path / "new", Conditions(3, 100, (5, 5), border="gone"), progress=False)
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
    write_simulated(tmp_path / "out", SMALL, masks=False, overwrite=True, progress=False)
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert not (tmp_path / "out" / "01_GT").exists()


def test_the_command_writes_what_the_other_commands_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    asked = [
        "--cells",
        "25",
        "--frames",
        "5",
        "--size",
        "140,140",
        "--voxel-size",
        "0.5,0.5",
        "--missed",
        "10%",
    ]
    assert main(["simulate", "-o", str(out), *asked, "--motion", "1um", "--quiet"]) == 0
    assert json.loads((out / "simulation.json").read_text())["conditions"]["motion"] == 2.0
    shown = capsys.readouterr().out
    assert (
        f"torchtrack-uq evaluate {out / '01'} --tracker distance --segmentation {out / '01_ERR_SEG'}" in shown
    )
    segmented = ["--segmentation", str(out / "01_ERR_SEG")]
    options = ["--tracker", "distance", "--method", "SM", "--quiet"]
    assert main(["evaluate", str(out / "01"), *options, *segmented]) == 0
    assert main(["evaluate", str(out / "points"), *options]) == 0
    assert main(["info", str(out / "01_GT" / "TRA")]) == 0
    assert main(["simulate", "-o", str(out), *asked]) == 2
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--motion", "1um"], "nobody knows how large a voxel is"),
        (["--voxel-size", "1,1,1"], "expected one an axis"),
        (["--cells", "0"], "a cell to begin with"),
        (["--missed", "0.9", "--split", "0.2"], "sum to more than 1"),
        (["--persistence", "1"], "below 1"),
        (["--seed", "-1"], "expected a whole number of at least 0"),
        (["--drift", "1,2,3"], "one an axis"),
    ],
)
def test_the_command_refuses_what_cannot_be(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "-o", str(tmp_path / "out"), "--frames", "3", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_frames_that_fit_in_no_memory_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    huge = Conditions(2, 30, (1e9, 1e9))
    with pytest.raises(InputError, match=r"1000000000 x 1000000000 pixels need about .* leave masks out"):
        write_simulated(tmp_path / "out", huge, progress=False)
    assert not list(tmp_path.iterdir())
    assert write_simulated(tmp_path / "out", huge, masks=False, progress=False)["frames"] == 2
