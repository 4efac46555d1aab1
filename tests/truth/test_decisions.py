"""Decisions and how they are judged."""

import numpy as np
import pytest
import torch

from torchtrack_uq import (
    CandidateGraph,
    Detections,
    InputError,
    OverlapTracker,
    ParentalSoftmax,
    TrackingResult,
    UncertainTracker,
)
from torchtrack_uq.truth import decision_probability, judge_decisions
from torchtrack_uq.truth.targets import LinkTargets


@pytest.fixture
def result(blobs: tuple[np.ndarray, np.ndarray]) -> TrackingResult:
    return UncertainTracker(OverlapTracker()).track(*blobs, progress=False)


class TestDecisions:
    def test_contested_mothers_are_judged_by_what_was_decided(self) -> None:
        """Both daughters like mother 0 best; the assignment gives her to one and mother 1 to the other."""
        cells = Detections.from_points(np.array([0, 0, 1, 1, 1]), np.zeros((5, 2)))
        graph = CandidateGraph.from_links(cells, [0, 0, 1], [2, 3, 3], torch.tensor([3.0, 2.0, 1.0]).log())
        p = ParentalSoftmax()(graph)
        targets = LinkTargets.from_mothers(torch.tensor([-1, -1, 0, 1, -1]), graph.frame)
        decisions = judge_decisions(p, np.array([True, False, True]), targets)
        np.testing.assert_allclose(decisions.probability, [3 / 4, 1 / 4, 1.0])
        assert decisions.correct.tolist() == [True, True, True]
        assert decisions.linked.tolist() == [True, True, False]
        wrong = judge_decisions(p, np.array([False, True, False]), targets)
        np.testing.assert_allclose(wrong.probability, [1 / 4, 1 / 2, 1.0])
        assert wrong.correct.tolist() == [False, False, True]

    def test_only_known_daughters_are_judged(self) -> None:
        cells = Detections.from_points(np.array([0, 1, 1]), np.zeros((3, 2)))
        graph = CandidateGraph.from_links(cells, [0], [1], [0.0])
        known = torch.tensor([True, False, True])
        targets = LinkTargets.from_mothers(torch.tensor([-1, 0, -1]), graph.frame, known)
        assert judge_decisions(ParentalSoftmax()(graph), np.array([True]), targets).cell.tolist() == [2]

    def test_it_is_the_probability_in_the_table(self, result: TrackingResult) -> None:
        selected = result.links[result.links["selected"]]
        order = np.lexsort((result.detections.label, result.detections.frame))
        p = decision_probability(result.probabilities, result.selected).numpy()[order]
        np.testing.assert_allclose(selected["probability"], p[result.detections.frame[order] > 0], rtol=1e-5)
        assert p.dtype == np.float64

    def test_two_links_for_one_daughter_are_refused(self) -> None:
        cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
        p = ParentalSoftmax()(CandidateGraph.from_links(cells, [0, 1], [2, 2], [0.0, 0.0]))
        with pytest.raises(InputError, match="two links are selected for the same daughter"):
            decision_probability(p, np.array([True, True]))
        with pytest.raises(InputError, match=r"expected \(2,\) of torch.bool"):
            decision_probability(p, np.array([True]))
