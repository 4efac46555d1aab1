"""How simulated cells move: noise, memory, drift, flow, and pushing."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from torchtrack_uq.datasets.simulation.conditions import Conditions

Floats = NDArray[np.float64]
_N_WAVES = 12
_PASSES = 12
_NEARLY = 1 - 1e-3


class Flow(NamedTuple):
    """A smooth field of velocities: a sum of W plane waves of one length in random directions.

    Attributes:
        wave: (W, D) wave vectors.
        phase: (W,) their phases.
        amplitude: (W, D) their velocities.
    """

    wave: Floats
    phase: Floats
    amplitude: Floats

    @classmethod
    def draw(cls, conditions: Conditions, rng: np.random.Generator) -> "Flow":
        """One whose velocities along each axis have root mean square `conditions.flow` over many draws."""
        shape = (_N_WAVES, conditions.ndim)
        direction = rng.normal(size=shape)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        return cls(
            2 * np.pi / conditions.flow_length * direction,
            rng.uniform(0, 2 * np.pi, _N_WAVES),
            conditions.flow * np.sqrt(2 / _N_WAVES) * rng.normal(size=shape),
        )

    def at(self, place: Floats) -> Floats:
        """(n, D) velocities at (n, D) places."""
        found: Floats = np.cos(place @ self.wave.T + self.phase) @ self.amplitude
        return found


def take_steps(
    conditions: Conditions, velocity: Floats, rng: np.random.Generator, other: np.random.Generator
) -> Floats:
    """The next step of each cell, drift and flow aside.

    Args:
        conditions: How cells move.
        velocity: (n, D) the last step of each.
        rng: Draws noise.
        other: Draws which measured steps a frame takes.

    Returns:
        (n, D).
    """
    if conditions.steps is not None:
        pool = conditions.steps[int(other.integers(len(conditions.steps)))]
        return np.asarray(pool[other.integers(len(pool), size=len(velocity))], dtype=np.float64)
    noise: Floats = conditions.motion * rng.normal(size=velocity.shape)
    if not conditions.persistence:
        return noise
    r = conditions.persistence
    noise = r * velocity + float(np.sqrt(1 - r**2)) * noise
    return noise


def push_apart(place: Floats, apart: float, box: Floats | None, rng: np.random.Generator) -> Floats:
    """Push cells until none are nearer to each other than `apart`, or for some passes where there is no room.

    Args:
        place: (n, D).
        apart: Least distance; 0 pushes none.
        box: (D,) lengths of a torus that holds all places; None for open space.
        rng: Draws the way out for two cells in one place.
    """
    if apart <= 0 or len(place) < 2:
        return place
    for _ in range(_PASSES):
        tree = cKDTree(place, boxsize=box)
        pairs = tree.query_pairs(apart * _NEARLY, output_type="ndarray")
        if not len(pairs):
            break
        first, second = pairs[:, 0], pairs[:, 1]
        between = place[first] - place[second]
        if box is not None:
            between -= box * np.round(between / box)
        length = np.linalg.norm(between, axis=1)
        same = length < 1e-9
        if same.any():
            between[same] = rng.normal(size=(int(same.sum()), place.shape[1]))
            between[same] /= np.linalg.norm(between[same], axis=1, keepdims=True)
        push = between * ((apart - length) / (2 * np.where(same, 1.0, length)))[:, None]
        moved = [
            np.bincount(first, push[:, axis], len(place)) - np.bincount(second, push[:, axis], len(place))
            for axis in range(place.shape[1])
        ]
        place = place + np.stack(moved, axis=1)
        if box is not None:
            place = wrapped(place, box)
    return place


def wrapped(place: Floats, box: Floats) -> Floats:
    """Places on a torus, each at least 0 and below its length."""
    found: Floats = np.mod(place, box)
    found[found >= box] = 0.0  # of a tiny negative number
    return found
