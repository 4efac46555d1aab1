"""Lengths that people like to read beside a bar."""

import numpy as np

_STEPS = (1, 2, 5)


def round_length(most: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50, ... (and .1, .2, .5, ...) that is not above `most`.

    Raises:
        ValueError: A length that is not positive.

    >>> round_length(47), round_length(0.3), round_length(5)
    (20.0, 0.2, 5.0)
    """
    if not most > 0:
        raise ValueError(f"most is {most}; expected a positive length")
    power = int(np.floor(np.log10(most)))
    steps = [float(f"{step}e{k}") for k in (power, power + 1) for step in _STEPS]
    return max(step for step in steps if step <= most * (1 + 1e-9))
