"""The motion that neighbours have in common, found without links."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import KDTree

from torchtrack_uq import Detections, DistanceTracker, UncertaintyLayer
from torchtrack_uq.calibration.movie_prior import movie_prior
from torchtrack_uq.cli import main
from torchtrack_uq.errors import InputError
from torchtrack_uq.trackers import make_tracker
from torchtrack_uq.trackers.common_motion import common_motion, motion_since
from torchtrack_uq.trackers.identity import tracker_identity

seeds = st.integers(0, 2**32 - 1)


def scattered(rng: np.random.Generator, n: int = 150, ndim: int = 2, spacing: float = 10.0) -> np.ndarray:
    """Places on a shaken grid, `spacing` apart."""
    along = round(n ** (1 / ndim))
    grid = np.stack(np.meshgrid(*[np.arange(along)] * ndim), axis=-1).reshape(-1, ndim)
    return spacing * (grid + rng.uniform(-0.25, 0.25, grid.shape))


@given(seeds, st.sampled_from([2, 3]), st.floats(0, 0.6))
def test_a_drift_is_found(seed: int, ndim: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    before = scattered(rng, ndim=ndim)
    drift = rng.normal(size=ndim)
    drift *= 10 * 0.6 * share / np.linalg.norm(drift)
    order = rng.permutation(len(before))
    after = (before + drift)[order]
    assert np.abs(common_motion(before, after) - drift).max() < 0.7


def test_growth_and_rotation_are_found_to_a_tenth_of_what_cells_move() -> None:
    rng = np.random.default_rng(0)
    before = scattered(rng)
    centre = before.mean(axis=0)
    turn = np.array([[np.cos(0.05), -np.sin(0.05)], [np.sin(0.05), np.cos(0.05)]])
    after = (before - centre) @ turn.T * 1.06 + centre
    true = after - before
    found = common_motion(before, after)
    inside = (np.abs(before - centre) < 45).all(axis=1)  # neighbours at the edge lie on one side
    assert (
        np.linalg.norm((found - true)[inside], axis=1).mean()
        < 0.1 * np.linalg.norm(true, axis=1).mean() + 0.2
    )


@given(seeds)
def test_cells_that_go_their_own_way_have_nothing_in_common(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before = scattered(rng)
    after = before + rng.normal(size=before.shape) * 1.5
    assert np.linalg.norm(common_motion(before, after), axis=1).mean() < 1.0


@pytest.mark.parametrize("spacings", [0.6, 1.0, 1.5])
def test_a_drift_by_more_than_the_distance_between_cells_is_found(spacings: float) -> None:
    """Cells that have left the field and others that have come into it included; nearest cells are all wrong."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        everywhere = rng.uniform(-100, 220, (1000, 2))
        drift = rng.normal(size=2)
        drift *= 10 * spacings / np.linalg.norm(drift)
        later = everywhere + drift + rng.normal(size=everywhere.shape) * 0.5
        before, after = (x[((x > 0) & (x < 120)).all(axis=1)] for x in (everywhere, later))
        assert np.linalg.norm(common_motion(before, after) - drift, axis=1).mean() < 1.5


