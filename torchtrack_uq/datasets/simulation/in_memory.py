"""Whole simulated movies in memory, as the package's own types, with the truth about them."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.datasets.corrupt import KINDS, CorruptionRates
from torchtrack_uq.datasets.detection_kinds import DetectionKinds
from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.datasets.simulation.conditions import Conditions
from torchtrack_uq.datasets.simulation.imperfect_points import DetectedFrame, check_rates, detect
from torchtrack_uq.datasets.simulation.looks import Looks, looks_of
from torchtrack_uq.datasets.simulation.true_frames import TrueFrame, check_seed, simulate_frames
from torchtrack_uq.movies.detections import Detections

PERFECT = CorruptionRates()


class SimulatedFrame(NamedTuple):
    """One frame: its true cells, what they look like, and what a detector finds of them."""

    true: TrueFrame
    looks: Looks
    found: DetectedFrame


class TracksSoFar:
    """Begin, end and parent of every track that frames have shown; forgets those that have ended once asked to."""

    def __init__(self) -> None:
        self._rows = np.zeros((0, 4), dtype=np.int64)

    def add(self, frame: TrueFrame) -> NDArray[np.int64]:
        """Go on with the tracks of a frame.

        Returns:
            (k, 4) int64, label, begin, end and parent of the tracks that have ended before it, by ascending label.
        """
        ended = self._rows[~np.isin(self._rows[:, 0], frame.track)]
        now = np.full(len(frame), frame.t, dtype=np.int64)
        self._rows = np.stack([frame.track, frame.begin, now, frame.parent], axis=1)
        return ended

    def rest(self) -> NDArray[np.int64]:
        """(k, 4) int64, those that have not ended."""
        return self._rows


def stream(
    conditions: Conditions, seed: int = 0, errors: CorruptionRates = PERFECT
) -> Iterator[SimulatedFrame]:
    """A simulated movie, one frame at a time, in memory that does not grow with the number of frames.

    Args:
        conditions: Of the movie.
        seed: The same seed makes the same movie.
        errors: What the detector does wrong.

    Raises:
        InputError: A seed or rates that cannot be, before anything is simulated.

    >>> [len(frame.found) for frame in stream(Conditions(n_frames=2, border="gone", appear=0, disappear=0, divide=0))]
    [100, 99]
    """
    check_rates(errors)
    frames, number = simulate_frames(conditions, seed), check_seed(seed)
    return (_detected(conditions, frame, errors, number) for frame in frames)


def _detected(conditions: Conditions, frame: TrueFrame, errors: CorruptionRates, seed: int) -> SimulatedFrame:
    looks = looks_of(conditions, frame)
    return SimulatedFrame(frame, looks, detect(conditions, frame, looks, errors, seed))


def simulate(
    conditions: Conditions, seed: int = 0, errors: CorruptionRates = PERFECT, *, name: str | None = None
) -> AnnotatedMovie:
    """Simulate a movie's points with the truth about them.

    Args:
        conditions: Of the movie.
        seed: The same seed makes the same movie.
        errors: What the detector does wrong; with any errors, labels say nothing about tracks.
        name: What to call it.

    Returns:
        The points and their lineage; `movie.targets()` are the true mothers, `movie.detection_truth()` says which
        detections are false, merged or split.

    Raises:
        InputError: A seed or rates that cannot be.

    Warns:
        UserWarning: There was no room for as many errors as were asked for.

    >>> movie = simulate(Conditions(n_frames=5, n_cells=50, divide=0.1), seed=3, errors=CorruptionRates(missed=0.05))
    >>> movie.name, movie.detections.n_frames, movie.kinds is not None
    ('simulation 3', 5, True)
    """
    frames, rows, tracks = [], [], TracksSoFar()
    for frame in stream(conditions, seed, errors):
        frames.append(frame.found)
        rows.append(tracks.add(frame.true))
    asked, made = (np.array([getattr(f, which) for f in frames]).sum(axis=0) for which in ("asked", "made"))
    warn_of_shortfall(asked, made)
    counts = [len(frame) for frame in frames]
    cells = Detections.from_points(
        np.repeat(np.arange(len(frames)), counts),
        np.concatenate([frame.place for frame in frames]) / conditions.aspect,
        np.concatenate([frame.label for frame in frames]),
        len(frames),
        voxel_size=conditions.voxel_size,
        interval=conditions.interval,
    )
    shape: tuple[Any, ...] = tuple(conditions.size)  # as of points, whose field need not be whole pixels
    cells = replace(cells, field_shape=shape)
    perfect = errors == PERFECT
    return AnnotatedMovie(
        f"simulation {seed}" if name is None else name,
        cells,
        Lineage.from_rows(np.concatenate([*rows, tracks.rest()])),
        track=None if perfect else np.concatenate([frame.track for frame in frames]),
        kinds=None if perfect else DetectionKinds.concatenate([frame.kinds for frame in frames]),
    )


def warn_of_shortfall(asked: NDArray[np.int64], made: NDArray[np.int64]) -> None:
    """Warn where a movie had no room for as many errors of each kind as were asked for.

    Args:
        asked: (4,) int64, by `KINDS`.
        made: (4,) int64, likewise.
    """
    short = [f"{kind} {b} of {a}" for kind, a, b in zip(KINDS, asked, made, strict=True) if b < a]
    if short:
        warnings.warn(
            f"the simulated movie gave no room for all errors that were asked for; made were {', '.join(short)}",
            stacklevel=3,
        )
