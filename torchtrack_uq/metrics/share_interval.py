"""How far a share that was counted may be from the true one."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def share_interval(
    right: ArrayLike, n: ArrayLike, z: float = 1.96
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest share that `right` of `n` speaks for (Wilson, JASA 22, 1927).

    Args:
        right: (B,) how many were right.
        n: (B,) of how many, at least 1.
        z: Standard deviations, 1.96 for 95 %.

    >>> low, high = share_interval([9], [10])
    >>> low.round(2).tolist(), high.round(2).tolist()
    ([0.6], [0.98])
    """
    total = np.asarray(n, np.float64)
    share = np.asarray(right, np.float64) / total
    middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    return middle - half, middle + half
