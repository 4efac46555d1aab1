"""Label masks and images of simulated cells: ellipses that touch where it is crowded, and never overlap."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from torchtrack_uq.datasets.simulation.conditions import Conditions
from torchtrack_uq.datasets.simulation.in_memory import SimulatedFrame
from torchtrack_uq.datasets.simulation.looks import Looks
from torchtrack_uq.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_AT_ONCE = 4_000_000  # pixels of windows held at a time
_BACKGROUND, _SIGNAL, _READ_NOISE, _BLUR = 200.0, 1200.0, 8.0, 0.8


class Painted(NamedTuple):
    """Who owns each pixel of a frame.

    Attributes:
        owner: Frame of int64, index of the cell that owns each pixel, -1 for background.
        depth: Frame of float32, 0 at a cell's centre and 1 at its outline; means nothing in the background.
    """

    owner: Integers
    depth: NDArray[np.float32]


def frame_shape(conditions: Conditions) -> tuple[int, ...]:
    """Pixels of a frame, ((Z,) Y, X).

    Raises:
        InputError: The field is no whole number of pixels.
    """
    shape = tuple(round(float(length)) for length in conditions.size)
    if any(abs(a - b) > 1e-9 for a, b in zip(shape, conditions.size, strict=True)):
        raise InputError(
            f"a field of {tuple(conditions.size)} has no whole number of pixels; masks need one along each axis"
        )
    return shape


def paint(conditions: Conditions, place: Floats, looks: Looks) -> Painted:
    """Give each pixel to the cell that it lies deepest in.

    A cell is an ellipse (a spheroid in 3D) of its equivalent diameter; where two overlap, a pixel goes to the one whose
    centre is nearer, in units of the distance of its outline in that direction. Every cell owns at least one pixel.

    Args:
        conditions: Of the movie.
        place: (n, D) centres in pixels of x, inside the field.
        looks: What the cells look like.
    """
    shape, ndim = frame_shape(conditions), conditions.ndim
    n_pixels, n = int(np.prod(shape)), len(place)
    owner = np.full(n_pixels, -1, dtype=np.int64)
    depth = np.full(n_pixels, np.inf, dtype=np.float32)
    if n:
        centre = np.minimum(np.round(place / conditions.aspect), np.array(shape) - 1).astype(np.int64)
        short = looks.diameter / 2 * conditions.elongation ** (-1 / ndim)
        reach = np.ceil(short.max() * conditions.elongation / conditions.aspect).astype(np.int64)
        offsets = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), -1)
        offsets = offsets.reshape(-1, ndim)
        chunk = max(1, _AT_ONCE // len(offsets))
        for first in range(0, n, chunk):
            cells = np.arange(first, min(first + chunk, n))
            _paint_some(conditions, cells, centre, place, looks.axis, short, offsets, (owner, depth), shape)
        _give_each_a_pixel(owner, depth, np.ravel_multi_index(tuple(centre.T), shape), n, shape)
    return Painted(owner.reshape(shape), depth.reshape(shape))


def _paint_some(
    conditions: Conditions,
    cells: Integers,
    centre: Integers,
    place: Floats,
    axis: Floats,
    short: Floats,
    offsets: Integers,
    onto: tuple[Integers, NDArray[np.float32]],
    shape: tuple[int, ...],
) -> None:
    """Paint a few cells, deeper pixels over shallower ones."""
    owner, depth = onto
    pixel = centre[cells, None, :] + offsets
    inside = ((pixel >= 0) & (pixel < shape)).all(axis=2)
    away = pixel * conditions.aspect - place[cells, None, :]
    along = np.einsum("ckd,cd->ck", away, axis[cells])
    square = (away**2).sum(axis=2) - along**2 * (1 - conditions.elongation**-2)
    here = np.sqrt(np.maximum(square, 0)) / short[cells, None]
    row, column = np.nonzero(inside & (here < 1))
    flat = np.ravel_multi_index(tuple(pixel[row, column].T), shape)
    found = here[row, column].astype(np.float32)
    order = np.lexsort((found, flat))
    flat, found, row = flat[order], found[order], row[order]
    deepest = np.ones(len(flat), dtype=np.bool_)
    deepest[1:] = flat[1:] != flat[:-1]
    deepest &= found < depth[flat]
    owner[flat[deepest]], depth[flat[deepest]] = cells[row[deepest]], found[deepest]


def _give_each_a_pixel(
    owner: Integers, depth: NDArray[np.float32], centre: Integers, n: int, shape: tuple[int, ...]
) -> None:
    """Let cells that lie under others, of which there are few, have the nearest pixel that can be spared."""
    owned = np.bincount(owner[owner >= 0], minlength=n)
    places = np.array(np.unravel_index(np.arange(len(owner)), shape)).T if (owned == 0).any() else None
    for cell in np.flatnonzero(owned == 0):
        assert places is not None
        free = np.flatnonzero((owner < 0) | (owned[owner] > 1))
        if not len(free):
            raise InputError(
                f"{n} cells have no room in a frame of {shape}: not even one pixel each; give a larger field or fewer "
                "cells"
            )
        away = ((places[free] - places[centre[cell]]) ** 2).sum(axis=1)
        pixel = free[np.argmin(away)]
        if owner[pixel] >= 0:
            owned[owner[pixel]] -= 1
        owner[pixel], depth[pixel], owned[cell] = cell, 0.0, 1


def true_mask(frame: SimulatedFrame, painted: Painted) -> NDArray[np.uint32]:
    """Label mask of a frame's true cells; labels are tracks."""
    labels = np.append(frame.true.track, 0)
    return labels[painted.owner].astype(np.uint32)


