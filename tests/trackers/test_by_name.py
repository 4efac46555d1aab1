"""A tracker that is asked for by name suits the movie: planes and volumes have their own bundled model."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from torchtrack_uq import Calibration, Detections, TrackastraTracker, UncertainTracker
from torchtrack_uq.cli import main
from torchtrack_uq.datasets.read import spatial_dimensions
from torchtrack_uq.errors import InputError
from torchtrack_uq.trackers import make_tracker
from torchtrack_uq.trackers.by_name import TrackerByName
from torchtrack_uq.trackers.identity import tracker_identity
from torchtrack_uq.trackers.trackastra.models import bundled_models


def balls(n_frames: int = 4) -> np.ndarray:
    """(T, Z, Y, X) three balls that move slowly."""
    z, y, x = np.ogrid[:16, :48, :48]
    masks = np.zeros((n_frames, 16, 48, 48), np.uint16)
    for t in range(n_frames):
        for label, (b, a) in enumerate(((10, 10), (12, 34), (36, 22)), 1):
            masks[t][(z - 8) ** 2 + (y - b - t) ** 2 + (x - a) ** 2 < 30] = label
    return masks


def discs(n_frames: int = 4) -> np.ndarray:
    return balls(n_frames)[:, 8]


def points(ndim: int, n_frames: int = 4) -> Detections:
    rng = np.random.default_rng(1)
    start = rng.uniform(0, 100, (6, ndim))
    frame = np.repeat(np.arange(n_frames), 6)
    return Detections.from_points(frame, np.tile(start, (n_frames, 1)) + frame[:, None])


def model_of(name: str) -> str:
    return tracker_identity(TrackastraTracker.from_folder(bundled_models()[name]))


@pytest.mark.parametrize(("ndim", "model"), [(2, "small_2d"), (3, "small_3d")])
def test_the_bundled_model_has_the_dimensions_of_the_movie(ndim: int, model: str) -> None:
    made = make_tracker("trackastra", "cpu", ndim=ndim)
    assert made.config["coord_dim"] == ndim  # type: ignore[attr-defined]
    assert tracker_identity(made) == model_of(model)
    named = make_tracker("trackastra", "cpu", model="small_2d", ndim=ndim)
    assert tracker_identity(named) == model_of("small_2d")


def test_one_tracker_takes_planes_and_volumes_in_turn() -> None:
    tracker = UncertainTracker("trackastra", device="cpu")
    for masks, model in ((discs(), "small_2d"), (balls(), "small_3d"), (discs(), "small_2d")):
        result = tracker.track(None, masks, progress=False)
        assert result.settings["tracker"]["identity"] == model_of(model)
        assert tracker_identity(tracker.tracker) == model_of(model)
        assert result.cells["track"].nunique() == 3


def test_points_in_space_need_no_masks() -> None:
    result = UncertainTracker("trackastra", device="cpu").track_detections(points(3), progress=False)
    assert result.cells["track"].nunique() == 6
    with pytest.raises(InputError, match="or use a model that takes points, such as small_3d for volumes"):
        UncertainTracker("trackastra", device="cpu").track_detections(points(2), progress=False)


def test_a_calibration_is_not_taken_to_another_model(tmp_path: Path) -> None:
    fitted = Calibration(
        temperature=1.5,
        method="auto",
        tracker=model_of("small_2d"),
        n_daughters=100,
        nll_before=1.0,
        nll_after=0.9,
    )
    tracker = UncertainTracker("trackastra", temperature=fitted, device="cpu", max_gap=1)
    with pytest.raises(InputError, match=r"the movie is 3D but the model 2D.*--model small_3d"):
        tracker.track(None, balls(), progress=False)


def test_each_is_made_once() -> None:
    named = TrackerByName("trackastra", "cpu")
    assert named(3) is named(3) is not named(2)


class TestCommandLine:
    @pytest.fixture
    def spots(self, tmp_path: Path) -> Path:
        cells = points(3, 8)
        table = pd.DataFrame(cells.coords, columns=["z", "y", "x"])
        table["frame"], table["track"] = cells.frame, np.tile(np.arange(1, 7), 8)
        table.to_csv(tmp_path / "points.csv", index=False)
        (tmp_path / "man_track.txt").write_text("".join(f"{k} 0 7 0\n" for k in range(1, 7)))
        return tmp_path / "points.csv"

    def test_spots_in_space_take_the_transformer(self, spots: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        options = ["--tracker", "trackastra", "--device", "cpu", "--quiet"]
        assert main(["track", "--points", str(spots), "-o", str(out), *options]) == 0
        cells = pd.read_csv(out / "cells.csv")
        assert cells["track"].nunique() == 6
        assert model_of("small_3d") in (out / "settings.json").read_text()

    @pytest.mark.parametrize("command", ["fit", "evaluate"])
    def test_annotated_spots_likewise(self, spots: Path, tmp_path: Path, command: str) -> None:
        assert spatial_dimensions(tmp_path) == 3
        options = ["--tracker", "trackastra", "--device", "cpu", "--quiet"]
        file = tmp_path / f"{command}.json"
        named = ["-o", str(file)] if command == "fit" else ["--json", str(file)]
        assert main([command, str(tmp_path), *named, *options]) == 0
        assert model_of("small_3d") in file.read_text() if command == "fit" else file.is_file()

    @pytest.mark.parametrize("given", ["spots", "volumes"])
    def test_decisions_on_cells_in_space_are_fitted_with_the_model_that_tracked_them(
        self, spots: Path, tmp_path: Path, given: str
    ) -> None:
        verdicts = [f"{t},{k},mother,{t - 1},{k}" for t in (1, 2, 3) for k in (1, 2, 3)]
        file = tmp_path / "decisions.csv"
        file.write_text("\n".join(["frame,label,verdict,mother_frame,mother", *verdicts]) + "\n")
        if given == "volumes":
            tifffile.imwrite(tmp_path / "masks.tif", balls(), metadata={"axes": "TZYX"})
            movie = ["-m", str(tmp_path / "masks.tif")]
        else:
            movie = ["--points", str(spots), "--columns", "id=track"]
        options = ["--tracker", "trackastra", "--device", "cpu", "--quiet", "--decisions", str(file)]
        assert main(["fit", *movie, *options, "-o", str(tmp_path / "fit.json")]) == 0
        assert model_of("small_3d") in (tmp_path / "fit.json").read_text()

    def test_spots_in_the_plane_are_refused_with_what_to_do(
        self, spots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        flat = pd.read_csv(spots).drop(columns="z")
        flat.to_csv(tmp_path / "flat.csv", index=False)
        options = ["--tracker", "trackastra", "--device", "cpu", "--quiet"]
        assert (
            main(["track", "--points", str(tmp_path / "flat.csv"), "-o", str(tmp_path / "out"), *options])
            == 2
        )
        assert "a model that takes points, such as small_3d for volumes, or the tracker distance" in (
            capsys.readouterr().err
        )
        assert not (tmp_path / "out").exists()

    def test_the_bundled_temperature_is_not_for_volumes(
        self, spots: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        options = ["--tracker", "trackastra", "--temperature", "bundled", "--device", "cpu", "--quiet"]
        movie = ["--points", str(spots), "--columns", "id=track"]
        assert main(["track", *movie, "-o", str(tmp_path / "out"), *options]) == 2
        assert "--temperature bundled is of small_2d, but the movie is 3D" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
