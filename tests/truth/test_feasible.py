"""The truth as an assignment that the candidates allow."""

import numpy as np
import torch

from torchtrack_uq import CandidateGraph, Detections, EventOffsets, UncertaintyLayer
from torchtrack_uq.truth import FeasibleTruth
from torchtrack_uq.truth.targets import LinkTargets


def layer_with_offsets(method: str = "exact") -> UncertaintyLayer:
    return UncertaintyLayer(method, events=EventOffsets())


class TestFeasibleTruth:
    def graph(self):
        cells = Detections.from_points(np.array([0, 0, 1, 1, 1, 1]), np.zeros((6, 2)))
        return CandidateGraph.from_links(
            cells, [0, 0, 0, 1], [2, 3, 4, 5], torch.tensor([1.0, 3.0, 2.0, 0.0])
        )

    def test_a_third_daughter_and_one_without_candidate_have_no_mother(self) -> None:
        graph = self.graph()
        truth = FeasibleTruth.of(
            graph, LinkTargets.from_mothers(torch.tensor([-1, -1, 0, 0, 0, 0]), graph.frame)
        )
        assert truth.mother.tolist() == [-1, -1, -1, 0, 0, -1]
        assert (truth.n_crowded, truth.n_unreachable) == (1, 1)
        assert truth.complete.tolist() == [True]

    def test_frame_pairs_with_unknown_daughters_are_not_complete(self) -> None:
        graph = self.graph()
        known = torch.tensor([True, True, True, True, True, False])
        targets = LinkTargets.from_mothers(torch.tensor([-1, -1, 0, 0, -1, 1]), graph.frame, known)
        assert FeasibleTruth.of(graph, targets).complete.tolist() == [False]
