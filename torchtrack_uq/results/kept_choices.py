"""Tracks that were given stay as they are where a person's decisions do not reach them."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_MOST_DAUGHTERS = 2


def keep_choices(given: Ints, before: Ints, after: Ints, decided: Bools) -> Ints:
    """Mothers after some decisions, of tracks that another tracker made: only what follows from these is new.

    The likeliest assignment given the decisions would replace all given tracks at once, those that nobody looked at
    too. So a cell gets her mother in it only where she was decided about, or where the decisions changed the likeliest
    assignment. Where this gives a mother a third daughter, those of hers that were not decided about follow too.

    Args:
        given: (N,) mother of each cell in the given tracks, -1 for none, -2 for one that is no cell any longer.
        before: (N,) in the likeliest assignment without the decisions, numbered alike.
        after: (N,) in the likeliest one that holds them.
        decided: (N,) bool, cells that were decided about.

    >>> given, likeliest = np.array([-1, -1, 1, 0, 0]), np.array([-1, -1, 0, 1, 0])
    >>> keep_choices(given, likeliest, likeliest, np.arange(5) == 2).tolist()  # cell 0 has 2, 3 and 4 then: too many
    [-1, -1, 0, 1, 0]
    >>> keep_choices(given[:4], likeliest[:4], likeliest[:4], np.arange(4) == 2).tolist()
    [-1, -1, 0, 0]
    """
    follows = decided | (before != after) | (given < -1)
    while True:
        mother = np.where(follows, after, given)
        n_daughters = np.bincount(mother[mother >= 0], minlength=1)
        crowded = (mother >= 0) & (n_daughters[mother.clip(min=0)] > _MOST_DAUGHTERS) & ~follows
        if not crowded.any():
            return mother
        follows = follows | crowded
