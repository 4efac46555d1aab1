"""Calibration errors, AURC and AUSE against outside references and by their properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.classification import BinaryCalibrationError

from tests.support.judged_decisions import decisions, few, random_decisions, tensors
from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.calibration_error import (
    adaptive_calibration_error,
    calibration_bins,
    calibration_bins_of_groups,
    calibration_error,
    negative_log_likelihood,
)
from torchtrack_uq.functional.sparsification import selective_areas

norms = pytest.mark.parametrize("norm", ["l1", "l2", "max"])


class TestCalibrationError:
    @norms
    @pytest.mark.parametrize("n_bins", [1, 2, 10, 15, 100])
    def test_as_torchmetrics_where_no_p_is_one(self, norm, n_bins):
        p, correct = random_decisions(n_bins)
        expected = BinaryCalibrationError(n_bins=n_bins, norm=norm)(p, correct.long())
        assert float(calibration_error(p, correct, n_bins, norm)) == pytest.approx(float(expected), abs=1e-12)

    def test_p_of_one_falls_into_the_last_bin(self):
        p, correct = torch.tensor([1.0, 0.96]), torch.tensor([False, True])
        assert calibration_bins(p, correct).n.tolist() == [0.0] * 14 + [2.0]
        # together 50 % right at 98 %; a bin of its own for 1.0 would give (1 + 0.04)/2
        assert float(calibration_error(p, correct)) == pytest.approx(0.48)
        assert float(BinaryCalibrationError()(p, correct.long())) == pytest.approx(0.52)

    def test_as_netcal_with_p_of_zero_and_one(self):
        netcal = pytest.importorskip("netcal.metrics")
        p, correct = random_decisions(0)
        p[:20], p[20:40] = 1.0, 0.0
        for n_bins in (5, 15):
            expected = netcal.ECE(n_bins).measure(p.numpy(), correct.numpy().astype(int))
            assert float(calibration_error(p, correct, n_bins)) == pytest.approx(expected, abs=1e-12)
            expected = netcal.MCE(n_bins).measure(p.numpy(), correct.numpy().astype(int))
            assert float(calibration_error(p, correct, n_bins, "max")) == pytest.approx(expected, abs=1e-12)

    def test_groups_add_up(self):
        p, correct = random_decisions(2)
        group = torch.randint(4, (len(p),), generator=torch.Generator().manual_seed(0))
        parts = calibration_bins_of_groups(p, correct, group, 5, 10)
        for total, part in zip(calibration_bins(p, correct, 10), parts, strict=True):
            torch.testing.assert_close(part.sum(0), total)
            assert not part[4].any()
        assert calibration_bins_of_groups(p[:0], correct[:0], group[:0], 2, 3).n.tolist() == [[0.0] * 3] * 2

    @norms
    @few
    @given(decisions, st.integers(1, 20), st.randoms())
    def test_order_does_not_matter(self, norm, drawn, n_bins, random):
        shuffled = random.sample(drawn, len(drawn))
        for error in (calibration_error, adaptive_calibration_error):
            one, other = error(*tensors(drawn), n_bins, norm), error(*tensors(shuffled), n_bins, norm)
            assert float(one) == pytest.approx(float(other), abs=1e-9)
            assert -1e-12 <= float(one) <= 1 + 1e-12

    @few
    @given(decisions, st.integers(1, 20))
    def test_norms_are_ordered(self, drawn, n_bins):
        for error in (calibration_error, adaptive_calibration_error):
            l1, l2, largest = (float(error(*tensors(drawn), n_bins, norm)) for norm in ("l1", "l2", "max"))
            assert l1 <= l2 + 1e-9
            assert l2 <= largest + 1e-9

    def test_one_bin_is_mean_confidence_against_accuracy(self):
        p, correct = random_decisions(3)
        for error in (calibration_error, adaptive_calibration_error):
            expected = abs(float(p.mean()) - float(correct.double().mean()))
            assert float(error(p, correct, 1)) == pytest.approx(expected, abs=1e-12)

    @pytest.mark.parametrize("error", [calibration_error, adaptive_calibration_error])
    def test_goes_to_zero_for_a_calibrated_scorer_and_stays_for_an_overconfident_one(self, error):
        generator = torch.Generator().manual_seed(0)
        z = 2 * torch.randn(200_000, generator=generator, dtype=torch.float64)
        p = torch.sigmoid(z)
        correct = torch.rand(len(p), generator=generator, dtype=torch.float64) < p
        assert float(error(p, correct)) < 0.005
        assert float(error(p[:200], correct[:200])) > float(error(p, correct))
        assert float(error(torch.sigmoid(3 * z), correct)) > 0.05

    @pytest.mark.parametrize(("outcome", "expected"), [(True, 0.1), (False, 0.9)])
    def test_a_single_class_of_outcomes(self, outcome, expected):
        p, correct = torch.full((50,), 0.9), torch.full((50,), outcome)
        for error in (calibration_error, adaptive_calibration_error):
            assert float(error(p, correct)) == pytest.approx(expected, abs=1e-6)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
    def test_low_precision_is_counted_in_double(self, dtype):
        p = torch.full((5000,), 0.75, dtype=dtype)
        correct = torch.arange(5000) % 4 != 0
        assert float(calibration_error(p, correct)) == pytest.approx(0.0, abs=1e-12)


class TestAdaptive:
    @pytest.mark.parametrize(("n", "n_bins"), [(60, 6), (500, 10), (500, 500)])
    def test_as_numpy_splits_without_ties(self, n, n_bins):
        p, correct = random_decisions(n, n)
        order = np.argsort(p.numpy())
        parts = zip(np.split(p.numpy()[order], n_bins), np.split(correct.numpy()[order], n_bins), strict=True)
        gaps = np.array([abs(q.mean() - c.mean()) for q, c in parts])
        for norm, expected in (("l1", gaps.mean()), ("l2", (gaps**2).mean() ** 0.5), ("max", gaps.max())):
            found = adaptive_calibration_error(p, correct, n_bins, norm)
            assert float(found) == pytest.approx(expected, abs=1e-9)

    def test_as_netcal_without_ties(self):
        netcal = pytest.importorskip("netcal.metrics")
        p, correct = random_decisions(7, 3000)
        expected = netcal.ECE(10, equal_intervals=False).measure(p.numpy(), correct.numpy().astype(int))
        assert float(adaptive_calibration_error(p, correct, 10)) == pytest.approx(expected, abs=1e-9)

    def test_a_block_of_ties_is_shared_out(self):
        p = torch.tensor([0.5, 0.5, 0.5, 0.5, 1.0, 1.0])
        correct = torch.tensor([True, False, True, True, True, False])
        # bins of 2: the first two hold 75 % right at 50 %, the last 50 % right at 100 %
        assert float(adaptive_calibration_error(p, correct, 3)) == pytest.approx((0.25 + 0.25 + 0.5) / 3)


class TestNegativeLogLikelihood:
    def test_floor(self):
        p = torch.tensor([1.0, 0.5, 1e-6, 1e-9, 0.0], dtype=torch.float64, requires_grad=True)
        nll = negative_log_likelihood(p.log())
        lowest = -math.log(1e-6)
        assert nll.tolist() == pytest.approx([0, math.log(2), lowest, lowest, lowest])
        nll[:2].sum().backward()
        assert p.grad[:2].tolist() == pytest.approx([-1, -2])

    def test_another_floor(self):
        assert float(negative_log_likelihood(torch.tensor(-torch.inf), 0.1)) == pytest.approx(-math.log(0.1))

    def test_refused(self):
        with pytest.raises(InputError, match="floor"):
            negative_log_likelihood(torch.tensor([0.0]), 0.0)
        with pytest.raises(InputError, match="NaN or above 0"):
            negative_log_likelihood(torch.tensor([0.5]))
        with pytest.raises(InputError, match="NaN"):
            negative_log_likelihood(torch.tensor([torch.nan]))


YES = torch.tensor([True, True])


@pytest.mark.parametrize("function", [calibration_error, adaptive_calibration_error, selective_areas])
class TestRefused:
    @pytest.mark.parametrize(
        ("values", "correct", "says"),
        [
            (torch.tensor([0.5, torch.nan]), YES, "1 of 2 values are NaN"),
            (torch.tensor([0.5]), YES, "one length"),
            (torch.tensor([[0.5, 0.5]]), YES[None], "two vectors"),
            (torch.tensor([1, 0]), YES, "floating point"),
            (torch.tensor([0.5, 0.5]), YES.long(), "bool"),
            (torch.zeros(0), YES[:0], "nothing to judge"),
        ],
    )
    def test_decisions(self, function, values, correct, says):
        with pytest.raises(InputError, match=says):
            function(values, correct)


@pytest.mark.parametrize("error", [calibration_error, adaptive_calibration_error])
class TestRefusedByCalibrationErrors:
    def test_scores_are_no_probabilities(self, error):
        with pytest.raises(InputError, match=r"-1 to 2\.5.*not scores"):
            error(torch.tensor([-1.0, 2.5]), YES)

    def test_rounding_above_one_is_none(self, error):
        assert float(error(torch.tensor([1.000001, 1.0]), YES)) == 0

    @pytest.mark.parametrize("n_bins", [0, -3, 2.5])
    def test_bins(self, error, n_bins):
        with pytest.raises(InputError, match="n_bins"):
            error(torch.tensor([0.5, 0.5]), YES, n_bins)

    def test_norm(self, error):
        with pytest.raises(InputError, match="l1, l2, max"):
            error(torch.tensor([0.5, 0.5]), YES, 15, "l3")
