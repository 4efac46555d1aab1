"""Promises hold for samples that prefer the doubtful, exactly: over all samples that may be drawn, for any truth."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.draws import chances_of_samples
from tests.support.promises import most_allowed
from torchtrack_uq import ConformalSets, InputError
from torchtrack_uq.guarantees import (
    AnnotationSample,
    SampledReview,
    conformal_quantile,
    inclusion_of,
    risk_p_value,
    usefulness,
    weighted_p_value,
    weighted_quantile,
)
from torchtrack_uq.guarantees.risk import THRESHOLDS
from torchtrack_uq.guarantees.weighted_risk import inclusion_levels


class TestPValue:
    @given(st.lists(st.floats(0.02, 50), min_size=4, max_size=7), st.integers(1, 4), st.floats(0.1, 0.6))
    @settings(deadline=None, max_examples=30)
    def test_is_one_whoever_is_wrong(self, odds_given: list[float], n: int, alpha: float) -> None:
        """P(p <= d) <= d for all d, over all samples, for every set of wrong decisions that are too many."""
        odds = np.array(odds_given)
        inclusion = inclusion_of(odds, n)
        levels, level = inclusion_levels(inclusion)
        counts = np.bincount(level, minlength=len(levels))[None]
        samples = list(chances_of_samples(odds, n))
        least = int(np.floor(alpha * len(odds))) + 1
        for wrong in combinations(range(len(odds)), least):
            found = [sum(1 / inclusion[i] for i in members if i in wrong) for members, _ in samples]
            p = weighted_p_value(found, np.repeat(counts, len(found), 0), levels, alpha)
            chance = np.array([chance for _, chance in samples])
            for d in np.unique(p):
                assert chance[p <= d].sum() <= d + 1e-9

    def test_without_any_wrong_one_is_the_exact_chance_of_the_worst_case(self) -> None:
        levels, counts = np.array([0.1, 0.5]), np.array([[4, 96]])
        p = weighted_p_value(
            [0.0], counts, levels, 0.05
        )  # 6 wrong at least: 4 of the first kind, 2 of the second
        assert p[0] == pytest.approx(0.9**4 * 0.5**2)

    def test_drawn_evenly_is_a_few_times_the_binomial_one(self) -> None:
        n, size = 300, 100_000
        levels, counts = np.array([n / size]), np.array([[size]])
        for wrong in range(6):
            exact = float(risk_p_value(n, wrong, 0.05))
            found = float(weighted_p_value([wrong * size / n], counts, levels, 0.05)[0])
            assert exact * 0.9 < found < 7 * exact

    @given(st.lists(st.floats(1e-4, 1), min_size=1, max_size=600))
    def test_levels_are_rounded_down(self, inclusion: list[float]) -> None:
        pi = np.array(inclusion)
        levels, level = inclusion_levels(pi)
        assert len(levels) <= 256
        assert (levels[level] <= pi).all()
        assert levels[0] == pi.min()

    def test_an_empty_set_is_never_certified(self) -> None:
        assert weighted_p_value([0.0], np.zeros((1, 1), np.int64), np.array([0.5]), 0.1)[0] == 1


@pytest.mark.parametrize("case", ["one too many where sure", "honest", "all alike"])
def test_acceptance_is_broken_no_more_often_than_promised(case: str) -> None:
    rng = np.random.default_rng(0)
    size, alpha, delta, trials = 600, 0.1, 0.3, 100
    p, linked = 1 - 10 ** -rng.uniform(0.3, 5, size), np.ones(size, np.bool_)
    too_many = np.ones(size, np.bool_)
    too_many[np.argsort(-p)[: int(alpha * size) + 1]] = False
    useful, n = (np.ones(size) if case == "all alike" else usefulness(p)), 150
    if case == "one too many where sure":
        n = 60  # with more of them it is never certified
    broken = certified = 0
    for seed in range(trials):
        right = too_many if case == "one too many where sure" else rng.uniform(size=size) < p
        sample = AnnotationSample.draw(useful, n, seed=seed)
        found = SampledReview(p, linked, sample, right[sample.cell]).certified(alpha, delta)
        if found is not None:
            accepted = p >= THRESHOLDS[found[0]]
            certified += 1
            broken += int((accepted & ~right).sum() > alpha * accepted.sum())
    assert broken / trials <= most_allowed(trials, delta)
    assert certified > 0


class TestWeightedQuantile:
    @given(
        st.lists(st.tuples(st.floats(0.05, 20), st.integers(0, 5)), min_size=3, max_size=7),
        st.integers(1, 4),
        st.floats(0.1, 0.95),
    )
    @settings(deadline=None, max_examples=60)
    def test_covers_a_daughter_that_was_not_drawn_as_promised(
        self, daughters: list[tuple[float, int]], n: int, coverage: float
    ) -> None:
        odds, score = np.array(daughters, np.float64).T
        n = min(n, len(odds) - 1)
        inclusion, hit = inclusion_of(odds, n), 0.0
        for members, chance in chances_of_samples(odds, n):
            sample = AnnotationSample(np.array(members), inclusion, odds)
            quantile = weighted_quantile(
                torch.from_numpy(score[list(members)]),
                torch.from_numpy(sample.conformal_weight),
                coverage,
                sample.new_conformal_weight,
            )
            others = [i for i in range(len(odds)) if i not in members]
            hit += chance * float(np.mean(score[others] <= quantile))
        assert hit >= coverage - 1e-9

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.05, 0.99))
    def test_is_the_plain_one_where_all_are_alike(self, scores: list[float], coverage: float) -> None:
        values = torch.tensor(scores, dtype=torch.float64)
        alike = torch.ones(len(scores), dtype=torch.float64)
        assert weighted_quantile(values, alike, coverage, 1.0) == conformal_quantile(values, coverage)

    def test_what_cannot_be_used(self) -> None:
        scores = torch.ones(2)
        with pytest.raises(InputError, match="weights"):
            weighted_quantile(scores, torch.ones(3), 0.9, 1.0)
        with pytest.raises(InputError, match="weights"):
            weighted_quantile(scores, -torch.ones(2), 0.9, 1.0)
        with pytest.raises(InputError, match="coverage"):
            weighted_quantile(scores, torch.ones(2), 1.9, 1.0)
        with pytest.raises(InputError, match="NaN"):
            weighted_quantile(scores * torch.nan, torch.ones(2), 0.9, 1.0)

    def test_sets_take_a_sample_and_say_what_it_counts_for(self) -> None:
        useful = np.where(np.arange(1000) < 100, 1.0, 0.0)
        sample = AnnotationSample.draw(useful, 100, random=0.3)
        scores = torch.linspace(0, 1, 100, dtype=torch.float64)
        sets = ConformalSets(0.9).fit_scores(scores, sample)
        assert sets.attainable
        with pytest.warns(
            UserWarning, match=r"100 annotated daughters count as [23]\d drawn evenly: they are too few"
        ):
            assert not ConformalSets(0.99).fit_scores(scores, sample).attainable
        with pytest.raises(InputError, match="weights"):
            ConformalSets(0.9).fit_scores(scores[:5], sample)
