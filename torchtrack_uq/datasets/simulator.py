"""A simulator of moving, dividing cells whose true mothers, and the noise they move by, are known."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections


class _Cells(NamedTuple):
    """The cells of one frame: where they are (n, D), their tracks (n,) and those they descend from (n,)."""

    place: NDArray[np.float64]
    track: NDArray[np.int64]
    parent: NDArray[np.int64]


def simulate_movie(
    n_frames: int = 20,
    n_cells: int = 100,
    size: Sequence[float] = (400.0, 400.0),
    *,
    motion: float = 5.0,
    divide: float = 0.02,
    disappear: float = 0.01,
    appear: float = 1.0,
    separation: float = 10.0,
    seed: int = 0,
) -> AnnotatedMovie:
    """Simulate points that walk at random, divide, vanish and turn up, with the truth about them.

    Between two frames every cell vanishes with probability `disappear`, divides with probability `divide`, or stays
    itself. Whoever is there moves by independent normal noise along each axis; two daughters start out `separation`
    apart, at either side of their mother in a random direction, and move each for herself. Then a Poisson number of
    new cells turns up, uniformly. A cell that leaves the field of view is gone.

    It is a simulation, and simpler than any real movie: cells are points, without size, shape or image, so they do
    not push each other away; they have no direction and no memory; detection makes no errors. What it is good for:
    the right scores are known. Without division, `DistanceTracker(scale=motion)` differs from the log-likelihood of
    a link by a constant only, so that its fitted temperature is about 1, and that of `scale=motion / 2` about 4.

    Args:
        n_frames: Number of frames, at least 2.
        n_cells: Number of cells in the first frame, uniform in the field of view.
        size: Field of view in pixels, (Y, X) or (Z, Y, X).
        motion: Standard deviation of the displacement between frames along each axis, in pixels.
        divide: Probability that a cell divides before the next frame.
        disappear: Probability that it vanishes.
        appear: Expected number of cells that turn up in each frame.
        separation: Distance at which two daughters start, in pixels.
        seed: The same seed makes the same movie.

    Returns:
        The cells without features, labelled by their tracks, and their lineage.

    Raises:
        InputError: A number out of its range.

    >>> movie = simulate_movie(n_frames=5, n_cells=50, divide=0.1)
    >>> movie.name, movie.detections.n_frames, movie.summary()["n_divisions"]
    ('simulation 0', 5, 17)
    """
    _check(n_frames, n_cells, size, divide=divide, disappear=disappear)
    for name, value in (("motion", motion), ("appear", appear), ("separation", separation)):
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"{name} must be a number of at least 0, got {value}")
    rng, field = np.random.default_rng(seed), np.asarray(size, dtype=np.float64)
    first = np.arange(1, n_cells + 1)
    frames = [_Cells(rng.uniform(size=(n_cells, len(field))) * field, first, np.zeros_like(first))]
    n_tracks = n_cells
    for _ in range(1, n_frames):
        survivors = _survivors(frames[-1], rng, divide, disappear, separation, n_tracks)
        place = survivors.place + motion * rng.normal(size=survivors.place.shape)
        n_tracks = max(n_tracks, int(survivors.track.max(initial=0)))
        inside = ((place >= 0) & (place < field)).all(axis=1)
        n_new = rng.poisson(appear)
        new = np.arange(n_tracks + 1, n_tracks + n_new + 1)
        n_tracks += n_new
        frames.append(
            _Cells(
                np.concatenate([place[inside], rng.uniform(size=(n_new, len(field))) * field]),
                np.concatenate([survivors.track[inside], new]),
                np.concatenate([survivors.parent[inside], np.zeros_like(new)]),
            )
        )
    return _annotated(frames, f"simulation {seed}")


def _survivors(
    cells: _Cells,
    rng: np.random.Generator,
    divide: float,
    disappear: float,
    separation: float,
    n_tracks: int,
) -> _Cells:
    """Those who stay and the daughters of those who divide, before they move."""
    fate = rng.uniform(size=len(cells.track))
    stays, divides = fate >= disappear + divide, (fate >= disappear) & (fate < disappear + divide)
    mothers, n_mothers = cells.place[divides], int(divides.sum())
    direction = rng.normal(size=mothers.shape)
    direction *= separation / 2 / np.linalg.norm(direction, axis=1, keepdims=True)
    return _Cells(
        np.concatenate([cells.place[stays], mothers + direction, mothers - direction]),
        np.concatenate([cells.track[stays], n_tracks + 1 + np.arange(2 * n_mothers)]),
        np.concatenate([cells.parent[stays], np.tile(cells.track[divides], 2)]),
    )


def _annotated(frames: list[_Cells], name: str) -> AnnotatedMovie:
    frame = np.repeat(np.arange(len(frames)), [len(cells.track) for cells in frames])
    place, track, parent = (np.concatenate(column) for column in zip(*frames, strict=True))
    label, begins = np.unique(track, return_index=True)  # frames ascend, so the first row is the first frame
    ends = len(track) - 1 - np.unique(track[::-1], return_index=True)[1]
    lineage = Lineage(label, frame[begins], frame[ends], parent[begins])
    cells = Detections.from_points(frame, place, track, len(frames), sort=True)
    return AnnotatedMovie(name, cells, lineage)


def _check(n_frames: int, n_cells: int, size: Sequence[float], **probabilities: float) -> None:
    if n_frames < 2 or n_cells < 1:
        raise InputError(
            f"got {n_frames} frames and {n_cells} cells; a movie needs at least 2 frames and a cell to begin with"
        )
    if len(size) not in (2, 3) or not all(math.isfinite(length) and length > 0 for length in size):
        raise InputError(f"size must be two or three positive lengths in pixels, got {tuple(size)}")
    if not all(p >= 0 for p in probabilities.values()) or not sum(probabilities.values()) <= 1:
        raise InputError(
            f"{' and '.join(probabilities)} must be probabilities that sum to at most 1, got "
            + " and ".join(f"{p}" for p in probabilities.values())
        )
