"""Coefficients of `merged_and_split`, fitted on masks with errors made on purpose (`experiments.merged_split`)."""

from typing import NamedTuple


class Coefficients(NamedTuple):
    """Of the logit, in nats.

    Attributes:
        intercept: Of a cell of which nothing speaks for an error.
        apart: Of how far apart the parts are; 0 for merged cells.
        before: Of the features `PAIR` in the frame before; zeros where that is not used.
        after: In the frame after.
        loose_twice: Of the product of "loose" before and after.
    """

    intercept: float
    apart: float
    before: tuple[float, ...]
    after: tuple[float, ...]
    loose_twice: float


_NONE = (0.0,) * 6

MERGED = {
    "both": Coefficients(
        -4.587,
        0.0,
        (-4.645, 3.092, -0.708, 1.555, -0.041, 0.0),
        (-5.008, 2.41, -0.633, 1.206, 0.659, 0.127),
        0.441,
    ),
    "after": Coefficients(-3.632, 0.0, _NONE, (-5.865, 3.755, -1.381, 1.759, 0.606, -3.198), 0.0),
    "before": Coefficients(-3.794, 0.0, (-4.868, 3.791, -1.188, 1.25, -0.151, 0.0), _NONE, 0.0),
}
SPLIT = {
    "both": Coefficients(
        -3.278,
        -5.816,
        (-1.489, 2.673, 0.887, 0.819, 1.206, 3.427),
        (-1.169, 4.01, -0.823, 1.16, 0.961, 0.0),
        0.478,
    ),
    "after": Coefficients(-0.007, -6.805, _NONE, (-2.332, 4.467, -0.487, 1.801, 1.537, 0.0), 0.0),
    "before": Coefficients(-0.57, -7.317, (-2.05, 3.587, 1.058, 1.162, 1.429, 3.587), _NONE, 0.0),
}
