"""A pilot movie gives back the numbers that it was simulated with, and predicts its own subsampled movies."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from torchtrack_uq import UncertainTracker
from torchtrack_uq.cli import main
from torchtrack_uq.datasets.simulation import Conditions, simulate
from torchtrack_uq.errors import InputError
from torchtrack_uq.planning import MeasuredSteps, Pilot, outcome_of, predict

CONDITIONS = Conditions(
    25, 150, (400.0, 400.0), motion=2.0, divide=0.01, disappear=0.0, appear=0.0, apart=12.0, separation=12.0
)


@pytest.fixture(scope="module")
def pilot() -> Pilot:
    movie = simulate(CONDITIONS, 1)
    return Pilot.of(UncertainTracker("distance").track_detections(movie.detections, progress=False))


def test_density_motion_and_divisions_are_those_of_the_simulation(pilot: Pilot) -> None:
    culture, movie = pilot.culture(), simulate(CONDITIONS, 1)
    density = len(movie) / 25 / 400**2
    assert culture.density == pytest.approx(density, rel=0.25)  # beyond the border there are neighbours too
    assert culture.divide == pytest.approx(0.01, rel=0.5)
    assert culture.disappear < 0.004
    assert culture.missed < 0.01
    assert not culture.closed
    assert culture.separation == pytest.approx(12, rel=0.25)
    assert isinstance(culture.motion, MeasuredSteps)
    for lag in (1, 4):
        step = np.concatenate([step for _, step in culture.motion.at(lag)])
        linked = movie.strided(lag)
        true = (
            linked.detections.coords[linked.mother >= 0]
            - linked.detections.coords[linked.mother[linked.mother >= 0]]
        )
        assert np.median(np.abs(step)) == pytest.approx(np.median(np.abs(true)), rel=0.15)


def test_a_movie_that_is_seen_whole_is_closed() -> None:
    conditions = replace(CONDITIONS, border="closed", divide=0.0)
    movie = simulate(conditions, 1)
    assert Pilot.of(UncertainTracker("distance").track_detections(movie.detections, progress=False)).closed


@pytest.mark.parametrize("stride", [2, 4])
def test_a_pilot_predicts_its_own_movie_at_longer_intervals(pilot: Pilot, stride: int) -> None:
    movie = simulate(CONDITIONS, 1).strided(stride)
    real = outcome_of(UncertainTracker("distance"), movie.detections, movie.targets(2))
    found = predict(pilot.culture(), stride, repeats=2, n_cells=150)
    assert found.wrong == pytest.approx(real.wrong, rel=0.6, abs=0.006)
    assert found.doubtful == pytest.approx(real.doubtful, rel=0.6, abs=0.02)


@pytest.mark.parametrize("stride", [2, 5])
def test_subsampled_mothers_are_those_of_the_whole_movie(stride: int) -> None:
    """Of a pilot that is right and sure everywhere; where a mother was missed there are none."""
    movie = simulate(replace(CONDITIONS, divide=0.03), 2)
    cells = movie.detections
    sure = np.ones(len(movie), dtype=bool)
    found = Pilot(cells, movie.mother, sure, {}, False)
    subset, targets = found.subsampled(stride)
    expected = movie.strided(stride)
    assert np.array_equal(subset.coords, expected.detections.coords)
    assert np.array_equal(subset.frame, expected.detections.frame)
    assert np.array_equal(targets.mother.numpy(), expected.mother)
    sure[cells.frame == stride] = False
    known = replace(found, sure=sure).subsampled(stride)[1].known.numpy()
    assert not known[subset.frame == 1].any()
    assert known[subset.frame == 2].all()


def test_pilots_that_say_too_little_are_refused() -> None:
    fast = simulate(replace(CONDITIONS, motion=18.0, n_frames=4, n_cells=25, size=(160.0, 160.0)), 1)
    with pytest.raises(InputError, match="too few to learn from"):
        Pilot.of(UncertainTracker("distance").track_detections(fast.detections, progress=False))
    few = simulate(Conditions(5, 8, (400.0, 400.0), motion=1.0, divide=0, disappear=0, appear=0), 1)
    short = Pilot.of(UncertainTracker("distance").track_detections(few.detections, progress=False))
    with pytest.raises(InputError, match="fewer than 100 sure links"):
        short.culture()
    with pytest.raises(InputError, match="stride 9 leaves fewer than two"):
        short.subsampled(9)


FAST = ["--cells", "40", "--frames", "4", "--repeats", "2", "--quiet"]


def test_the_command_plans_from_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "plan.csv"
    cells = [
        "--density",
        "25",
        "--speed",
        "0.4",
        "--persistence",
        "10",
        "--diameter",
        "12",
        "--division-time",
        "20",
    ]
    assert main(["plan", "-o", str(table), *cells, "--every", "2,40", *FAST]) == 0
    shown = capsys.readouterr().out
    assert "At 25 cells per (100 µm)², image every 2 min for at most 1 % wrong links" in shown
    found = pd.read_csv(table)
    assert found["interval"].tolist() == [2, 40]
    assert (tmp_path / "plan.png").stat().st_size > 10_000
    assert main(["plan", "-o", str(table), *cells, "--every", "2", *FAST]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_the_command_plans_in_a_field_and_in_3d(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--density", "125", "--field", "50,100,100", "--diffusion", "0.5", "--every", "1", *FAST]
    assert main(["plan", "-o", str(tmp_path / "plan.csv"), *asked]) == 0
    assert "At 250 cells per (100 µm)³" in capsys.readouterr().out


def test_the_command_plans_from_a_pilot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = simulate(CONDITIONS, 1).detections
    points = pd.DataFrame({"frame": cells.frame, "y": cells.coords[:, 0], "x": cells.coords[:, 1]})
    points.to_csv(tmp_path / "points.csv", index=False)
    table = tmp_path / "plan.csv"
    asked = ["--pilot", str(tmp_path / "points.csv"), "--interval", "300", "--density", "0.5,1", *FAST]
    assert main(["plan", "-o", str(table), *asked, "--every", "5,20"]) == 0
    shown = capsys.readouterr().out
    assert "every 10 min, the pilot itself has" in shown
    assert "of the pilot's own links are expected to be wrong" in shown
    found = pd.read_csv(table)
    assert found["density"].nunique() == 2
    assert main(["plan", "-o", str(tmp_path / "other.csv"), *asked, "--every", "7"]) == 2
    assert "nothing is extrapolated" in capsys.readouterr().err
    assert not (tmp_path / "other.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "a plan needs --density and --speed"),
        (["--density", "10"], "a plan needs --density and --speed"),
        (["--density", "10", "--speed", "1", "--interval", "60"], "--interval belongs to --pilot"),
        (["--density", "10", "--diffusion", "1", "--persistence", "3"], "has no memory"),
        (["--density", "10", "--speed", "1", "--field", "5"], "two or three positive lengths"),
        (["--density", "10", "--speed", "1", "--division-time", "0"], "expected a positive number"),
        (["--density", "900", "--speed", "1", "--diameter", "12"], "have no room"),
        (["--pilot", "nowhere.csv", "--speed", "1"], "say the same thing"),
        (["--pilot", "nowhere"], "does not exist"),
        (
            ["--pilot", "nowhere", "--interval", "-3"],
            "--interval is -3; expected a positive number of seconds",
        ),
        (["--density", "10,-3", "--speed", "1"], "--density has -3; expected positive numbers"),
    ],
)
def test_the_command_refuses_what_cannot_be(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "-o", str(tmp_path / "plan.csv"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main(["plan", "-o", str(tmp_path / "plan.txt"), "--density", "1", "--speed", "1"]) == 2
