"""The example in which the methods' equations are evaluated by hand."""

import itertools

import numpy as np
import torch

from torchtrack_uq import CandidateGraph, Detections


class WorkedExample:
    """Two mothers, two daughters, all links: costs w = -s, appearance a, disappearance 0, division 0.

    The paper's definitions, evaluated on paper: an assignment gives each daughter mother 0, mother 1 or none.
    """

    w = np.array([[0.2, 1.0], [0.9, 0.4]])  # w[i, j]
    a = np.array([-1.5, -2.0])

    def graph(self, scale: float = 1.0) -> CandidateGraph:
        cells = Detections.from_points(np.array([0, 0, 1, 1]), np.zeros((4, 2)))
        return CandidateGraph.from_links(
            cells,
            [0, 1, 0, 1],
            [2, 2, 3, 3],
            torch.from_numpy(-self.w.T.ravel() * scale),
            appear=[0, 0, *self.a],
        )

    def ranked(self) -> list[tuple[float, tuple[int, int]]]:
        """All nine assignments with their log-weights, best first."""
        found = []
        for parent in itertools.product([0, 1, -1], repeat=2):
            weight = sum(-self.w[i, j] if i >= 0 else self.a[j] for j, i in enumerate(parent))
            found.append((weight, parent))
        return sorted(found, reverse=True)
