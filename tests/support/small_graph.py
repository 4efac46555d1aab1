"""Two mothers, two daughters with all links, and one without any."""

import numpy as np
import torch

from torchtrack_uq import CandidateGraph, Detections

CELLS = Detections.from_points(np.array([0, 0, 1, 1, 1]), np.zeros((5, 2)))
LINKS = [0, 1, 0, 1], [2, 2, 3, 3]


def graph_of(score: torch.Tensor, appear: torch.Tensor) -> CandidateGraph:
    return CandidateGraph.from_links(CELLS, *LINKS, score, appear=appear)
