"""The torchmetrics classes on ragged movies, padded for scikit-learn, netcal and torchmetrics itself."""

import math

import numpy as np
import pytest
import sklearn.metrics
import torch
from torchmetrics.classification import MulticlassCalibrationError

from tests.support.ragged import Ragged, ragged_movie
from torchtrack_uq.errors import InputError
from torchtrack_uq.metrics import (
    AURC,
    AUSE,
    BrierScore,
    EventCalibrationError,
    MotherAccuracy,
    NegativeLogLikelihood,
    TopLabelCalibrationError,
    UnreachableDaughters,
    calibration_metrics,
    summarise,
)
from torchtrack_uq.truth.judged import JudgedDaughters, judge_events


def value(metric, *given):
    metric.update(*given)
    return float(metric.compute())


@pytest.fixture(scope="module")
def movie() -> Ragged:
    return ragged_movie(0)


@pytest.fixture(scope="module")
def classes(movie: Ragged) -> list[int]:
    return list(range(movie.table.shape[1]))


class TestOutsideReferences:
    def test_accuracy(self, movie):
        expected = sklearn.metrics.accuracy_score(movie.truth, movie.table.argmax(1))
        assert value(MotherAccuracy(), movie.probabilities, movie.targets) == pytest.approx(expected)

    def test_brier(self, movie, classes):
        expected = sklearn.metrics.brier_score_loss(
            movie.truth, movie.table, labels=classes, scale_by_half=False
        )
        assert value(BrierScore(), movie.probabilities, movie.targets) == pytest.approx(expected, abs=1e-9)

    def test_nll_of_the_reachable(self, movie, classes):
        found = movie.table[np.arange(len(movie.truth)), movie.truth] > 0
        expected = sklearn.metrics.log_loss(movie.truth[found], movie.table[found], labels=classes)
        metric = NegativeLogLikelihood(reachable=True)
        assert value(metric, movie.probabilities, movie.targets) == pytest.approx(expected, abs=1e-9)

    def test_nll_of_all_floors_the_unreachable(self, movie):
        p = movie.table[np.arange(len(movie.truth)), movie.truth]
        n_lost = int((p == 0).sum())
        assert n_lost > 0
        assert value(UnreachableDaughters(), movie.probabilities, movie.targets) == n_lost
        expected = (-np.log(p[p > 0]).sum() - n_lost * math.log(1e-6)) / len(p)
        assert value(NegativeLogLikelihood(), movie.probabilities, movie.targets) == pytest.approx(expected)

    @pytest.mark.parametrize("norm", ["l1", "l2", "max"])
    def test_ece_as_torchmetrics(self, movie, classes, norm):
        # daughters without candidates are null with p = 1, which torchmetrics gives a bin of its own
        unsure = movie.table.max(1) < 1
        reference = MulticlassCalibrationError(len(classes), n_bins=15, norm=norm, validate_args=False)
        expected = reference(torch.from_numpy(movie.table[unsure]), torch.from_numpy(movie.truth[unsure]))
        judged = movie.judged.where(torch.from_numpy(unsure))
        # torchmetrics keeps confidences of several classes in float32
        found = value(TopLabelCalibrationError(norm=norm), judged)
        assert found == pytest.approx(float(expected), abs=1e-6)

    @pytest.mark.parametrize("n_bins", [1, 10, 15])
    def test_ece_as_netcal_in_both_versions(self, movie, n_bins):
        netcal = pytest.importorskip("netcal.metrics")
        assert movie.table.max() == 1
        confidence, correct = movie.table.max(1), movie.table.argmax(1) == movie.truth
        has_mother = movie.truth < movie.table.shape[1] - 1
        for chosen, with_mother in ((np.ones_like(has_mother), False), (has_mother, True)):
            expected = netcal.ECE(n_bins).measure(confidence[chosen], correct[chosen].astype(int))
            metric = TopLabelCalibrationError(n_bins, with_mother=with_mother)
            assert value(metric, movie.probabilities, movie.targets) == pytest.approx(expected, abs=1e-9)

    def test_event_ece_as_netcal(self, movie):
        netcal = pytest.importorskip("netcal.metrics")
        is_null = (movie.truth == movie.table.shape[1] - 1).astype(int)
        expected = netcal.ECE(15).measure(movie.table[:, -1], is_null)
        metric = EventCalibrationError("null")
        assert value(metric, movie.probabilities, movie.targets) == pytest.approx(expected, abs=1e-9)
        graph = movie.probabilities.graph
        p = movie.probabilities.link.double().numpy()
        happened = (movie.targets.mother[graph.daughter] == graph.mother).numpy().astype(int)
        metric = EventCalibrationError("link")
        expected = netcal.ECE(15).measure(p, happened)
        assert value(metric, movie.probabilities, movie.targets) == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("by", ["confidence", "entropy"])
    def test_aurc_by_hand_from_the_table(self, movie, by):
        confident = movie.table.max(1)
        if by == "entropy":
            confident = (movie.table * np.log(np.where(movie.table > 0, movie.table, 1))).sum(1)
        confident = confident.round(12)  # sums of the table's zeros round otherwise
        correct = movie.table.argmax(1) == movie.truth
        risks = []
        rng = np.random.default_rng(0)
        for _ in range(400):  # random tie-breaking
            order = np.lexsort((rng.random(len(correct)), -confident))
            risks.append(np.cumsum(~correct[order]) / np.arange(1, len(correct) + 1))
        found = value(AURC(by), movie.probabilities, movie.targets)
        assert found == pytest.approx(np.mean(risks), abs=0.01)
        wrong_last = np.cumsum(np.sort(~correct)) / np.arange(1, len(correct) + 1)
        assert value(AUSE(by), movie.probabilities, movie.targets) == pytest.approx(found - wrong_last.mean())


