"""Simulated movies, one frame at a time: where every cell is, and whose daughter."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.datasets.simulation.conditions import Conditions
from torchtrack_uq.datasets.simulation.motion import Flow, push_apart, reflected, take_steps, wrapped
from torchtrack_uq.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_STEADY = 0.2  # share of the surplus that goes in each frame


@dataclass(frozen=True, eq=False)
class TrueFrame:
    """The n cells that are truly in the field in one frame, by ascending track.

    Attributes:
        t: Number of the frame.
        place: (n, D) float64, centres in pixels of x from the field's corner.
        track: (n,) int64, positive.
        parent: (n,) int64, track that each one's track descends from, 0 for none.
        begin: (n,) int64, frame in which its track begins.
        mother: (n,) int64, index of the cell in the frame before that it is or descends from; -1 for none.
        age: (n,) float64, frames since its mother divided; of those that nobody saw begin, as drawn.
        died: (m,) bool, of the m cells of the frame before, those that died since.
    """

    t: int
    place: Floats
    track: Integers
    parent: Integers
    begin: Integers
    mother: Integers
    age: Floats
    died: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.track)


@dataclass(frozen=True, eq=False)
class _Cells:
    """All cells, those outside of the field included: these have track 0."""

    place: Floats
    velocity: Floats
    age: Floats
    track: Integers
    parent: Integers
    begin: Integers
    index: Integers  # among those in the field in the last frame, by ascending track; -1 outside

    def where(self, chosen: NDArray[np.generic]) -> "_Cells":
        return _Cells(**{name: column[chosen] for name, column in vars(self).items()})

    def __add__(self, other: "_Cells") -> "_Cells":
        columns = vars(other)
        return _Cells(**{name: np.concatenate([one, columns[name]]) for name, one in vars(self).items()})


def simulate_frames(conditions: Conditions, seed: int = 0) -> Iterator[TrueFrame]:
    """Simulate a movie, one frame at a time; what is held in memory does not grow with the number of frames.

    Args:
        conditions: Of the movie.
        seed: A whole number of at least 0. The same seed makes the same movie, on any number of threads, and a longer
            movie begins as a shorter one.

    Yields:
        Its frames.

    Raises:
        InputError: The seed is no such number.

    >>> frames = list(simulate_frames(Conditions(n_frames=3, n_cells=50, border="gone", appear=0)))
    >>> len(frames[0]), int(frames[0].mother.max()), bool((frames[2].mother >= 0).all())
    (50, -1, True)
    """
    return _Population(conditions, check_seed(seed)).frames()


def check_seed(seed: int) -> int:
    """A seed as a plain integer.

    Raises:
        InputError: It is no whole number of at least 0.
    """
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if value < 0:
        raise InputError(f"seed is {seed}; expected a whole number of at least 0")
    return value


class _Population:
    """The state of a simulation: what is drawn for cells comes from one stream, whatever else from another."""

    def __init__(self, conditions: Conditions, seed: int) -> None:
        self.conditions = conditions
        self.rng, self.other = np.random.default_rng(seed), np.random.default_rng([seed, 1])
        self.field, self.open = conditions.field, conditions.border == "open"
        self.margin, self.share = conditions.margin, conditions.reservoir
        self.box = self.field + 2 * self.margin
        self.flow = Flow.draw(conditions, self.other) if conditions.flow else None
        self.n_tracks = 0

    def frames(self) -> Iterator[TrueFrame]:
        cells = self._newcomers(round(self.conditions.n_cells * self.share), 0)
        cells = replace(cells, place=self._pushed(cells.place))
        died = np.zeros(0, dtype=np.bool_)
        for t in range(self.conditions.n_frames):
            if t:
                cells, died = self._next(cells, t)
            inside = self._inside(cells.place)
            cells = self._identified(cells if self.open else cells.where(inside), inside, t)
            seen = np.flatnonzero(cells.track)
            seen = seen[np.argsort(cells.track[seen], kind="stable")]
            frame = cells.where(seen)
            yield TrueFrame(
                t,
                frame.place - self.margin,
                frame.track,
                frame.parent,
                frame.begin,
                frame.index,
                frame.age,
                died,
            )
            index = np.full(len(cells.track), -1, dtype=np.int64)
            index[seen] = np.arange(len(seen))
            cells = replace(cells, index=index)

    def _next(self, cells: _Cells, t: int) -> tuple[_Cells, NDArray[np.bool_]]:
        conditions, rng = self.conditions, self.rng
        disappear, appear = self._turnover(len(cells.track))
        fate = rng.uniform(size=len(cells.track))
        dies, stays = fate < disappear, fate >= disappear + conditions.divide
        died = np.zeros(int((cells.index >= 0).sum()), dtype=np.bool_)
        died[cells.index[dies & (cells.index >= 0)]] = True
        mothers = cells.where(~dies & ~stays)
        direction = rng.normal(size=mothers.place.shape)
        direction *= conditions.separation / 2 / np.linalg.norm(direction, axis=1, keepdims=True)
        grown = cells.where(stays)
        grown = replace(grown, age=grown.age + 1)
        cells = grown + self._daughters(mothers, direction, t)
        velocity = take_steps(conditions, cells.place, cells.velocity, rng, self.other)
        step = velocity + np.asarray(conditions.drift) if len(conditions.drift) else velocity
        if self.flow is not None:
            step = step + self.flow.at(cells.place)
        cells = replace(cells, place=cells.place + step, velocity=velocity)
        cells = cells + self._newcomers(int(rng.poisson(appear)), t)
        return replace(cells, place=self._pushed(cells.place)), died

    def _turnover(self, n_cells: int) -> tuple[float, float]:
        """Probability of dying, and expected number of newcomers, of all cells."""
        conditions = self.conditions
        disappear, appear = conditions.disappear, conditions.appear * self.share
        if not conditions.steady or not n_cells:
            return disappear, appear if n_cells or not conditions.steady else conditions.n_cells * self.share
        surplus = n_cells * (conditions.divide - disappear) + appear
        surplus += _STEADY * (n_cells - conditions.n_cells * self.share)
        more = float(np.clip(surplus / n_cells, 0, 1 - conditions.divide - disappear))
        return disappear + more, appear + max(-surplus, 0.0)

    def _daughters(self, mothers: _Cells, direction: Floats, t: int) -> _Cells:
        """Both daughters of each; their tracks are new, and begin in frame `t`."""
        both = mothers + mothers
        number = self.n_tracks + 1 + np.arange(len(both.track))
        self.n_tracks += len(number)
        return replace(
            both,
            place=both.place + np.concatenate([direction, -direction]),
            age=np.zeros(len(number)),
            track=number,
            parent=both.track,
            begin=np.full(len(number), t, dtype=np.int64),
        )

    def _newcomers(self, n: int, t: int) -> _Cells:
        """Cells that turn up anywhere, numbered once it is known where they are."""
        conditions = self.conditions
        none = np.zeros(n, dtype=np.int64)
        shape = (n, conditions.ndim)
        place = self.rng.uniform(size=shape) * self.box
        velocity = conditions.motion * self.other.normal(size=shape)
        age = self.other.exponential(1 / max(conditions.divide, 1e-9), size=n)
        return _Cells(place, velocity, age, none, none, none + t, none - 1)

    def _inside(self, place: Floats) -> NDArray[np.bool_]:
        within = (place >= self.margin) & (place < self.margin + self.field)
        return np.asarray(within.all(axis=1))

    def _identified(self, cells: _Cells, inside: NDArray[np.bool_], t: int) -> _Cells:
        """Tracks for those in the field, none for those outside."""
        if self.open:
            cells = replace(cells, track=np.where(inside, cells.track, 0))
            here = inside
        else:
            here = np.ones(len(cells.track), dtype=np.bool_)
        new = np.flatnonzero(here & (cells.track == 0))
        track, parent, begin = cells.track.copy(), cells.parent.copy(), cells.begin.copy()
        track[new] = self.n_tracks + 1 + np.arange(len(new))
        self.n_tracks += len(new)
        parent[new], begin[new] = 0, t
        return replace(cells, track=track, parent=parent, begin=begin)

    def _pushed(self, place: Floats) -> Floats:
        if self.open:
            place = wrapped(place, self.box)
        place = push_apart(place, self.conditions.apart, self.box if self.open else None, self.other)
        return reflected(place, self.box) if self.conditions.border == "closed" else place
