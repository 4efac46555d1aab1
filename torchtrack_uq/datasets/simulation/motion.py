"""How simulated cells move: noise, memory, drift, flow, and pushing."""

from collections.abc import Sequence
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
        # not by BLAS, whose sums depend on the number of threads
        angle = np.einsum("nd,wd->nw", place, self.wave) + self.phase
        found: Floats = np.einsum("nw,wd->nd", np.cos(angle), self.amplitude)
        return found


def take_steps(
    conditions: Conditions,
    place: Floats,
    velocity: Floats,
    rng: np.random.Generator,
    other: np.random.Generator,
) -> Floats:
    """The next step of each cell, drift and flow aside.

    Args:
        conditions: How cells move.
        place: (n, D) where each is.
        velocity: (n, D) the last step of each.
        rng: Draws noise.
        other: Draws which measured steps are taken.

    Returns:
        (n, D).
    """
    if conditions.steps is not None:
        return _measured_steps(conditions.steps, conditions.step_places, place, other)
    noise: Floats = conditions.motion * rng.normal(size=velocity.shape)
    if not conditions.persistence:
        return noise
    r = conditions.persistence
    noise = r * velocity + float(np.sqrt(1 - r**2)) * noise
    return noise


def _measured_steps(
    steps: Sequence[Floats], places: Sequence[Floats] | None, place: Floats, rng: np.random.Generator
) -> Floats:
    """Each a row of one array: any, or that of the nearest place in a shifted and mirrored copy that repeats itself."""
    which = int(rng.integers(len(steps)))
    pool = np.asarray(steps[which], dtype=np.float64)
    if places is None:
        found: Floats = pool[rng.integers(len(pool), size=len(place))]
        return found
    measured = places[which] - places[which].min(axis=0)
    extent = measured.max(axis=0)
    ndim = place.shape[1]
    seam = float(max(extent.max(), 1.0)) / max(len(pool), 2) ** (1 / ndim)
    box = extent + seam
    mirror = rng.choice([-1.0, 1.0], size=ndim)
    at = wrapped(mirror * place + rng.uniform(size=ndim) * box, box)
    nearest = np.asarray(cKDTree(measured, boxsize=box).query(at)[1])
    found = mirror * pool[nearest]
    return found


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


def reflected(place: Floats, box: Floats) -> Floats:
    """Places in a box that cells turn round in, each at least 0 and below its length."""
    twice = np.mod(place, 2 * box)
    found: Floats = np.minimum(np.where(twice > box, 2 * box - twice, twice), np.nextafter(box, 0))
    return found
