"""Probabilities of tracks, held against all histories and a second definition of "the same track"."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.posterior.test_movies_with_gaps import histories as enumerate_histories
from tests.posterior.test_movies_with_gaps import movie
from torchtrack_uq import (
    AssignmentPosterior,
    CandidateGraph,
    Detections,
    InputError,
    ParentalSoftmax,
    UncertainTracker,
)
from torchtrack_uq.assignment import automatic_sampling as sampling
from torchtrack_uq.posterior.histories import Histories, draw_histories
from torchtrack_uq.posterior.map_links import map_links, mothers_of
from torchtrack_uq.results.known_tracks import UnknownTracksWarning, tracks_of
from torchtrack_uq.results.track_probabilities import COLUMNS, TrackDecisions, tracks_table
from torchtrack_uq.results.tracklets import tracklets

Signature = tuple[tuple[int, ...], int, int, int]


def signatures(frame: np.ndarray, mother: np.ndarray) -> dict[int, Signature]:
    """Of each track by number: its cells, the cell that it descends from, how many daughters that has, and its fate."""
    tracks = tracklets(frame, mother).track
    found = {}
    for k in range(1, tracks.max(initial=0) + 1):
        cells = np.flatnonzero(tracks == k)
        daughters = np.flatnonzero(mother == cells[-1])
        fate = len(daughters) if len(daughters) != 1 else -1 - int(daughters[0])
        of = int(mother[cells[0]])
        found[k] = (tuple(cells.tolist()), of, int((mother == of).sum()) if of >= 0 else 0, fate)
    return found


def below(frame: np.ndarray, mother: np.ndarray) -> dict[int, list[int]]:
    table = tracklets(frame, mother).table
    found = {int(k): [int(k)] for k in table["track"]}
    for k, parent in zip(table["track"][::-1], table["parent"][::-1], strict=True):
        if parent:
            found[int(parent)] += found[int(k)]
    return found


def one_component(mother: np.ndarray) -> Histories:
    zeros = np.zeros(mother.shape[1], np.int64)
    return Histories(mother, zeros, zeros, np.array([True]), np.arange(len(mother)) % 2)


@pytest.mark.parametrize("seed", [1, 4, 5, 7, 8, 12])
def test_a_track_is_found_where_it_is_the_same_track(seed: int) -> None:
    """For every history of a movie, held against its tracks as `tracklets` makes them."""
    graph = movie(seed, 4, 1 + seed % 3, most=2)
    frame = graph.frame.numpy()
    every = enumerate_histories(graph)[0]
    chosen = every[seed % len(every)]
    wanted, lines = signatures(frame, chosen), below(frame, chosen)
    for history in every:
        table = tracks_table(chosen, tracklets(frame, chosen), one_component(np.stack([history, history])))
        there = set(signatures(frame, history).values())
        same = {k: one in there for k, one in wanted.items()}
        assert table["p_track"].tolist() == [float(same[k]) for k in wanted]
        whole = [float(all(same[k] for k in lines[one])) for one in wanted]
        # of a lineage all divisions are right as well: the same two daughters begin the tracks below
        assert table["p_lineage"].tolist() == whole
        assert ((table["expected_errors"] == 0) == (table["p_track"] == 1)).all()
        for row in table[table["p_division"].notna()].itertuples():
            last = wanted[row.track][0][-1]
            both = np.flatnonzero(chosen == last)
            assert row.p_division == float((history[both] == last).all())


@pytest.mark.parametrize("seed", [1, 4, 5, 8])
def test_probabilities_are_those_of_all_histories(seed: int) -> None:
    graph = movie(seed, 4, 1 + seed % 3, most=2)
    frame = graph.frame.numpy()
    every, weights = enumerate_histories(graph)
    p = np.exp(weights - np.logaddexp.reduce(weights))
    mother = mothers_of(graph, map_links(graph))
    tracks = tracklets(frame, mother)
    exact = [tracks_table(mother, tracks, one_component(np.stack([one, one]))) for one in every]
    found = tracks_table(mother, tracks, draw_histories(graph, 10_000, seed=seed))
    assert tuple(found.columns) == COLUMNS
    assert found["exact"].all()
    for name in ("p_track", "p_division", "p_lineage", "expected_errors"):
        truth = sum(w * table[name].to_numpy() for w, table in zip(p, exact, strict=True))
        np.testing.assert_allclose(found[name], truth, atol=0.02, err_msg=name)
    off = (found["p_track"] - sum(w * t["p_track"] for w, t in zip(p, exact, strict=True))).abs()
    assert (off <= 5 * found["mc_error"] + 2e-3).all()


def test_a_track_of_thousands_of_frames_has_a_probability_though_no_draw_holds_it() -> None:
    n, other = 3000, 0.99
    cells = Detections.from_points(np.arange(n), np.zeros((n, 2)))
    score = np.full(n - 1, np.log(other / (1 - other)))
    graph = CandidateGraph.from_links(cells, np.arange(n - 1), np.arange(1, n), torch.from_numpy(score))
    mother = np.arange(-1, n - 1)
    row = tracks_of(mother, tracklets(np.arange(n), mother), graph).iloc[0]
    assert abs(np.log(row["p_track"]) - (n - 1) * np.log(other)) < 1.0
    assert 0 < row["mc_error"] < row["p_track"]
    assert (
        abs(row["expected_errors"] - 2 * 0.01 * (n - 1)) < 40
    )  # of each doubt the mother, not the load of inner cells


def test_monte_carlo_errors_are_as_large_as_draws_differ() -> None:
    graph = movie(5, 4, 2, most=2)
    mother = mothers_of(graph, map_links(graph))
    tracks = tracklets(graph.frame.numpy(), mother)
    tables = [tracks_table(mother, tracks, draw_histories(graph, 200, seed=k)) for k in range(40)]
    spread = np.std([table["p_track"] for table in tables], axis=0)
    said = np.mean([table["mc_error"] for table in tables], axis=0)
    assert (spread < 1.5 * said).all()
    assert (said < 2 * spread + 0.006).all()


def test_methods_without_a_posterior_say_nothing(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    result = UncertainTracker("overlap", ParentalSoftmax()).track(*blobs, progress=False)
    assert (
        result.tracks[["p_track", "p_division", "p_lineage", "expected_errors", "mc_error"]]
        .isna()
        .all(axis=None)
    )
    assert result.tracks["n_cells"].sum() == len(result.detections)
    with pytest.raises(InputError, match="posterior over assignments, which this method has not"):
        result.lineage_statistics()


def test_what_cannot_be_drawn_is_left_empty_with_a_sentence() -> None:
    """Nobody may be without mother, but there is none."""
    cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    graph = CandidateGraph.from_links(cells, [], [], [], appear=-torch.inf)
    mother = np.array([-1, -1])
    with pytest.warns(UnknownTracksWarning, match="tracks have no probabilities: frames 0 and 1"):
        table = tracks_of(mother, tracklets(np.array([0, 1]), mother), graph)
    assert table["p_track"].isna().all()


def test_the_table_of_a_result_is_written_and_the_same_each_time(
    blobs: tuple[np.ndarray, np.ndarray], tmp_path: object
) -> None:
    result = UncertainTracker("distance").track(*blobs, progress=False)
    folder = result.save(f"{tmp_path}/out", progress=False)
    written = pd.read_csv(folder / "tracks.csv")
    assert tuple(written.columns) == COLUMNS
    pd.testing.assert_frame_equal(written, result.tracks, check_dtype=False, rtol=1e-4, atol=1e-6)
    table = result.tracklets.table
    assert (written[["track", "begin", "end", "parent"]].to_numpy() == table.to_numpy()).all()
    assert (written["p_track"] <= 1).all()
    assert (written["p_lineage"] <= written["p_track"] + 1e-6).all()


def test_draws_of_other_cells_are_refused() -> None:
    mother = np.array([-1, 0])
    with pytest.raises(InputError, match="expected draws of the same cells"):
        tracks_table(mother, tracklets(np.array([0, 1]), mother), one_component(np.zeros((2, 3), np.int64)))


def test_conditions_of_an_empty_movie_are_none() -> None:
    none = np.zeros(0, np.int64)
    decided = TrackDecisions(none, tracklets(none, none))
    assert len(decided.conditions()[0]) == 0
    assert len(tracks_table(none, tracklets(none, none), None)) == 0


def test_sums_that_are_known_are_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """And histories are the same, to the bit; sums of other scores are not taken."""
    graph = movie(4, 4, 2, most=2)
    assert len(graph.score)
    found = AssignmentPosterior()(graph)
    expected = draw_histories(graph, 50, seed=2).mother
    moved = graph.with_scores(graph.score + 0.5, graph.appear, graph.disappear, graph.divide)
    of_moved = draw_histories(moved, 50).mother
    calls: list[int] = []
    summed = sampling.marginals

    def counted(*given: Any, **options: Any) -> Any:
        calls.append(1)
        return summed(*given, **options)

    monkeypatch.setattr(sampling, "marginals", counted)
    np.testing.assert_array_equal(draw_histories(graph, 50, seed=2, sums=found.sums).mother, expected)
    assert not calls
    np.testing.assert_array_equal(draw_histories(moved, 50, sums=found.sums).mother, of_moved)
    assert calls


def test_a_tracked_movie_is_summed_over_once(
    blobs: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = UncertainTracker("distance").track(*blobs, progress=False)
    monkeypatch.setattr(sampling, "marginals", lambda *a, **k: pytest.fail("summed over again"))
    assert result.tracks["p_track"].notna().all()
