"""The acceptance threshold keeps its promise, says when it cannot, and survives a file."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, binomtest

from torchtrack_uq import DistanceTracker, InputError, ParentalSoftmax
from torchtrack_uq.datasets import read_ctc_sequence
from torchtrack_uq.guarantees import (
    AcceptanceThreshold,
    ReviewStatistic,
    certified_step,
    fewest_decisions,
    risk_p_value,
)
from torchtrack_uq.guarantees.risk import THRESHOLDS, starts, upper_bound
from torchtrack_uq.posterior import map_links
from torchtrack_uq.truth import judge_decisions


def most_allowed(n_trials: int, delta: float) -> float:
    """A promise kept to the letter is broken more often than this once in a thousand times."""
    return float(binom.ppf(0.999, n_trials, delta)) / n_trials


class TestTheTest:
    @given(st.integers(1, 2000), st.floats(0, 1), st.sampled_from([0.01, 0.05, 0.3]))
    def test_p_values_and_bounds_are_those_of_scipy(self, n: int, share: float, alpha: float) -> None:
        wrong = int(share * n)
        reference = binomtest(wrong, n, alpha, alternative="less")
        assert risk_p_value(n, wrong, alpha) == pytest.approx(reference.pvalue, rel=1e-9, abs=1e-300)
        bound = reference.proportion_ci(0.95, "exact").high
        assert upper_bound(n, wrong, 0.05) == pytest.approx(bound, rel=1e-6)

    @pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
    @pytest.mark.parametrize("delta", [0.05, 0.2])
    def test_fewest_is_the_first_number_that_rejects_without_an_error(
        self, alpha: float, delta: float
    ) -> None:
        n = fewest_decisions(alpha, delta)
        assert risk_p_value(n, 0, alpha) <= delta < risk_p_value(n - 1, 0, alpha)

    def test_nothing_below_the_start_is_certified_across_a_failure(self) -> None:
        accepted, wrong = np.full(601, 5000), np.zeros(601, np.int64)
        wrong[110:120] = 4000
        wrong[40] = 4000
        assert certified_step(accepted, wrong, 0.01, 0.05) == 0  # the start at step 25 goes on to the end
        wrong[[0, 10]] = 4000
        assert certified_step(accepted, wrong, 0.01, 0.05) == 11
        wrong[[25, 50, 75, 100]] = 4000
        assert certified_step(accepted, wrong, 0.01, 0.05) == 120

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(lambda doubt: np.full_like(doubt, 0.0501), id="constant, just above alpha"),
            pytest.param(lambda doubt: 0.5 * doubt, id="calibrated"),
            pytest.param(lambda doubt: np.where(doubt < 0.03, 0.3, 0.03), id="surest are the worst"),
            pytest.param(lambda doubt: 0.051 + 0.2 * np.sin(40 * doubt) ** 2 * (doubt > 0.2), id="waves"),
        ],
    )
    @pytest.mark.parametrize("n", [100, 1000])
    def test_the_promise_holds_whatever_the_errors_depend_on(self, error: object, n: int) -> None:
        assert callable(error)
        rng = np.random.default_rng(0)
        alpha, delta, n_trials = 0.05, 0.1, 300
        fine = np.linspace(0, 1, 200_001)  # doubts are uniform: 1 - p in [0, 1]
        true_error = np.cumsum(error(fine)) / np.arange(1, len(fine) + 1)
        broken = 0
        for _ in range(n_trials):
            doubt = rng.uniform(size=n)
            statistic = ReviewStatistic.of(1 - doubt, rng.uniform(size=n) >= error(doubt))
            step = certified_step(*statistic.accepted(), alpha, delta)
            if step is not None:
                broken += np.interp(1 - THRESHOLDS[step], fine, true_error) > alpha
        assert broken / n_trials <= most_allowed(n_trials, delta)

    def test_more_is_accepted_with_more_annotation(self) -> None:
        rng = np.random.default_rng(1)
        p = rng.uniform(0.5, 1, 50_000)
        right = rng.uniform(size=len(p)) < p
        thresholds = [AcceptanceThreshold.fit(p[:n], right[:n], 0.1).threshold for n in (2000, 5000, 50_000)]
        assert thresholds == sorted(thresholds, reverse=True)
        assert 0.8 < thresholds[-1] < 0.83  # above 0.8, 10 % are wrong


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
