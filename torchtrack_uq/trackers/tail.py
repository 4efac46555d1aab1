"""Scores of links that are longer than a tracker would make them."""

import numpy as np
from numpy.typing import NDArray

REACH = 2.0
"""How many search ranges away a mother is still a candidate."""


def gaussian_with_tail(
    z: NDArray[np.float64], search_range: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Log of a Gaussian within the search range, falling linearly beyond it.

    A link beyond the range scores less than one at it, so that it is never preferred to having no mother. But it is
    a candidate: a tracker that offers the true mother of a fast cell nowhere is certain that the cell appeared, and
    no temperature mends that. (Measured on HeLa cells at every frame: area under the risk-coverage curve 0.087
    without and 0.003 with these links, after fitting a temperature.)

    Args:
        z: Distances in standard deviations, any shape.
        search_range: The range, likewise.

    Returns:
        -z² / 2 up to the range r, -r² / 2 - (z - r) beyond.

    >>> gaussian_with_tail(np.array([1.0, 3.0]), 2.0)
    array([-0.5, -3. ])
    """
    within = np.minimum(z, search_range)
    tail: NDArray[np.float64] = -(within**2) / 2 - np.maximum(z - search_range, 0.0)
    return tail