def found_mask(conditions: Conditions, frame: SimulatedFrame, painted: Painted) -> NDArray[np.uint32]:
    """Label mask of what a detector finds: missed cells left out, merged ones as one, split ones in two, false ones.

    Args:
        conditions: Of the movie.
        frame: One of its frames.
        painted: Its true cells, as `paint` paints them.
    """
    found, true = frame.found, frame.true
    label = np.append(np.where(found.of_cell >= 0, found.label[found.of_cell], 0), 0) if len(found) else None
    mask = np.zeros(painted.owner.shape, np.int64) if label is None else label[painted.owner]
    split = np.append(found.second_part >= 0, False)
    pixels = np.nonzero(split[painted.owner])
    owner = painted.owner[pixels]
    away = np.stack(pixels, axis=1) * conditions.aspect - true.place[owner]
    beyond = (away * found.cut[owner]).sum(axis=1) > 0.1 * frame.looks.diameter[owner]
    mask[tuple(axis[beyond] for axis in pixels)] = found.label[found.second_part[owner[beyond]]]
    made_up = np.flatnonzero(found.kinds.false & ~found.kinds.split)
    if len(made_up):
        looks = Looks(
            np.full(len(made_up), 0.7 * conditions.diameter),
            np.tile(np.eye(conditions.ndim)[-1], (len(made_up), 1)),
            np.ones(len(made_up)),
        )
        own = paint(conditions, found.place[made_up], looks).owner
        empty = (own >= 0) & (mask == 0)
        mask[empty] = found.label[made_up[own[empty]]]
    return mask.astype(np.uint32)


def image(conditions: Conditions, frame: SimulatedFrame, painted: Painted, seed: int) -> NDArray[np.uint16]:
    """A fluorescence image of the true cells: bright in the middle, blurred, with photon and read noise.

    Args:
        conditions: Of the movie.
        frame: One of its frames.
        painted: Its true cells.
        seed: The movie's.
    """
    rng = np.random.default_rng([seed, 3, frame.true.t])
    brightness = np.append(frame.looks.brightness, 0.0)[painted.owner]
    profile = 1 - 0.6 * np.square(np.where(painted.owner >= 0, painted.depth, 0))
    light = _BACKGROUND + gaussian_filter(_SIGNAL * brightness * profile, _BLUR / conditions.aspect)
    noisy = rng.poisson(light) + rng.normal(0, _READ_NOISE, light.shape)
    return np.clip(np.round(noisy), 0, np.iinfo(np.uint16).max).astype(np.uint16)
