"""The acceptance threshold keeps its promise, says when it cannot, and survives a file."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.promises import most_allowed
from torchtrack_uq import DistanceTracker, InputError, ParentalSoftmax
from torchtrack_uq.datasets import read_ctc_sequence
from torchtrack_uq.guarantees import (
    AcceptanceThreshold,
    ReviewStatistic,
)
from torchtrack_uq.guarantees.risk import THRESHOLDS, starts
from torchtrack_uq.posterior import map_links
from torchtrack_uq.truth import judge_decisions


class TestReviewStatistic:
    @given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=50))
    def test_counts_are_those_above_each_threshold(self, decisions: list[tuple[float, bool]]) -> None:
        p = np.array([x for x, _ in decisions], np.float64)
        right = np.array([x for _, x in decisions], np.bool_)
        statistic = ReviewStatistic.of(p, right)
        above = p[:, None] >= THRESHOLDS
        accepted, wrong = statistic.accepted()
        np.testing.assert_array_equal(accepted, above.sum(0))
        np.testing.assert_array_equal(wrong, (above & ~right[:, None]).sum(0))
        assert len(statistic) == len(p)
        stored = json.loads(json.dumps(statistic.to_json()))
        again = ReviewStatistic.from_json(stored) + ReviewStatistic.of(p[:3], right[:3])
        both = ReviewStatistic.of(np.append(p, p[:3]), np.append(right, right[:3]))
        np.testing.assert_array_equal(again.decisions, both.decisions)
        np.testing.assert_array_equal(again.wrong, both.wrong)

    def test_probabilities_that_float32_cannot_tell_from_1_are_told_apart(self) -> None:
        right = np.repeat([True, False], [400, 100])
        p = 1 - np.where(right, 1e-9, 2e-8)
        assert (p.astype(np.float32) == 1).all()
        np.testing.assert_array_equal(AcceptanceThreshold.fit(p, right, 0.05).accept(p), right)

    def test_surest_nulls_that_are_wrong_do_not_keep_links_from_being_accepted(self) -> None:
        """A cell without any candidate has no mother with p = 1: the tracker saw none within reach."""
        linked = np.arange(2000) % 10 > 0
        p = np.where(linked, 0.99, 1.0)
        with pytest.raises(InputError, match="certify no threshold"):
            AcceptanceThreshold.fit(p, linked, 0.05)
        acceptance = AcceptanceThreshold.fit(p, linked, 0.05, linked=linked)
        assert (acceptance.threshold, acceptance.nulls, acceptance.n_accepted) == (0.0, False, 1800)
        np.testing.assert_array_equal(acceptance.accept(p, linked), linked)
        both = AcceptanceThreshold.fit(p, linked | (p == 1), 0.05, linked=linked)
        assert both.nulls
        assert both.accept(p, linked).all()

    def test_too_few_annotations_say_how_many_it_takes(self) -> None:
        with pytest.raises(InputError, match=r"200 annotated decisions cannot .* at least 368, none of them"):
            AcceptanceThreshold.fit(np.full(200, 0.99), np.full(200, True), 0.01)

    def test_too_many_errors_say_what_is_possible(self) -> None:
        right = np.arange(5000) % 50 > 0
        with pytest.raises(
            InputError, match=r"100 of them wrong, .* the smallest share that can be is 0.02"
        ) as e:
            AcceptanceThreshold.fit(np.full(5000, 0.95), right, 0.01)
        possible = float(str(e.value).split("can be is ")[1].split(";")[0])
        assert AcceptanceThreshold.fit(np.full(5000, 0.95), right, 1.05 * possible).threshold == 0

    def test_all_wrong_and_nothing_at_all(self) -> None:
        with pytest.raises(InputError, match="nor can any useful share be"):
            AcceptanceThreshold.fit(np.full(5000, 0.95), np.full(5000, False), 0.01)
        with pytest.raises(InputError, match="0 annotated decisions"):
            AcceptanceThreshold.fit([], np.zeros(0, np.bool_), 0.01)

    @pytest.mark.parametrize("alpha", [0.0, 1.0, -1, float("nan")])
    def test_levels_outside_0_to_1(self, alpha: float) -> None:
        statistic = ReviewStatistic.of([0.9], [True])
        with pytest.raises(InputError, match="alpha"):
            statistic.threshold(alpha)
        with pytest.raises(InputError, match="delta"):
            statistic.threshold(0.1, alpha)

    @pytest.mark.parametrize("p", [[np.nan], [1.1], [-0.1], [[0.5]], [0.5, 0.5]])
    def test_unusable_decisions(self, p: list[float]) -> None:
        with pytest.raises(InputError):
            ReviewStatistic.of(p, [True])

    @pytest.mark.parametrize(
        "change",
        [
            {"grid": {"steps_per_decade": 10, "decades": 12}},
            {"wrong": [{"600": 7}, {}]},
            {"wrong": [{"601": 7}, {}]},
            {"wrong": [{}, {}, {"0": 1}]},
            {"decisions": [{"-1": 7}, {}]},
            {"decisions": [1]},
            {"decisions": [{"x": 1}]},
            {"decisions": None},
        ],
    )
    def test_a_foreign_file_is_refused(self, change: dict[str, object]) -> None:
        stored = {**ReviewStatistic.of([0.5], [True]).to_json(), **change}
        with pytest.raises(InputError):
            ReviewStatistic.from_json(stored)
        with pytest.raises(InputError, match="cannot be read"):
            ReviewStatistic.from_json({})

    def test_the_smallest_certifiable_share_is_the_smallest(self) -> None:
        statistic = ReviewStatistic.of(np.full(3000, 0.95), np.arange(3000) % 100 > 0)
        alpha = statistic.smallest_certifiable(0.05)
        assert statistic.certified(alpha, 0.05) is not None
        assert statistic.certified(0.98 * alpha, 0.05) is None

    def test_where_sequences_begin_depends_on_the_number_alone(self) -> None:
        assert len(starts(896, 0.01, 0.05)) == 1
        assert len(starts(897, 0.01, 0.05)) == 8
        np.testing.assert_allclose(
            1 - THRESHOLDS[list(starts(10**6, 0.01, 0.05))][[0, 2, 4, 7]], [1, 0.1, 0.01, 1e-8]
        )


class TestAcceptanceThreshold:
    def test_survives_a_file(self, tmp_path: Path) -> None:
        acceptance = AcceptanceThreshold.fit(np.full(400, 0.97), np.full(400, True), 0.01)
        acceptance.save(tmp_path / "threshold.json")
        assert AcceptanceThreshold.load(tmp_path / "threshold.json") == acceptance

    @pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"alpha": 2}'])
    def test_a_file_that_holds_none(self, tmp_path: Path, content: str | None) -> None:
        if content is not None:
            (tmp_path / "threshold.json").write_text(content)
        with pytest.raises(InputError, match="holds no acceptance threshold"):
            AcceptanceThreshold.load(tmp_path / "threshold.json")

    def test_nan_is_not_accepted(self) -> None:
        acceptance = AcceptanceThreshold(0.01, 0.05, 0.0, True, 400, 400, 0)
        assert acceptance.accept([np.nan, 0.0]).tolist() == [False, True]


@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_the_promise_holds_over_200_splits_of_a_real_movie(data_folder: Path, alpha: float) -> None:
    movie = read_ctc_sequence(data_folder / "mouse-epidermis" / "01", progress=False)
    graph = DistanceTracker().candidates(movie.detections, progress=False)
    decisions = judge_decisions(ParentalSoftmax()(graph), map_links(graph), movie.targets())
    delta, n_splits = 0.1, 200
    rng = np.random.default_rng(0)
    broken, accepted = [], []
    for _ in range(n_splits):
        annotated = rng.permutation(len(decisions)) < len(decisions) // 2
        columns = (decisions.probability, decisions.correct, decisions.linked)
        found = ReviewStatistic.of(*(column[annotated] for column in columns)).certified(alpha, delta)
        chosen: NDArray[np.bool_] = np.zeros(len(decisions), np.bool_)
        if found is not None:
            chosen = (decisions.probability >= THRESHOLDS[found[0]]) & (decisions.linked | found[1])
        broken.append((~decisions.correct[chosen]).mean() > alpha if chosen.any() else False)
        accepted.append(chosen.mean())
    assert np.mean(broken) <= most_allowed(n_splits, delta)
    assert np.mean(accepted) > 0.3