class TestAsMetrics:
    def test_a_collection_agrees_with_the_summary(self, movie):
        other = ragged_movie(1)
        metrics = calibration_metrics()
        for part in (movie, other):
            metrics.update(part.probabilities, part.targets)
        events = [judge_events(part.probabilities, part.targets) for part in (movie, other)]
        expected = summarise([movie.judged, other.judged], events)
        found = metrics.compute()
        assert set(found) == set(expected) - {"n_daughters", "n_after_gap"}
        for name, number in found.items():
            assert float(number) == pytest.approx(expected[name], abs=1e-12), name

    def test_a_collection_judges_daughters_once_and_keeps_events_apart(self, movie):
        metrics = calibration_metrics()
        metrics.update(movie.probabilities, movie.targets)
        groups = sorted(len(group) for group in metrics.compute_groups.values())
        assert groups == [1, 1, 1, 1, 12]

    def test_reset(self, movie):
        metrics = calibration_metrics(events=False)
        metrics.update(ragged_movie(2).judged)
        metrics.reset()
        metrics.update(movie.judged)
        assert float(metrics.compute()["nll"]) == pytest.approx(summarise(movie.judged)["nll"])

    def test_forward_returns_the_movie_and_keeps_all(self, movie):
        other = ragged_movie(3)
        metric = TopLabelCalibrationError()
        metric(movie.judged)
        assert float(metric(other.judged)) == pytest.approx(summarise(other.judged)["ece"])
        both = summarise([movie.judged, other.judged])["ece"]
        assert float(metric.compute()) == pytest.approx(both)

    @pytest.mark.parametrize(
        "metric",
        [MotherAccuracy, BrierScore, UnreachableDaughters, TopLabelCalibrationError, AURC, AUSE],
    )
    def test_processes_are_gathered(self, movie, metric):
        """What DDP does, without processes: every state is gathered, then reduced."""
        other = ragged_movie(4)
        there = metric()
        there.update(other.judged)
        remote = iter([])  # states are gathered one after another, in the order in which they were added

        def gather(state, group=None):
            return [state, torch.cat(getattr(there, next(remote)))]

        here = metric(dist_sync_fn=gather, distributed_available_fn=lambda: True)
        here.update(movie.judged)
        remote = iter(here._defaults)
        together = metric()
        together.update(JudgedDaughters.concatenate([movie.judged, other.judged]))
        assert float(here.compute()) == pytest.approx(float(together.compute()), abs=1e-12)

    def test_curve(self, movie):
        metric = AURC()
        with pytest.raises(InputError, match="before the first update"):
            metric.curve()
        metric.update(movie.judged)
        metric.update(ragged_movie(5).judged)
        curve = metric.curve()
        assert len(curve.removed) == 2 * len(movie.judged)
        assert float((1 - curve.accuracy).mean()) == pytest.approx(float(metric.compute()), abs=1e-12)

    def test_gradients_are_not_kept(self, movie):
        judged = movie.judged
        with_grad = JudgedDaughters(**{**vars(judged), "brier": judged.brier.clone().requires_grad_()})
        metric = BrierScore()
        metric.update(with_grad)
        assert not metric.compute().requires_grad

    def test_single_class_truths(self, movie):
        judged = movie.judged
        for chosen in (judged.has_mother, judged.correct, ~judged.correct):
            metrics = calibration_metrics(events=False)
            metrics.update(judged.where(chosen))
            assert all(math.isfinite(float(number)) for number in metrics.compute().values())
        nobody = movie.judged.where(~judged.has_mother)
        assert math.isfinite(value(TopLabelCalibrationError(), nobody))

    def test_moved_to_another_device(self):
        metric = MotherAccuracy().to("meta")
        assert metric.device.type == "meta"


class TestNothingToJudge:
    def test_no_update(self):
        for metric in (TopLabelCalibrationError(), EventCalibrationError("division")):
            with pytest.warns(UserWarning, match="NaN"), pytest.warns(UserWarning, match="before the"):
                assert math.isnan(float(metric.compute()))

    def test_no_daughter_with_a_mother(self, movie):
        metric = TopLabelCalibrationError(with_mother=True)
        metric.update(movie.judged.where(~movie.judged.has_mother))
        with pytest.warns(UserWarning, match="TopLabelCalibrationError has no daughter to judge"):
            assert math.isnan(float(metric.compute()))

    def test_nobody_annotated(self, movie):
        nobody = movie.targets.only(torch.zeros_like(movie.targets.known))
        metric = EventCalibrationError("link")
        metric.update(movie.probabilities, nobody)
        with pytest.warns(UserWarning, match="no link to judge"):
            assert math.isnan(float(metric.compute()))


class TestRefused:
    def test_updates(self, movie):
        metric = MotherAccuracy()
        for given in ((movie.probabilities,), (movie.judged, movie.targets)):
            with pytest.raises(InputError, match="probabilities and targets, or judged daughters"):
                metric.update(*given)
        with pytest.raises(InputError, match="'division' alone"):
            EventCalibrationError("division").update({})

    def test_options(self):
        for metric in (
            lambda: TopLabelCalibrationError(n_bins=0),
            lambda: TopLabelCalibrationError(norm="l7"),
            lambda: EventCalibrationError("birth"),
            lambda: EventCalibrationError("link", n_bins=-1),
            lambda: AURC("variance"),
            lambda: AUSE("variance"),
        ):
            with pytest.raises(InputError, match="expected"):
                metric()
