"""What a detector finds of simulated cells: some missed, some merged, some split, some made up."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from torchtrack_uq.datasets.corrupt import CorruptionRates
from torchtrack_uq.datasets.detection_kinds import DetectionKinds
from torchtrack_uq.datasets.simulation.conditions import Conditions
from torchtrack_uq.datasets.simulation.looks import Looks
from torchtrack_uq.datasets.simulation.true_frames import TrueFrame
from torchtrack_uq.errors import InputError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
TOUCHING = 1.5
"""Two cells may be taken for one if their centres are no farther apart than this many mean diameters."""
_TRIES = 30


@dataclass(frozen=True, eq=False)
class DetectedFrame:
    """The m detections of one frame, labelled 1 to m in an order that says nothing (their tracks if none is wrong).

    Attributes:
        t: Number of the frame.
        place: (m, D) float64, measured centres in pixels of x from the field's corner.
        label: (m,) int64, ascending.
        track: (m,) int64, the true cell that each stands for, 0 for none. Of a merged one the larger cell, of a split
            cell one part only.
        kinds: What is wrong with each.
        of_cell: (n,) int64, index of the detection that covers each of the n true cells, -1 for a missed one.
        second_part: (n,) int64, index of the other part of a cell that was split, -1 for none.
        cut: (n, D) float64, unit vectors across the cut of those.
        asked: How many of each kind of error the rates asked for: missed, merged, split, false.
    """

    t: int
    place: Floats
    label: Integers
    track: Integers
    kinds: DetectionKinds
    of_cell: Integers
    second_part: Integers
    cut: Floats
    asked: tuple[int, int, int, int]

    def __len__(self) -> int:
        return len(self.label)

    @property
    def made(self) -> tuple[int, int, int, int]:
        """How many errors of each kind there are: missed, merged pairs, split cells, made-up ones."""
        n_split = int((self.second_part >= 0).sum())
        n_false = int(self.kinds.false.sum()) - n_split
        return int((self.of_cell < 0).sum()), int(self.kinds.merged.sum()), n_split, n_false


def check_rates(rates: CorruptionRates) -> None:
    """Refuse rates that ask for more cells than there are, or for outlines.

    Raises:
        InputError: They do.
    """
    if rates.missed + 2 * rates.merged + rates.split > 1:
        raise InputError(
            f"missed {rates.missed}, twice merged {rates.merged} and split {rates.split} sum to more than 1; expected "
            "shares of different cells"
        )
    if rates.boundary:
        raise InputError(
            "simulated cells have no noise on their outlines; leave boundary at 0, or corrupt their masks "
            "(CorruptedMasks)"
        )


def detect(
    conditions: Conditions, frame: TrueFrame, looks: Looks, rates: CorruptionRates, seed: int
) -> DetectedFrame:
    """What is found of a frame's true cells.

    Which cells are affected is drawn anew in each frame, each at most once: pairs to merge among cells that are nearest
    to each other and touch or nearly do (`TOUCHING`), the others among all; made-up ones lie at least half a diameter
    from all others.

    Args:
        conditions: Of the movie.
        frame: One of its frames.
        looks: What its cells look like.
        rates: How many errors of each kind, as shares of the cells.
        seed: The movie's.
    """
    rng = np.random.default_rng([seed, 2, frame.t])
    n, ndim = len(frame), conditions.ndim
    asked = rates.draw(n, rng)
    place = frame.place + conditions.jitter * rng.normal(size=(n, ndim)) if conditions.jitter else frame.place
    role = np.zeros(n, dtype=np.int64)
    pairs = _pairs_to_merge(frame.place, looks.diameter, asked.merged, rng)
    role[pairs] = 1
    free = rng.permutation(np.flatnonzero(role == 0))
    missed, split = np.sort(free[: asked.missed]), np.sort(free[asked.missed : asked.missed + asked.split])
    gone = np.zeros(n, dtype=np.bool_)
    gone[missed] = True
    larger = looks.diameter[pairs[:, 0]] >= looks.diameter[pairs[:, 1]]
    kept, swallowed = np.where(larger, pairs[:, 0], pairs[:, 1]), np.where(larger, pairs[:, 1], pairs[:, 0])
    volume = looks.diameter**ndim
    share = (volume[kept] / (volume[kept] + volume[swallowed]))[:, None]
    place = place.copy()
    place[kept] = share * place[kept] + (1 - share) * place[swallowed]
    cut = np.zeros((n, ndim))
    cut[split] = looks.axis[split]
    apart = looks.diameter[split, None] / 4 * cut[split]
    second = place[split] + apart
    place[split] -= apart
    gone[swallowed] = True
    shown = np.flatnonzero(~gone)
    made_up = _made_up(frame.place, conditions, asked.false, rng)
    n_found, n_split = len(shown), len(split)
    all_places = np.concatenate([place[shown], second, made_up])
    none = np.zeros(n_split + len(made_up), dtype=np.int64)
    track = np.concatenate([frame.track[shown], none])
    of_cell, second_part = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    of_cell[shown] = np.arange(n_found)
    of_cell[swallowed] = of_cell[kept]
    second_part[split] = n_found + np.arange(n_split)
    kinds = {name: np.zeros(len(track), dtype=np.bool_) for name in ("false", "merged", "split")}
    kinds["false"][n_found:] = True
    kinds["merged"][of_cell[kept]] = True
    kinds["split"][of_cell[split]] = kinds["split"][second_part[split]] = True
    label, order = track, np.arange(len(track))
    if any((rates.missed, rates.merged, rates.split, rates.false)):
        order = rng.permutation(len(track))
        label = np.arange(1, len(track) + 1)
    at = np.argsort(order)
    return DetectedFrame(
        frame.t,
        _clipped(all_places[order], conditions.field),
        label,
        track[order],
        DetectionKinds(**{name: column[order] for name, column in kinds.items()}),
        np.where(of_cell >= 0, at[of_cell], -1) if len(at) else of_cell,
        np.where(second_part >= 0, at[second_part], -1) if len(at) else second_part,
        cut,
        (asked.missed, asked.merged, asked.split, asked.false),
    )


def _pairs_to_merge(place: Floats, diameter: Floats, n: int, rng: np.random.Generator) -> Integers:
    """(k, 2) up to n pairs of cells that are nearest to each other, and near."""
    if not n or len(place) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    distance, nearest = (np.asarray(column)[:, 1] for column in cKDTree(place).query(place, k=2))
    cell = np.arange(len(place))
    mutual = (nearest[nearest] == cell) & (cell < nearest)
    near = distance <= TOUCHING * (diameter + diameter[nearest]) / 2
    first = rng.permutation(np.flatnonzero(mutual & near))[:n]
    return np.stack([first, nearest[first]], axis=1).astype(np.int64)


def _made_up(place: Floats, conditions: Conditions, n: int, rng: np.random.Generator) -> Floats:
    """Up to n places, as there is room."""
    found = np.zeros((0, conditions.ndim))
    for _ in range(_TRIES if n else 0):
        tried = rng.uniform(size=(2 * n, conditions.ndim)) * conditions.field
        others = np.concatenate([place, found])
        if len(others):
            tried = tried[np.asarray(cKDTree(others).query(tried)[0]) >= conditions.diameter / 2]
        alone = np.ones(len(tried), dtype=np.bool_)
        if len(tried) > 1:
            close = cKDTree(tried).query_pairs(conditions.diameter / 2, output_type="ndarray")
            alone[close[:, 1]] = False  # the later one of each pair
        found = np.concatenate([found, tried[alone]])[:n]
        if len(found) == n:
            break
    return found


def _clipped(place: Floats, field: Floats) -> Floats:
    """Measured places inside the field, as those of masks are."""
    found: Floats = np.clip(place, 0, np.nextafter(field, 0))
    return found
