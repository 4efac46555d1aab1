"""All samples that conditional Poisson sampling may draw, listed."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray


def chances_of_samples(odds: NDArray[np.float64], n: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """Members of each sample of n and its probability; infinite odds are of daughters that are in all of them."""
    certain = {int(i) for i in np.flatnonzero(np.isinf(odds))}
    samples = [members for members in combinations(range(len(odds)), n) if certain <= set(members)]
    weights = [float(np.prod([odds[i] for i in members if i not in certain])) for members in samples]
    total = sum(weights)
    for members, weight in zip(samples, weights, strict=True):
        yield members, weight / total
