"""Scores of perturbed copies, brought together on the links that any of them has."""

import numpy as np
import pytest
import torch

from torchtrack_uq import (
    CandidateGraph,
    Detections,
    InputError,
    PerturbedScores,
    UncertaintyLayer,
)


class TestLinksThatSomeCopiesLack:
    cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))

    def graph(self, links: dict[int, float], appear: float = -4.0) -> CandidateGraph:
        return CandidateGraph.from_links(
            self.cells, list(links), [2] * len(links), torch.tensor(list(links.values())), appear=appear
        )

    def test_count_there_as_their_lowest_score_or_null(self) -> None:
        copies = [self.graph({0: -1.0, 1: -3.0}), self.graph({0: -2.0}), self.graph({0: -3.0}, appear=-2.0)]
        scores = PerturbedScores.of(self.graph({0: -1.0}), copies)
        assert scores.graph.mother.tolist() == [0, 1]
        assert scores.graph.score.tolist() == [-1.0, -np.inf]  # the tracker's own score, which it has not
        mean = scores.mean_graph()
        assert mean.score.tolist() == pytest.approx([-2.0, (-3.0 - 4.0 - 3.0) / 3])
        assert mean.appear.tolist() == pytest.approx([-10 / 3] * 3)

    def test_keep_their_own_score_if_no_copy_offers_them(self) -> None:
        scores = PerturbedScores.of(self.graph({0: -1.0, 1: -2.5}), [self.graph({0: -1.0})])
        assert scores.mean_graph().score.tolist() == [-1.0, -2.5]

    def test_pass_gradients(self) -> None:
        score = torch.tensor([-1.0, -2.0], dtype=torch.float64, requires_grad=True)

        def fp(score: torch.Tensor) -> torch.Tensor:
            own = CandidateGraph.from_links(self.cells, [0, 1], [2, 2], score, appear=-4.0)
            less = CandidateGraph.from_links(self.cells, [0], [2], score[:1] * 2, appear=-4.0)
            return UncertaintyLayer("FP")(PerturbedScores.of(own, [own, less])).link

        assert torch.autograd.gradcheck(fp, (score,))

    def test_shapes_that_do_not_fit_are_refused(self) -> None:
        graph = self.graph({0: -1.0})
        event = torch.zeros(2, 3)
        with pytest.raises(InputError, match="score has shape"):
            PerturbedScores(graph, torch.zeros(2, 2), event, event, event)
        with pytest.raises(InputError, match="divide has shape"):
            PerturbedScores(graph, torch.zeros(2, 1), event, event, torch.zeros(1, 3))
