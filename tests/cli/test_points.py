"""Spots in place of masks, through every command."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import geff
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from torchtrack_uq import TrackingResult, UncertainTracker
from torchtrack_uq.cli import main
from torchtrack_uq.exchange import read_tracks

FILES = {"links.csv", "cells.csv", "review.csv", "res_track.txt", "tracks.geff", "doubts.png"}
EMBRYO = "celegans-CE"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def spots(n_frames: int = 6, n_cells: int = 5, ndim: int = 2, seed: int = 0) -> pd.DataFrame:
    """Cells that drift; the frame of the table begins at 10."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 100, (n_cells, ndim))
    paths = start + np.cumsum(rng.normal(0, 1, (n_frames, n_cells, ndim)), axis=0)
    table = pd.DataFrame(paths.reshape(-1, ndim), columns=list("zyx"[3 - ndim :]))
    return table.assign(
        frame=np.repeat(np.arange(n_frames), n_cells) + 10, id=np.tile(np.arange(n_cells) + 1, n_frames)
    )


def test_an_embryo_in_3d_end_to_end(
    data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (data_folder / EMBRYO).is_dir():
        pytest.skip(f"{EMBRYO} is not there")
    table = pd.read_csv(data_folder / EMBRYO / "points.csv.gz").query("30 <= frame < 60")
    file, out = tmp_path / "embryo.csv", tmp_path / "out"
    shuffled = table.sample(frac=1, random_state=0)
    shuffled.drop(columns="track").to_csv(file, index=False)
    assert run("track", "--points", file, "-o", out, "--voxel-size", "1,1,1", "--quiet") == 0
    printed = capsys.readouterr()
    assert "points in 30 frames (30 to 59), columns frame, z, y, x" in printed.out
    assert printed.err == ""
    assert {path.name for path in out.iterdir()} >= FILES
    assert not list(out.glob("mask*.tif"))

    cells = pd.read_csv(out / "cells.csv")
    assert cells["frame"].min() == 30
    assert cells["frame"].max() == 59
    tracks = np.loadtxt(out / "res_track.txt", dtype=int)
    for track, begin, end, _ in tracks:
        there = cells.loc[cells["track"] == track, "frame"]
        assert (there.min(), there.max()) == (begin, end)
    expected = UncertainTracker("distance").track_points(file, voxel_size=(1, 1, 1), progress=False)
    np.testing.assert_array_equal(cells["track"], expected.tracklets.track)
    np.testing.assert_allclose(cells["entropy"], expected.cells["entropy"], atol=1e-5)
    links = pd.read_csv(out / "links.csv")
    np.testing.assert_array_equal(links["selected"], expected.links["selected"])

    graph, metadata = geff.read(out / "tracks.geff")
    assert graph.number_of_edges() == int(expected.selected.sum())
    assert {data["t"] for _, data in graph.nodes(data=True)} == set(range(30, 60))
    assert [axis.name for axis in metadata.axes] == ["t", "z", "y", "x"]
    assert imread(out / "doubts.png").std() > 0.05

    true = shuffled["track"].to_numpy()[expected.detections.row]  # which the tracker did not see
    linked = np.flatnonzero(expected.mother >= 0)
    goes_on = pd.Series(true).duplicated().to_numpy()[linked]
    assert (true[expected.mother[linked]] == true[linked])[goes_on].mean() > 0.99


@pytest.mark.parametrize("ndim", [2, 3])
def test_points_of_a_table_and_of_the_api_are_tracked_alike(tmp_path: Path, ndim: int) -> None:
    table = spots(ndim=ndim)
    field = ",".join(["200"] * ndim)
    out = tmp_path / "out"
    options = ("--field", field, "--interval", 60, "--stride", 2, "--quiet")
    shifted = table.assign(**{axis: table[axis] + 50 for axis in "zyx"[3 - ndim :]})
    shifted.to_csv(tmp_path / "spots.csv", index=False)
    assert run("track", "--points", tmp_path / "spots.csv", "-o", out, *options) == 0
    expected = UncertainTracker("distance").track_points(
        shifted, field_shape=(200,) * ndim, interval=60, stride=2, progress=False
    )
    loaded = TrackingResult.load(out)
    pd.testing.assert_frame_equal(loaded.cells, expected.cells)
    pd.testing.assert_frame_equal(loaded.links, expected.links)
    assert sorted(expected.cells["frame"].unique()) == [10, 12, 14]
    assert loaded.detections.interval == 120
    assert loaded.detections.field_shape == (200,) * ndim


@pytest.mark.parametrize("names", ["labels", "text", "from zero"])
def test_all_outputs_have_the_users_frames_and_ids(tmp_path: Path, names: str) -> None:
    table = spots()
    if names == "text":
        table["id"] = [f"0{k}" for k in range(len(table))]
    elif names == "from zero":
        table["id"] = np.arange(len(table))
    file, out = tmp_path / "spots.csv", tmp_path / "out"
    table.to_csv(file, index=False)
    assert run("track", "--points", file, "-o", out, "--quiet") == 0
    as_text = dict.fromkeys(("label", "mother", "daughter"), str)
    cells, links = (pd.read_csv(out / name, dtype=as_text) for name in ("cells.csv", "links.csv"))
    own = set(zip(table["frame"], table["id"].astype(str), strict=True))
    assert set(zip(cells["frame"], cells["label"], strict=True)) == own
    assert set(zip(links["frame"], links["daughter"], strict=True)) < own
    mothers = links.dropna(subset="mother_frame")
    assert set(zip(mothers["mother_frame"].astype(int), mothers["mother"], strict=True)) <= own
    none = links.loc[links["mother_frame"].isna(), "mother"]
    assert (none == "0").all() if names == "labels" else none.isna().all()
    graph, _ = geff.read(out / "tracks.geff")
    for name in ("tracks.geff", "candidates.geff"):
        assert geff.read(out / name)[1].axes[0].max == 15
    found = {(data["t"], str(data["label"])) for _, data in graph.nodes(data=True)}
    assert found == own
    result = TrackingResult.load(out)
    review = result.review()
    assert set(zip(review["frame"], review["label"].astype(str), strict=True)) == {
        key for key in own if key[0] > 10
    }
    queue = pd.read_csv(out / "review.csv", dtype=as_text)
    assert set(zip(queue["frame"], queue["label"], strict=True)) <= own
    again = result.detections.find(review["frame"].to_numpy(), review["label"].to_numpy())
    np.testing.assert_array_equal(again, review["cell"])


@pytest.mark.parametrize("text", [False, True])
def test_sample_fit_and_correct_work_for_points(
    tmp_path: Path, text: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    table = spots(n_frames=8)
    if text:
        table["id"] = ["NA", *(f"0{k}" for k in range(len(table) - 1))][::-1]
    file, out, todo = tmp_path / "spots.csv", tmp_path / "out", tmp_path / "todo.csv"
    table.to_csv(file, index=False)
    assert run("track", "--points", file, "-o", out, "--quiet") == 0
    assert run("sample", out, "-n", 35, "-o", todo) == 0
    assert "35 of 35 daughters" in capsys.readouterr().out
    answers = pd.read_csv(todo, dtype=str, keep_default_na=False)
    assert answers["frame"].astype(int).min() > 10
    answers["verdict"] = "mother"
    answers["mother"] = answers["tracked_mother"]
    answers.loc[0, ["verdict", "mother"]] = ["none", ""]
    answers.to_csv(todo, index=False)
    calibration = tmp_path / "calibration.json"
    assert run("fit", "--decisions", todo, "--points", file, "-o", calibration, "--quiet") == 0
    assert json.loads(calibration.read_text())["n_daughters"] == 35
    assert run("correct", out, todo, "-o", tmp_path / "new", "--quiet") == 0
    assert "35 decisions: 1 differ" in capsys.readouterr().out
    corrected = TrackingResult.load(tmp_path / "new")
    key = (int(answers["frame"][0]), answers["label"][0] if text else int(answers["label"][0]))
    assert corrected.mother[corrected.detections.find(*key)] == -1
    assert run("track", "--points", file, "-o", tmp_path / "T", "--temperature", calibration, "--quiet") == 0

    answers["frame"] = "999"
    answers.to_csv(todo, index=False)
    assert run("fit", "--decisions", todo, "--points", file, "-o", calibration, "--quiet") == 2
    assert "in frame 999" in capsys.readouterr().err


def test_a_bad_point_is_struck_out(tmp_path: Path) -> None:
    file, out = tmp_path / "spots.csv", tmp_path / "out"
    spots().assign(id=[f"c{k}" for k in range(30)]).to_csv(file, index=False)
    assert run("track", "--points", file, "-o", out, "--quiet") == 0
    (tmp_path / "bad.csv").write_text("frame,label,verdict,mother_frame,mother\n12,c11,bad,,\n")
    assert run("correct", out, tmp_path / "bad.csv", "-o", tmp_path / "new", "--quiet") == 0
    left = pd.read_csv(tmp_path / "new" / "cells.csv")
    assert len(left) == 29
    assert "c11" not in set(left["label"])


@pytest.mark.parametrize("command", ["fit", "evaluate"])
def test_annotated_points_take_a_voxel_size(tmp_path: Path, command: str) -> None:
    table = spots(ndim=3, n_frames=8)
    table.rename(columns={"id": "track"}).to_csv(tmp_path / "points.csv", index=False)
    tracks = "".join(f"{k} 9 16 0\n" for k in range(1, 6))
    (tmp_path / "man_track.txt").write_text(tracks)
    output = ("-o", tmp_path / "T.json") if command == "fit" else ("--json", tmp_path / "T.json")
    shared = ("--tracker", "distance", "--quiet")
    assert run(command, tmp_path, *output, *shared, "--voxel-size", "2,1,1") == 0
    assert run(command, tmp_path, *output, *shared, "--voxel-size", "1,1") == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tracker", "overlap"), "--tracker overlap looks at masks or images, and --points FILE has none"),
        (("--tracker", "activity"), "leave --tracker out, which takes distance"),
        (("--model", "small_2d"), "--model is for --tracker trackastra, not distance"),
        (("-i", "images"), "-i IMAGES go with -m MASKS"),
        (("--columns", "y=down"), "no column 'down'; it has"),
        (("--field", "10,10"), "outside the field of 10 x 10"),
        (("--voxel-size", "1,1,1"), "3 numbers but frames have 2 dimensions"),
        (("--channel", "2", "--trust-masks"), "--channel, --trust-masks say how images and masks are read"),
        (("--missing-frames", "skip"), "--missing-frames say how images and masks are read"),
    ],
)  # fmt: skip
def test_what_cannot_go_with_points_is_one_sentence(
    tmp_path: Path, options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "spots.csv"
    spots().to_csv(file, index=False)
    assert run("track", "--points", file, "-o", tmp_path / "out", *options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_masks_or_points_and_not_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given in ((), ("-m", "masks", "--points", "spots.csv")):
        with pytest.raises(SystemExit) as stopped:
            run("track", *given, "-o", tmp_path / "out")
        assert stopped.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err
    assert run("track", "-m", tmp_path, "-o", tmp_path / "out", "--field", "9,9") == 2
    assert "--field belongs to --points" in capsys.readouterr().err


def test_far_places_and_long_times_stay_exact_and_its_folder_can_be_doubted(tmp_path: Path) -> None:
    rows = [(480 + 2 * t, 12345.25 + 400 * k + t, 43210.75 + 300 * k) for t in range(4) for k in range(3)]
    table = pd.DataFrame(rows, columns=["frame", "y", "x"])
    table.to_csv(tmp_path / "spots.csv", index=False)
    out = tmp_path / "out"
    assert run("track", "--points", tmp_path / "spots.csv", "-o", out, "--interval", 30, "--quiet") == 0
    np.testing.assert_array_equal(pd.read_csv(out / "cells.csv")[["y", "x"]], table[["y", "x"]])
    assert run("export", out, "--to", "trackmate", "-o", tmp_path / "tracks.xml") == 0
    spots = ET.parse(tmp_path / "tracks.xml").iter("Spot")
    assert all(float(spot.attrib["POSITION_T"]) == 15 * int(spot.attrib["FRAME"]) for spot in spots)
    assert len(read_tracks(out).mother) == 9