@pytest.mark.parametrize("growth", [1.15, 1.3])
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_colony_that_grows_is_found_to_grow(growth: float, ndim: int) -> None:
    """Cells at its rim move by more than they lie apart, each into another direction."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        before = rng.normal(size=(80, ndim))
        before *= 40 * rng.uniform(size=(80, 1)) ** (1 / ndim) / np.linalg.norm(before, axis=1, keepdims=True)
        after = growth * before + 7 + rng.normal(size=before.shape) * 0.3
        left = KDTree(before).query(after - common_motion(before, after))[1] == np.arange(80)
        assert left.mean() > 0.9


@pytest.mark.parametrize("seed", range(8))
def test_a_colony_that_doubles_is_found_where_daughters_part_by_more_than_cells_lie_apart(seed: int) -> None:
    """Twice as many cells in twice the space: enough to believe a search that leaves them only a little nearer."""
    rng = np.random.default_rng(seed)
    before = rng.normal(size=(150, 3))
    before *= rng.uniform(size=(150, 1)) ** (1 / 3) / np.linalg.norm(before, axis=1, keepdims=True)
    before *= 10 / np.median(KDTree(before).query(before, k=2)[0][:, 1])
    apart = rng.normal(size=before.shape)
    apart *= 10 / np.linalg.norm(apart, axis=1, keepdims=True)
    after = np.concatenate([2 ** (1 / 3) * before + side * apart for side in (-1, 1)]) + 3
    after += rng.normal(size=after.shape) * 2
    nearest = KDTree(before).query(after - common_motion(before, after))[1]
    assert (nearest == np.tile(np.arange(150), 2)).mean() > 0.58


@given(seeds, st.sampled_from([3.0, 5.0, 8.0]), st.integers(2, 3))
def test_nothing_in_common_is_made_up_where_nobody_can_tell(seed: int, step: float, ndim: int) -> None:
    rng = np.random.default_rng(seed)
    before = scattered(rng, ndim=ndim)
    after = before + rng.normal(size=before.shape) * step
    assert np.linalg.norm(common_motion(before, after), axis=1).mean() < 2.0


@given(seeds, st.floats(0.01, 100), st.integers(2, 3))
def test_it_moves_turns_and_grows_with_the_movie(seed: int, factor: float, ndim: int) -> None:
    rng = np.random.default_rng(seed)
    before = scattered(rng, 80, ndim)
    after = before + rng.normal(size=ndim) * 2 + rng.normal(size=before.shape) * 0.5
    wanted = factor * common_motion(before, after)
    found = common_motion(factor * before + 500, factor * after + 500)
    np.testing.assert_allclose(found, wanted, atol=1e-6 * factor)


@pytest.mark.parametrize("n", [0, 1, 4])
def test_few_cells_say_nothing(n: int) -> None:
    rng = np.random.default_rng(0)
    many = scattered(rng)
    assert not common_motion(many[:n], many).any()
    assert common_motion(many, many[:n]).shape == (n, 2)


def test_cells_that_come_and_go_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    before = scattered(rng, 200)
    after = before + np.array([3.0, -2.0])
    found = common_motion(before[rng.random(len(before)) > 0.1], after[rng.random(len(after)) > 0.1])
    assert np.abs(np.median(found, axis=0) - [3.0, -2.0]).max() < 0.3


def test_places_upon_each_other_are_no_reason_to_fail() -> None:
    same = np.zeros((20, 2))
    assert np.isfinite(common_motion(same, same)).all()
    assert np.isfinite(common_motion(same, same + 5)).all()


class TestSince:
    def test_steps_add_up_over_frames(self) -> None:
        rng = np.random.default_rng(1)
        first = scattered(rng)
        frames = [first + np.array(shift) for shift in ((0, 0), (3.0, 0), (3.0, 2.0), (0, 2.0))]
        n = len(first)
        found = motion_since(np.arange(5) * n, np.concatenate(frames), 3)
        assert not found[:n].any()
        last = found[3 * n :]
        for back, wanted in enumerate(([-3.0, 0], [-3.0, 2.0], [0, 2.0])):
            assert np.abs(np.median(last[:, back], axis=0) - wanted).max() < 0.2
        np.testing.assert_allclose(found[n : 2 * n, 1], found[n : 2 * n, 0])

    def test_empty_frames_say_nothing(self) -> None:
        rng = np.random.default_rng(1)
        first = scattered(rng)
        n = len(first)
        found = motion_since(np.array([0, n, n, 2 * n]), np.concatenate([first, first + 3.0]), 2)
        assert not found.any()
        assert motion_since(np.zeros(4, np.int64), np.zeros((0, 3)), 2).shape == (0, 2, 3)


class TestDistances:
    """`DistanceTracker(without_common_motion=True)`."""

    @staticmethod
    def flowing(drift: float, n_frames: int = 6) -> tuple[Detections, np.ndarray]:
        """Cells 10 apart that go the same way, and which cell each is."""
        rng = np.random.default_rng(0)
        place = scattered(rng, 144)
        frames = [
            place + t * np.array([drift, drift / 2]) + rng.normal(size=place.shape) * 0.7
            for t in range(n_frames)
        ]
        frame = np.repeat(np.arange(n_frames), len(place))
        label = np.tile(np.arange(len(place)) + 1, n_frames)
        return Detections.from_points(frame, np.concatenate(frames), label), label

    @staticmethod
    def share_right(tracker: DistanceTracker, cells: Detections, label: np.ndarray) -> float:
        graph = tracker.candidates(cells, progress=False)
        selected = UncertaintyLayer("auto")(graph).link > 0.5
        mother, daughter = graph.mother[selected].numpy(), graph.daughter[selected].numpy()
        right = (label[mother] == label[daughter]).sum()
        return float(right / (cells.frame > 0).sum())

    @pytest.mark.parametrize("max_gap", [1, 2])
    def test_cells_that_flow_together_are_linked(self, max_gap: int) -> None:
        cells, label = self.flowing(4.0)
        plain, still = (
            self.share_right(DistanceTracker(max_gap=max_gap, without_common_motion=common), cells, label)
            for common in (False, True)
        )
        assert still > 0.97
        assert still > plain + 0.05

    def test_links_over_gaps_follow_the_flow(self) -> None:
        cells, label = self.flowing(4.0)
        kept = (np.arange(len(cells)) % 10 != 3) | (cells.frame == 0)
        some = Detections.from_points(cells.frame[kept], cells.coords[kept], cells.label[kept])
        assert (
            self.share_right(DistanceTracker(max_gap=2, without_common_motion=True), some, label[kept]) > 0.95
        )

    def test_it_is_off_by_default_and_copies_have_their_own(self) -> None:
        cells, _ = self.flowing(3.0)
        assert not DistanceTracker().without_common_motion
        tracker = DistanceTracker(max_gap=2, without_common_motion=True)
        (copy,) = tracker.candidates_of_copies(cells, None, [(cells, None)], progress=False)
        whole = tracker.candidates(cells, progress=False)
        assert copy.score.tolist() == whole.score.tolist()

    def test_one_cell_a_frame_is_no_reason_to_fail(self) -> None:
        cells = Detections.from_points(np.arange(3), np.array([[0.0, 0], [3, 4], [6, 8]]))
        tracker = DistanceTracker(without_common_motion=True)
        assert tracker.candidates(cells).score.tolist() == DistanceTracker().candidates(cells).score.tolist()

    def test_its_calibrations_are_its_own_and_its_prior_is_that_of_distances(self) -> None:
        plain, still = (make_tracker("distance", without_common_motion=out) for out in (None, True))
        assert tracker_identity(plain) != tracker_identity(still)
        assert movie_prior(still) is movie_prior(plain) is not None
        with pytest.raises(
            InputError, match="tracker overlap takes no without common motion; it is for distance"
        ):
            make_tracker("overlap", without_common_motion=True)

    def test_the_command_line_takes_it(self, tmp_path: Path) -> None:
        cells, label = self.flowing(4.0, n_frames=4)
        table = pd.DataFrame({"frame": cells.frame, "y": cells.coords[:, 0], "x": cells.coords[:, 1]})
        table.to_csv(tmp_path / "cells.csv", index=False)
        out = tmp_path / "out"
        options = ["--points", str(tmp_path / "cells.csv"), "--quiet", "--without-common-motion"]
        assert main(["track", *options, "-o", str(out)]) == 0
        found = pd.read_csv(out / "cells.csv")["track"].to_numpy()
        assert np.mean([found[label == one].std() == 0 for one in range(1, 145)]) > 0.97
        settings = json.loads((out / "settings.json").read_text())
        assert settings["tracker"]["identity"] == "distance:without-common-motion"
        assert settings["prior"]["name"] == "distance"
