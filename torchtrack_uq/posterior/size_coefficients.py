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
        -4.464,
        0.0,
        (-4.879, 2.983, -0.628, 1.572, 0.045, 0.0),
        (-5.199, 2.33, -0.678, 1.272, 0.629, -0.042),
        0.362,
    ),
    "before": Coefficients(-3.785, 0.0, (-4.949, 3.78, -1.168, 1.227, -0.126, 0.0), _NONE, 0.0),
    "after": Coefficients(-3.318, 0.0, _NONE, (-6.284, 3.454, -1.443, 1.809, 0.57, -3.558), 0.0),
}
SPLIT = {
    "both": Coefficients(
        -3.445,
        -5.976,
        (-1.914, 2.545, 0.905, 0.687, 1.393, 3.543),
        (-0.869, 4.248, -0.828, 1.457, 1.182, 0.0),
        0.061,
    ),
    "before": Coefficients(-0.619, -7.652, (-1.893, 3.771, 1.186, 1.167, 1.508, 3.776), _NONE, 0.0),
    "after": Coefficients(-0.454, -6.79, _NONE, (-2.183, 4.405, -0.401, 2.142, 1.718, 0.0), 0.0),
}
