"""The statistical test behind a promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tests.support.promises import most_allowed
from torchtrack_uq.guarantees import (
    AcceptanceThreshold,
    ReviewStatistic,
    certified_step,
    fewest_decisions,
    risk_p_value,
)
from torchtrack_uq.guarantees.risk import THRESHOLDS, upper_bound


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
