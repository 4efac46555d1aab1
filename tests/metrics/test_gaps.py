"""Numbers about cells that were missed and detections that are no cells."""

import math

import numpy as np
import pytest
import torch

from tests.support.gap_tracker import GapTracker
from torchtrack_uq import AssignmentPosterior, InputError
from torchtrack_uq.datasets import CorruptionRates, corrupt
from torchtrack_uq.datasets.simulator import simulate_movie
from torchtrack_uq.functional.calibration_error import calibration_error
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.metrics import EventCalibrationError, MotherAccuracy, summarise, summarise_with_intervals
from torchtrack_uq.truth import (
    DetectionTruth,
    LinkTargets,
    judge,
    judge_detections,
    judge_events,
)


def corrupted(max_gap: int, seed: int = 0) -> tuple[LinkProbabilities, LinkTargets, DetectionTruth]:
    movie = corrupt(
        simulate_movie(12, 60, (600.0, 600.0), seed=seed), CorruptionRates(missed=0.06, false=0.03)
    )
    graph = GapTracker(max_gap).candidates(movie.detections)
    with torch.no_grad():
        probabilities = AssignmentPosterior("auto")(graph)
    truth = movie.detection_truth()
    assert truth is not None
    return probabilities, movie.targets(max_gap), truth


def test_cells_after_a_gap_are_counted_one_by_one() -> None:
    p, targets, _ = corrupted(2)
    found = summarise(judge(p, targets), judge_events(p, targets))
    mother, frame = targets.mother.numpy(), p.graph.frame.numpy()
    right = total = 0
    for j in np.flatnonzero(targets.known.numpy() & (mother >= 0)):
        if frame[j] - frame[mother[j]] == 1:
            continue
        total += 1
        own = np.flatnonzero(p.graph.daughter.numpy() == j)
        classes = {int(p.graph.mother[e]): float(p.link[e]) for e in own} | {-1: float(p.null[j])}
        right += max(classes, key=lambda key: classes[key]) == mother[j]
    assert found["n_after_gap"] == total > 20
    assert found["accuracy_after_gap"] == pytest.approx(right / total)
    assert found["accuracy_after_gap"] > 0.8
    metric = MotherAccuracy(after_gap=True)
    metric.update(p, targets)
    assert float(metric.compute()) == pytest.approx(right / total)
    intervals = summarise_with_intervals(judge(p, targets), judge_events(p, targets), n_resamples=50)
    value, lower, upper = intervals["accuracy_after_gap"]
    assert 0.6 < lower <= value <= upper <= 1


def test_the_calibration_of_missed_is_that_of_all_links_over_a_gap() -> None:
    p, targets, _ = corrupted(2)
    found = summarise(judge(p, targets), judge_events(p, targets))
    known = targets.known
    since = p.graph.frame - p.graph.frame[targets.mother.clamp(min=0)]
    happened = (targets.mother >= 0) & (since > 1)
    over_gap = torch.zeros(p.graph.n_cells, dtype=torch.float64)
    for e in range(p.graph.n_links):
        if p.graph.frame[p.graph.daughter[e]] - p.graph.frame[p.graph.mother[e]] > 1:
            over_gap[p.graph.daughter[e]] += p.link[e]
    expected = calibration_error(over_gap[known], happened[known], 15)
    assert found["ece_missed"] == pytest.approx(float(expected), abs=1e-12)
    assert 0 < found["ece_missed"] < 0.05
    metric = EventCalibrationError("missed")
    metric.update(p, targets)
    assert float(metric.compute()) == pytest.approx(found["ece_missed"])


def test_where_no_link_skips_a_frame_nothing_is_said_of_missed_cells() -> None:
    p, targets, _ = corrupted(1)
    found = summarise(judge(p, targets), judge_events(p, targets))
    assert found["n_after_gap"] == 0
    assert not {"accuracy_after_gap", "ece_missed"} & found.keys()
    metric = EventCalibrationError("missed")
    metric.update(p, targets)
    with pytest.warns(UserWarning, match="no missed to judge"):
        assert math.isnan(float(metric.compute()))


def test_a_truth_that_reaches_farther_than_the_links_counts_what_they_cannot_find() -> None:
    p, near, _ = corrupted(1)
    movie = corrupt(simulate_movie(12, 60, (600.0, 600.0)), CorruptionRates(missed=0.06, false=0.03))
    found = summarise(judge(p, movie.targets(2)))
    assert found["n_after_gap"] == found["n_unreachable"] > 20
    assert found["accuracy_after_gap"] == 0
    assert found["accuracy"] < summarise(judge(p, near))["accuracy"]


def test_the_calibration_of_false_is_over_detections_of_which_both_are_known() -> None:
    p, targets, truth = corrupted(2)
    p_false = p.null * p.disappear
    p_false[p.graph.frame == 0] = math.nan
    events = {**judge_events(p, targets), **judge_detections({"false": p_false}, truth, p.graph.frame)}
    later = p.graph.frame > 0
    expected = calibration_error(p_false[later], truth.false[later], 15)
    found = summarise(judge(p, targets), events)
    assert found["ece_false"] == pytest.approx(float(expected))
    metric = EventCalibrationError("false")
    metric.update(judge_detections({"false": p_false}, truth, p.graph.frame))
    assert float(metric.compute()) == pytest.approx(found["ece_false"])
    with pytest.raises(InputError, match="links do not say whether a detection is false"):
        metric.update(p, targets)
    perfect = judge_detections({"false": truth.false.double()}, truth, p.graph.frame)
    assert summarise(judge(p, targets), perfect)["ece_false"] == 0


def test_movies_of_which_less_is_known_add_nothing_to_what_is_said_of_others() -> None:
    p, targets, truth = corrupted(2)
    false = judge_detections({"false": p.null * p.disappear}, truth, p.graph.frame)
    links = judge_events(p, targets)
    both = summarise([judge(p, targets)] * 2, [links, {**links, **false}])
    alone = summarise(judge(p, targets), {**links, **false})
    assert both["ece_false"] == pytest.approx(alone["ece_false"])


def test_impossible_probabilities_of_detections_are_refused() -> None:
    no = torch.zeros(3, dtype=torch.bool)
    truth, frame = DetectionTruth(no, no, no, ~no), torch.arange(3)
    with pytest.raises(InputError, match="event 'lost' of a detection is unknown"):
        judge_detections({"lost": torch.zeros(3)}, truth, frame)
    with pytest.raises(InputError, match=r"are \(2,\)"):
        judge_detections({"false": torch.zeros(2)}, truth, frame)
    with pytest.raises(InputError, match="outside 0 to 1"):
        judge_detections({"false": torch.tensor([0.0, 1.5, 0.0])}, truth, frame)
    with pytest.raises(InputError, match="known is"):
        DetectionTruth(no, no, no, no[:2])
