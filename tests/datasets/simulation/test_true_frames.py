"""Simulated movies move, divide, die and stay as they were asked to, and the truth about them is exact."""

import os
import subprocess
import sys
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from torchtrack_uq.datasets.simulation import Conditions, simulate, stream
from torchtrack_uq.datasets.simulation.true_frames import TrueFrame, simulate_frames
from torchtrack_uq.errors import InputError

WIDE = (4000.0, 4000.0)


def squared_displacements(frames: list[TrueFrame], k: int) -> np.ndarray:
    """Of cells that are there for k frames without dividing, from the first frame."""
    first, last = frames[0], frames[k]
    here = np.isin(last.track, first.track)
    back = np.searchsorted(first.track, last.track[here])
    return ((last.place[here] - first.place[back]) ** 2).sum(axis=1)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("r", [0.0, 0.8])
def test_the_mean_squared_displacement_is_that_of_a_persistent_walk(ndim: int, r: float) -> None:
    conditions = Conditions(
        6, 4000, (4000.0,) * ndim, motion=3.0, persistence=r, divide=0.0, disappear=0.0, appear=0.0
    )
    frames = list(simulate_frames(conditions, 1))
    for k in (1, 3, 5):
        expected = ndim * 9 * (k + 2 * sum((k - j) * r**j for j in range(1, k)))
        found = squared_displacements(frames, k)
        assert found.mean() == pytest.approx(expected, abs=4 * found.std() / np.sqrt(len(found)))


def test_drift_and_measured_steps_are_taken_as_they_are() -> None:
    pools = [np.array([[1.0, 0.0]]), np.array([[0.0, 2.0], [0.0, 4.0]])]
    conditions = Conditions(
        8, 200, WIDE, steps=pools, drift=(0.5, 0.0), divide=0, disappear=0, appear=0, border="gone"
    )
    frames = list(simulate_frames(conditions, 0))
    kinds = set()
    for before, after in pairwise(frames):
        step = (after.place - before.place[after.mother] - [0.5, 0.0]).round(9)
        kinds.add(tuple(sorted({tuple(row) for row in step.tolist()})))
    assert kinds == {((1.0, 0.0),), ((0.0, 2.0), (0.0, 4.0))}


def test_steps_that_were_measured_somewhere_are_taken_by_cells_that_are_near_each_other() -> None:
    places = np.stack(np.meshgrid(np.arange(20) * 10.0, np.arange(20) * 10.0), -1).reshape(-1, 2)
    steps = np.where(places[:, :1] < 100, [[3.0, 0.0]], [[0.0, 4.0]])
    conditions = Conditions(
        2, 500, (400.0, 400.0), steps=[steps], step_places=[places], divide=0, disappear=0, appear=0
    )
    before, after = simulate_frames(conditions, 1)
    linked = after.mother >= 0
    place = before.place[after.mother[linked]]
    step = np.abs(after.place[linked] - place).round(6)
    assert {tuple(row) for row in step.tolist()} == {(3.0, 0.0), (0.0, 4.0)}
    distance = np.linalg.norm(place[:, None] - place[None], axis=2)
    alike = step[:, 0][:, None] == step[:, 0][None]
    assert alike[(distance > 0) & (distance < 12)].mean() > 0.85
    assert 0.4 < (step[:, 0] == 3).mean() < 0.6


def test_no_cell_leaves_or_comes_over_a_closed_border() -> None:
    conditions = Conditions(
        20, 100, (80.0, 60.0), motion=15.0, divide=0, disappear=0, appear=0, apart=3.0, border="closed"
    )
    for frame in simulate_frames(conditions, 2):
        assert len(frame) == 100
        assert (frame.place >= 0).all()
        assert (frame.place < [80, 60]).all()


def test_flow_has_its_size_and_neighbours_flow_together() -> None:
    ratios, sizes = [], []
    for seed in range(12):
        conditions = Conditions(
            2, 3000, (900.0, 900.0), motion=0, flow=4.0, flow_length=300, divide=0, disappear=0, appear=0
        )
        before, after = simulate_frames(conditions, seed)
        step = after.place[after.mother >= 0] - before.place[after.mother[after.mother >= 0]]
        place = before.place[after.mother[after.mother >= 0]]
        near = np.linalg.norm(place - place[0], axis=1) < 20
        sizes.append((step**2).mean())
        ratios.append(((step[near] - step[0]) ** 2).mean() / (step**2).mean())
    assert np.sqrt(np.mean(sizes)) == pytest.approx(4.0, rel=0.2)
    assert np.median(ratios) < 0.2  # unrelated steps have 2


