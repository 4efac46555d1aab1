"""What simulated cells look like: size, direction and brightness, which follow from track and age alone."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from torchtrack_uq.datasets.simulation.conditions import Conditions
from torchtrack_uq.datasets.simulation.true_frames import TrueFrame

Floats = NDArray[np.float64]
_TURN = 0.05  # radians a frame
_BRIGHTNESS = 0.2


class Looks(NamedTuple):
    """Of n cells.

    Attributes:
        diameter: (n,) equivalent diameter in pixels of x.
        axis: (n, D) unit vectors along the longest axis.
        brightness: (n,) with mean about 1.
    """

    diameter: Floats
    axis: Floats
    brightness: Floats


def looks_of(conditions: Conditions, frame: TrueFrame) -> Looks:
    """What the cells of a frame look like.

    A cell has half of its full volume when its mother has divided, and grows to it within about the time between two
    divisions.
    """
    ndim, n = conditions.ndim, len(frame)
    filled = np.ones(n)
    if conditions.divide > 0:
        filled = 1 - 0.5 * np.exp(-2 * frame.age * conditions.divide)
    spread = np.exp(conditions.diameter_spread * ndtri(uniform_of(frame.track, 0)))
    angle = 2 * np.pi * uniform_of(frame.track, 1) + _TURN * (frame.t - frame.begin)
    axis = np.zeros((n, ndim))
    axis[:, -1], axis[:, -2] = np.cos(angle), np.sin(angle)
    if ndim == 3:
        up = 2 * uniform_of(frame.track, 2) - 1
        axis *= np.sqrt(1 - up**2)[:, None]
        axis[:, 0] = up
    brightness = np.exp(_BRIGHTNESS * ndtri(uniform_of(frame.track, 3)))
    return Looks(conditions.diameter * spread * filled ** (1 / ndim), axis, brightness)


def uniform_of(number: NDArray[np.int64], salt: int) -> Floats:
    """Numbers between 0 and 1 that whole numbers always have, and that look random (Steele et al. 2014, splitmix64).

    Args:
        number: (n,) whole numbers.
        salt: Another one gives other numbers.

    >>> uniform_of(np.array([1, 2]), 0).round(3)
    array([0.883, 0.432])
    """
    with np.errstate(over="ignore"):
        z = (number.astype(np.uint64) + np.uint64(salt << 40)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    found: Floats = ((z >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return found
