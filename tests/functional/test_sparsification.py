"""AURC and AUSE by their properties, and what counting twice does to them and to calibration errors."""

import itertools

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.judged_decisions import decisions, few, random_decisions, tensors
from torchtrack_uq.functional.calibration_error import (
    adaptive_calibration_error,
)
from torchtrack_uq.functional.sparsification import selective_areas, sparsification_curve


def risks_in_order(correct):
    wrong = ~np.asarray(correct)
    return wrong.cumsum() / np.arange(1, len(wrong) + 1)


class TestSelective:
    @few
    @given(decisions.filter(lambda drawn: len(drawn) <= 6))
    def test_expected_values_over_all_orders_of_ties(self, drawn):
        p, correct = tensors(drawn)
        orders = [
            order
            for order in itertools.permutations(range(len(p)))
            if all(p[a] >= p[b] for a, b in itertools.pairwise(order))
        ]
        risks = np.mean([risks_in_order(correct.numpy()[list(order)]) for order in orders], axis=0)
        curve = sparsification_curve(1 - p, correct)
        np.testing.assert_allclose(curve.accuracy.numpy(), 1 - risks[::-1], atol=1e-12)
        assert float(selective_areas(1 - p, correct).aurc) == pytest.approx(risks.mean(), abs=1e-12)

    @few
    @given(decisions)
    def test_areas_are_those_under_the_curves(self, drawn):
        p, correct = tensors(drawn)
        curve, areas = sparsification_curve(1 - p, correct), selective_areas(1 - p, correct)
        assert float(areas.aurc) == pytest.approx(float((1 - curve.accuracy).mean()), abs=1e-12)
        assert float(areas.ause) == pytest.approx(float((curve.oracle - curve.accuracy).mean()), abs=1e-12)
        assert float(curve.accuracy[0]) == pytest.approx(float(correct.double().mean()))
        assert bool((curve.accuracy <= curve.oracle + 1e-12).all())

    def test_trapezoid_of_scikit_learn_differs_by_the_ends_alone(self):
        p, correct = random_decisions(5, 300)
        risks = risks_in_order(correct.numpy()[np.argsort(-p.numpy())])
        n = len(risks)
        # torch-uncertainty's AURC: trapezoids over coverage 1/n to 1, divided by that width
        trapezoid = sklearn.metrics.auc(np.arange(1, n + 1) / n, risks) / (1 - 1 / n)
        ours = float(selective_areas(1 - p, correct).aurc)
        assert (n * ours - (risks[0] + risks[-1]) / 2) / (n - 1) == pytest.approx(trapezoid, abs=1e-12)

    @few
    @given(decisions)
    def test_oracle_is_zero_and_nothing_is_below(self, drawn):
        p, correct = tensors(drawn)
        assert float(selective_areas(1 - p, correct).ause) >= 0
        assert float(selective_areas((~correct).double(), correct).ause) == pytest.approx(0, abs=1e-12)

    def test_an_uncertainty_that_says_nothing_has_the_error_rate_as_aurc(self):
        correct = torch.arange(100) % 10 != 0
        areas = selective_areas(torch.zeros(100), correct)
        assert float(areas.aurc) == pytest.approx(0.1)
        assert sparsification_curve(torch.zeros(100), correct).accuracy.tolist() == pytest.approx([0.9] * 100)

    def test_worst_order_is_worse_than_none(self):
        correct = torch.arange(100) % 10 != 0
        worst = selective_areas(correct.double(), correct).aurc
        assert float(worst) > float(selective_areas(torch.zeros(100), correct).aurc)

    @pytest.mark.parametrize("outcome", [True, False])
    def test_all_right_or_all_wrong(self, outcome):
        p, correct = random_decisions(1)
        areas = selective_areas(1 - p, torch.full_like(correct, outcome))
        assert float(areas.aurc) == pytest.approx(1.0 - outcome)
        assert float(areas.ause) == pytest.approx(0.0)


class TestCounts:
    """What counts twice is as good as there twice: what the bootstrap relies on."""

    @few
    @given(decisions, st.data())
    def test_counted_as_repeated(self, drawn, data):
        p, correct = tensors(drawn)
        counts = st.lists(st.integers(0, 3), min_size=len(p), max_size=len(p)).filter(any)
        count = torch.tensor([data.draw(counts), data.draw(counts)])
        adaptive = adaptive_calibration_error(p, correct, 5, count=count)
        areas = selective_areas(1 - p, correct, count)
        for row in range(2):
            many, right = p.repeat_interleave(count[row]), correct.repeat_interleave(count[row])
            expected = selective_areas(1 - many, right)
            assert float(areas.aurc[row]) == pytest.approx(float(expected.aurc), abs=1e-12)
            assert float(areas.ause[row]) == pytest.approx(float(expected.ause), abs=1e-12)
            assert float(adaptive[row]) == pytest.approx(
                float(adaptive_calibration_error(many, right, 5)), abs=1e-9
            )

    def test_nothing_that_counts_is_nan(self):
        p, correct = random_decisions(0, 5)
        none = torch.zeros(2, 5, dtype=torch.int64)
        assert selective_areas(p, correct, none).aurc.isnan().all()
        assert adaptive_calibration_error(p, correct, count=none).isnan().all()