def test_every_daughter_has_her_mother_and_every_division_two_daughters() -> None:
    conditions = Conditions(
        30, 300, (600.0, 600.0), divide=0.1, disappear=0.05, border="gone", separation=4.0, motion=1.0
    )
    frames = list(simulate_frames(conditions, 4))
    n_divisions = 0
    for before, after in pairwise(frames):
        linked = after.mother >= 0
        same = linked & (before.track[after.mother] == after.track)
        born = linked & ~same
        assert np.array_equal(after.parent[born], before.track[after.mother[born]])
        assert (after.begin[born] == after.t).all()
        assert (after.begin[~linked] == after.t).all()
        assert not after.parent[~linked].any()
        distance = np.linalg.norm(after.place[linked] - before.place[after.mother[linked]], axis=1)
        assert distance.max() < 2 + 6  # where they start, and six standard deviations
        children = np.bincount(after.mother[linked], minlength=len(before))
        assert not children[after.died].any()
        inside = ((before.place > 12) & (before.place < 588)).all(axis=1)
        assert set(np.bincount(after.mother[born], minlength=len(before))[inside]) <= {0, 2}
        n_divisions += int((children == 2).sum())
    expected = 0.1 * sum(map(len, frames[:-1]))
    assert n_divisions == pytest.approx(expected, abs=4 * np.sqrt(expected) + 0.03 * expected)


def test_cells_grow_exponentially_where_more_divide_than_die() -> None:
    conditions = Conditions(21, 2000, WIDE, motion=0.1, divide=0.08, disappear=0.03, appear=0, separation=0.1)
    counts = [len(frame) for frame in simulate_frames(conditions, 2)]
    assert counts[20] / counts[0] == pytest.approx(1.05**20, rel=0.05)
    assert sum(counts) == pytest.approx(conditions.expected_cells, rel=0.05)


@pytest.mark.parametrize(("divide", "disappear"), [(0.1, 0.0), (0.0, 0.1), (0.05, 0.05)])
def test_a_steady_density_stays(divide: float, disappear: float) -> None:
    conditions = Conditions(
        120, 500, (1000.0, 1000.0), divide=divide, disappear=disappear, appear=0, steady=True
    )
    counts = [len(frame) for frame in simulate_frames(conditions, 3)]
    assert np.mean(counts) == pytest.approx(
        500, rel=0.06
    )  # families stay together: they vary more than Poisson
    assert np.ptp(counts) < 300


def test_an_open_border_keeps_the_density_up_to_the_edge_and_counts_who_returns_as_new() -> None:
    conditions = Conditions(
        20, 400, (300.0, 300.0), motion=10.0, drift=(4.0, -2.0), divide=0, disappear=0, appear=0
    )
    frames = list(simulate_frames(conditions, 5))
    place = np.concatenate([frame.place for frame in frames])
    edge = ((place < 15) | (place > 285)).any(axis=1).mean()
    assert edge == pytest.approx(1 - 0.9**2, abs=0.02)
    assert np.mean([len(frame) for frame in frames]) == pytest.approx(400, rel=0.1)
    seen: set[int] = set()
    for before, after in pairwise(frames):
        seen |= set(before.track.tolist())
        assert not set(after.track[after.mother < 0].tolist()) & seen


def test_cells_that_push_are_apart() -> None:
    conditions = Conditions(6, 500, (300.0, 300.0), motion=4.0, apart=9.0)
    for frame in simulate_frames(conditions, 6):
        between = np.linalg.norm(frame.place[:, None] - frame.place[None], axis=2)
        np.fill_diagonal(between, np.inf)
        assert (between.min(axis=1) > 8.5).mean() > 0.97  # all but a few have found room


def test_the_same_seed_makes_the_same_movie_and_longer_movies_begin_alike() -> None:
    short, long, other = (
        list(simulate_frames(Conditions(n, 40, apart=5, steady=True, persistence=0.5, flow=1.0), seed))
        for n, seed in ((5, 1), (9, 1), (5, 2))
    )
    for a, b in zip(short, long, strict=False):
        for name, column in vars(a).items():
            assert np.array_equal(column, getattr(b, name)), name
    assert not np.array_equal(short[0].place, other[0].place)


