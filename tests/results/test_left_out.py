"""Tracks whose alternatives are each too improbable to be drawn are not certain for all that."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.walkers import walkers
from torchtrack_uq import Detections, DistanceTracker, UncertainTracker
from torchtrack_uq.posterior.histories import draw_histories
from torchtrack_uq.results.known_tracks import tracks_of
from torchtrack_uq.results.left_out import LeftOut, WithoutLeftOut
from torchtrack_uq.results.track_decisions import TrackDecisions
from torchtrack_uq.results.track_probabilities import tracks_table
from torchtrack_uq.results.tracklets import tracklets


def forest(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Frames, and mothers of one of the two frames before or none."""
    rng = np.random.default_rng(seed)
    frame = np.sort(rng.integers(0, 12, n))
    mother, load = np.full(n, -1), np.zeros(n, int)
    for cell in range(n):
        free = np.flatnonzero((frame < frame[cell]) & (frame >= frame[cell] - 2) & (load < 2))
        if len(free) and rng.random() < 0.9:
            mother[cell] = rng.choice(free)
            load[mother[cell]] += 1
    return frame, mother


@pytest.mark.parametrize("seed", range(20))
def test_each_link_counts_once_against_what_it_contradicts(seed: int) -> None:
    frame, mother = forest(seed)
    rng = np.random.default_rng(seed + 100)
    decided = TrackDecisions(mother, tracklets(frame, mother))
    pairs = [
        (m, d)
        for d in range(len(frame))
        for m in range(d)
        if frame[d] - 2 <= frame[m] < frame[d] and mother[d] != m
    ]
    chosen = [pairs[k] for k in rng.choice(len(pairs), 15, replace=False)]
    p = rng.uniform(0.01, 0.3, len(chosen))
    left_out = LeftOut(np.array([m for m, _ in chosen]), np.array([d for _, d in chosen]), p)
    found = WithoutLeftOut(decided, left_out)
    needs: list[set[tuple[int, bool]]] = [set() for _ in decided.first]
    for track, cell, of_mother in zip(*decided.conditions(), strict=True):
        needs[track].add((int(cell), bool(of_mother)))
    against = [
        {k for k, (m, d) in enumerate(chosen) if (d, True) in own or (m, False) in own} for own in needs
    ]
    parent = decided.tracks.table["parent"].to_numpy() - 1
    for track in range(len(needs)):
        expected = np.prod([1 - p[k] for k in against[track]])
        assert found.track[track] == pytest.approx(expected)
        below = [track]
        for one in below:
            below += np.flatnonzero(parent == one).tolist()
        expected = np.prod([1 - p[k] for k in set().union(*(against[one] for one in below))])
        assert found.lineage[track] == pytest.approx(expected)
    dividing, daughter = decided.divisions()
    for track in np.unique(dividing):
        of_both = [k for k, (_, d) in enumerate(chosen) if d in daughter[dividing == track]]
        assert found.division[track] == pytest.approx(np.prod([1 - p[k] for k in of_both]))


def test_nothing_is_left_out_of_small_movies() -> None:
    result = UncertainTracker(DistanceTracker(max_gap=2)).track_detections(walkers(8, 10), progress=False)
    assert result.scaled is not None
    drawn = draw_histories(result.scaled, 50, sums=result.probabilities.sums)
    assert drawn.possible is not None
    assert drawn.possible.all()
    assert not len(LeftOut.of(drawn, result.probabilities).mother)


def test_long_tracks_are_as_probable_as_where_all_links_are_drawn() -> None:
    n = 80
    rng = np.random.default_rng(0)
    steady = np.concatenate([[[0.0, 0.0], [9.5, 0.0]], rng.uniform(100, 400, (10, 2))])[:, None]
    coords = steady + rng.normal(0, 0.5, (12, n, 2))
    cells = Detections.from_points(np.tile(np.arange(n), 12), coords.reshape(-1, 2), sort=True)
    tracker = UncertainTracker(DistanceTracker(scale=2.0, search_range=10, max_gap=2), temperature=1.0)
    whole = tracker.track_detections(cells, progress=False)
    p = whole.probabilities
    (kept,) = p.sums.kept
    assert kept.kept.all()
    chosen_alone = replace(p.sums, kept=(kept._replace(kept=whole.selected),))
    drawn = replace(p, sums=chosen_alone)
    found = tracks_of(whole.mother, whole.tracklets, whole.scaled, probabilities=drawn)
    for name, most in (("p_track", 0.03), ("p_lineage", 0.03), ("expected_errors", 0.09)):
        assert np.abs(found[name] - whole.tracks[name]).max() < most
    histories = draw_histories(whole.scaled, sums=chosen_alone)  # type: ignore[arg-type]
    blind = tracks_table(whole.mother, whole.tracklets, histories)
    assert np.abs(blind["p_track"] - whole.tracks["p_track"]).max() > 0.04
