"""Random small movies with candidate links, and true mothers for them."""

from collections.abc import Sequence

import numpy as np
import torch

from torchtrack_uq import CandidateGraph, Detections, LinkTargets


def random_movie(
    sizes: Sequence[int], seed: int, dtype: torch.dtype = torch.float64, n_mothers: int = 4
) -> CandidateGraph:
    """A movie with so many cells in its frames; every daughter has up to `n_mothers` candidates."""
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(len(sizes)), sizes)
    cells = Detections.from_points(frame, rng.normal(size=(len(frame), 2)), n_frames=len(sizes))
    first = np.concatenate([[0], np.cumsum(sizes)])
    links = [
        (mother, daughter)
        for t in range(1, len(sizes))
        for daughter in range(first[t], first[t + 1])
        for mother in rng.permutation(np.arange(first[t - 1], first[t]))[:n_mothers]
    ]
    mother, daughter = np.array(links, dtype=np.int64).reshape(-1, 2).T
    disappear = rng.normal(-2, 1, len(frame))
    return CandidateGraph.from_links(
        cells,
        mother,
        daughter,
        torch.tensor(rng.normal(0, 2, len(links)), dtype=dtype),
        appear=rng.normal(-1, 1, len(frame)),
        disappear=disappear,
        divide=np.minimum(rng.normal(-2, 1, len(frame)), -disappear),
    )


def random_targets(graph: CandidateGraph, seed: int, known: float = 0.8) -> LinkTargets:
    """True mothers among the candidates, or none; not all of them known."""
    rng = np.random.default_rng(seed)
    mother = np.full(graph.n_cells, -1, np.int64)
    for j in np.unique(graph.daughter.numpy()):
        candidates = graph.mother.numpy()[graph.daughter.numpy() == j]
        mother[j] = rng.choice([-1, *candidates])
    annotated = torch.from_numpy(rng.random(graph.n_cells) < known)
    return LinkTargets.from_mothers(torch.from_numpy(mother), graph.frame, annotated)