def test_the_number_of_threads_changes_nothing() -> None:
    code = (
        "import hashlib; from torchtrack_uq.datasets.simulation import *; "
        "c = Conditions(4, 3000, (900, 900), flow=2.0, apart=8.0, persistence=0.5); "
        "h = hashlib.sha256(); [h.update(f.true.place.tobytes()) or "
        "h.update(paint(c, f.true.place, f.looks).owner.tobytes()) for f in stream(c)]; print(h.hexdigest())"
    )
    found = set()
    for threads in ("1", "4"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | dict.fromkeys(names, threads),
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_memory_does_not_grow_with_the_number_of_frames() -> None:
    def peak(n_frames: int) -> int:
        conditions = Conditions(n_frames, 200, steady=True, apart=5.0)
        tracemalloc.start()
        for _ in stream(conditions):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(3)
    assert peak(400) < 1.5 * peak(20)


def test_lineages_hold_every_track_from_its_first_to_its_last_frame() -> None:
    movie = simulate(Conditions(25, 100, divide=0.05, disappear=0.05), 8)
    cells = movie.detections
    for label, begin, end in zip(movie.lineage.label, movie.lineage.begin, movie.lineage.end, strict=True):
        assert cells.frame[cells.label == label].tolist() == list(range(begin, end + 1))


def test_a_movie_with_planes_apart_is_in_voxels_and_has_its_scale() -> None:
    conditions = Conditions(
        3, 300, (20, 100, 100), motion=3.0, voxel_size=(2.0, 0.5, 0.5), interval=60.0, divide=0, disappear=0
    )
    movie = simulate(conditions, 9)
    assert movie.detections.voxel_size == (2.0, 0.5, 0.5)
    assert movie.detections.interval == 60
    assert movie.detections.field_shape == (20, 100, 100)
    assert movie.detections.coords.max(axis=0) == pytest.approx([20, 100, 100], rel=0.05)
    linked = movie.mother >= 0
    steps = (
        movie.detections.isotropic_coords[linked] - movie.detections.isotropic_coords[movie.mother[linked]]
    )
    assert steps.std(axis=0) == pytest.approx([3, 3, 3], rel=0.15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"motion": float("nan")}, "motion must be"),
        ({"diameter": 0}, "diameter must be above 0"),
        ({"persistence": 1.0}, "below 1"),
        ({"elongation": 0.5}, "at least 1, a circle"),
        ({"border": "shut"}, "'open', 'gone' or 'closed'"),
        ({"steady": True, "border": "gone"}, "needs border='open' or 'closed'"),
        ({"drift": (1.0,)}, "expected 2 finite numbers"),
        ({"steps": []}, "at least one"),
        ({"steps": [np.zeros((0, 2))]}, "none of them empty"),
        ({"steps": [np.ones((3, 3))]}, "arrays \\(K, 2\\)"),
        ({"steps": [np.ones((3, 2))], "persistence": 0.5}, "give one of the two"),
        ({"step_places": [np.ones((3, 2))]}, "give the steps too"),
        ({"steps": [np.ones((3, 2))], "step_places": [np.ones((2, 2))]}, "of the same shapes as steps"),
        ({"divide": 0.7, "disappear": 0.7}, "sum to at most 1"),
        ({"size": (10, 10, 10, 10)}, "two or three positive lengths"),
        ({"voxel_size": (1.0, 1.0, 1.0)}, "frames have 2 dimensions"),
        ({"interval": 0.0}, "interval is 0.0"),
        ({"motion": 1e5}, "fields would have to be simulated"),
        ({"motion": 1e300}, "fields would have to be simulated"),
        ({"motion": 1e308}, "fields would have to be simulated"),
        ({"divide": 1.0, "disappear": 0.0, "n_frames": 60}, "cells would live in one frame"),
        ({"divide": 0.9, "disappear": 0.0, "n_frames": 100_000}, "cells would live in one frame"),
        ({"n_frames": 10**8, "appear": 0.0}, "cells would live in one frame"),
        (
            {"n_cells": 200, "size": (5.0, 5.0), "apart": 11.0},
            "to begin with cells lie 0.354 from each other",
        ),
        ({"divide": 0.3, "n_frames": 30, "apart": 11.0}, "in the fullest frame cells lie"),
        ({"appear": 1e12}, "cells would live in one frame"),
        ({"n_cells": 10**12}, "cells would live in one frame"),
    ],
)
def test_conditions_that_cannot_be_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Conditions(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 0.5, "a"])
def test_seeds_that_cannot_be_are_refused_before_anything_is_simulated(seed: object) -> None:
    with pytest.raises(InputError, match="expected a whole number of at least 0"):
        simulate_frames(Conditions(), seed)  # type: ignore[arg-type]
