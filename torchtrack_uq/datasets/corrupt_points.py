"""Points with the errors of an imperfect detector: some missed, some made up."""

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from torchtrack_uq.datasets.corrupt import CorruptionRates
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections

_TRIES = 200  # places tried for a made-up point before there counts as being no room


class CorruptedPoints(NamedTuple):
    """Points after errors.

    Attributes:
        detections: M points. Those that were there before keep their labels; made-up ones have labels above all others.
        source: (M,) int64, which of the points before each is; -1 for a made-up one.
    """

    detections: Detections
    source: NDArray[np.int64]


def corrupt_points(
    detections: Detections, rates: CorruptionRates, seed: int = 0, *, first_frame: int = 0
) -> CorruptedPoints:
    """Take points away and make points up, at given rates.

    Made-up points lie anywhere in the box that holds the movie's points, but at least half the frame's median
    distance of neighbours away from all others. A frame without points stays without.

    Args:
        detections: Points without features: where there are masks, they are what to corrupt (`CorruptedMasks`).
        rates: `missed` and `false`; there is nothing to merge or split in a point.
        seed: The same seed makes the same errors in the same frame of the recording, at every stride.
        first_frame: Frame of the recording that the detections begin with.

    Raises:
        InputError: Rates of other errors, detections with features, or a negative seed.

    >>> cells = Detections.from_points(np.zeros(4, int), np.arange(8.0).reshape(4, 2))
    >>> corrupt_points(cells, CorruptionRates(missed=0.5)).detections
    Detections(2 cells, 1 frames, 2D, features [])
    """
    if rates.merged or rates.split or rates.boundary:
        raise InputError(
            "points cannot be merged or split and have no outline; expected rates of missed and false only"
        )
    if detections.features:
        raise InputError(
            f"the detections have {', '.join(detections.features)}, which a made-up point would lack; expected points "
            "alone: corrupt the masks instead (CorruptedMasks)"
        )
    if seed < 0:
        raise InputError(f"seed is {seed}; expected a whole number of at least 0")
    source, coords, frames, labels = [], [], [], []
    n_short = n_wanted = 0
    low = detections.isotropic_coords.min(axis=0) if len(detections) else np.zeros(detections.ndim)
    high = detections.isotropic_coords.max(axis=0) if len(detections) else np.zeros(detections.ndim)
    above = int(detections.label.max(initial=0)) + 1
    for t in range(detections.n_frames):
        rng = np.random.default_rng([seed, first_frame + t * detections.stride])
        cells = np.arange(len(detections))[detections.in_frame(t)]
        wanted = rates.draw(len(cells), rng)
        kept = np.sort(rng.permutation(cells)[wanted.missed :])
        made = _make_up(detections.isotropic_coords[cells], low, high, wanted.false, rng) / detections.aspect
        n_wanted += wanted.false
        n_short += wanted.false - len(made)
        source += [kept, np.full(len(made), -1)]
        coords += [detections.coords[kept], made]
        labels += [detections.label[kept], above + np.arange(len(made))]
        frames.append(np.full(len(kept) + len(made), t))
    if n_short:
        warnings.warn(
            f"the points gave no room for all errors that were asked for; made were false {n_wanted - n_short} of "
            f"{n_wanted}",
            stacklevel=2,
        )
    found = Detections(
        frame=np.concatenate(frames).astype(np.int64),
        label=np.concatenate(labels).astype(np.int64),
        coords=np.concatenate(coords),
        n_frames=detections.n_frames,
        stride=detections.stride,
        field_shape=detections.field_shape,
        voxel_size=detections.voxel_size,
        interval=detections.interval,
    )
    return CorruptedPoints(found, np.concatenate(source).astype(np.int64))


def _make_up(
    points: NDArray[np.float64],
    low: NDArray[np.floating],
    high: NDArray[np.floating],
    n: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Up to n points between `low` and `high`; none where there are no others."""
    if not n:
        return np.zeros((0, points.shape[1]))
    apart = 0.0
    if len(points) > 1:
        apart = float(np.median(np.asarray(cKDTree(points).query(points, k=2)[0])[:, 1])) / 2
    everyone = points
    for _ in range(n):
        places = rng.uniform(low, high, size=(_TRIES, points.shape[1]))
        fits = np.flatnonzero(np.asarray(cKDTree(everyone).query(places)[0]) >= apart)
        if not len(fits):
            break
        everyone = np.concatenate([everyone, places[fits[:1]]])
    return everyone[len(points) :]
