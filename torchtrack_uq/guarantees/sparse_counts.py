"""Tables of counts, mostly 0, in few lines of JSON."""

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError


def sparse_counts(counts: NDArray[np.int64]) -> list[dict[str, int]]:
    """Rows of a table of counts as dictionaries of what is not 0, for JSON."""
    return [{str(k): int(row[k]) for k in np.flatnonzero(row)} for row in counts]


def dense_counts(rows: list[dict[str, int]], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Read back what `sparse_counts` made.

    Raises:
        InputError: A count that is none, or out of the table.
    """
    dense = np.zeros(shape, np.int64)
    for i, counts in enumerate(rows):
        for k, count in counts.items():
            if not 0 <= int(k) < shape[1] or int(count) != count:
                raise InputError(f"the review statistic holds count {count!r} at step {k}; fit again")
            dense[i, int(k)] = count
    return dense
