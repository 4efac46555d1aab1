"""What is counted of lineages, in each of many histories of a movie."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.posterior.histories import n_daughters
from torchtrack_uq.posterior.survival import kaplan_meier_median

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
PER_FRAME = {
    "cells": "detections",
    "lineages": "founders with a cell in the frame",
    "births": "cells without mother; founders of the first frame are none",
    "deaths": "cells without daughter; those of the last frame are none",
    "divisions": "cells with two daughters",
    "division_rate": "divisions a cell",
}
"""Quantities of each frame."""
WHOLE = {
    "n_lineages": "lineages",
    "n_births": "cells without mother after the first frame",
    "n_deaths": "cells without daughter before the last frame",
    "n_divisions": "cells with two daughters",
    "division_rate": "divisions a cell and frame",
    "cycle_length": "frames from division to division, Kaplan-Meier median",
    "cycle_length_completed": "frames from division to division, mean of the completed cycles",
    "n_cycles": "completed cycles",
    "generations": "divisions in the longest line",
}
"""Quantities of the movie."""


@dataclass(frozen=True, eq=False)
class LineageDraws:
    """Numbers of n histories.

    Attributes:
        per_frame: By a key of `PER_FRAME`, (n, T) float64; NaN where nothing is defined.
        whole: By a key of `WHOLE`, (n,) float64; inf for a median beyond what was seen, NaN where nothing is defined.
    """

    per_frame: dict[str, Floats]
    whole: dict[str, Floats]


def lineage_draws(mother: Ints, frame: Ints, n_frames: int) -> LineageDraws:
    """Count lineages, births, deaths, divisions, and how long cells took from division to division.

    A cycle begins with a cell that divides and ends with the next one of its line that does. Of cycles that ended
    otherwise, or with the movie, it is known that they were longer: the Kaplan-Meier median counts them as such. It is
    unbiased if cells are lost for reasons that have nothing to do with their cycle; the mean of the completed ones is
    too short, the more so the shorter the movie. Lines before their first division began in mid-cycle and do not count.

    Args:
        mother: (n, N) int64, mother of each cell in each history, -1 for none.
        frame: (N,) int64, frame of each cell, not decreasing.
        n_frames: T.

    >>> mother = np.array([[-1, 0, 0, 1, 2, 3, 3, 4]])  # divides in frame 0; one daughter again in frame 2
    >>> drawn = lineage_draws(mother, np.array([0, 1, 1, 2, 2, 3, 3, 3]), 4)
    >>> drawn.per_frame["divisions"].tolist(), float(drawn.whole["cycle_length"][0])
    ([[1.0, 0.0, 1.0, 0.0]], 2.0)
    """
    n, n_cells = mother.shape
    offsets = np.searchsorted(frame, np.arange(n_frames + 1))
    load = n_daughters(mother)
    born_without = (mother < 0) & (frame > 0)
    ends = (load == 0) & (frame < n_frames - 1)
    divides = load == 2
    per_frame = {"cells": np.broadcast_to(np.diff(offsets).astype(float), (n, n_frames)).copy()}
    events = {"births": born_without, "deaths": ends, "divisions": divides}
    founder, generation = np.empty((n, n_cells), np.int32), np.zeros((n, n_cells), np.int32)
    since = np.full(
        (n, n_cells), -1, np.int32
    )  # frame in which the cell's cycle began, -1 where nobody saw it
    lineages = np.zeros((n, n_frames))
    for t in range(n_frames):
        at = slice(int(offsets[t]), int(offsets[t + 1]))
        if at.start == at.stop:
            continue
        own = mother[:, at]
        from_, linked = np.maximum(own, 0), own >= 0
        founder[:, at] = np.where(linked, np.take_along_axis(founder, from_, 1), np.arange(at.start, at.stop))
        divided = linked & np.take_along_axis(divides, from_, 1)
        generation[:, at] = np.where(linked, np.take_along_axis(generation, from_, 1) + divided, 0)
        carried = np.where(linked, np.take_along_axis(since, from_, 1), -1)
        since[:, at] = np.where(divided, frame[from_], carried)
        lineages[:, t] = _n_distinct(founder[:, at])
    per_frame["lineages"] = lineages
    for name, those in events.items():
        running = np.concatenate([np.zeros((n, 1)), np.cumsum(those, axis=1)], axis=1)
        per_frame[name] = np.diff(running[:, offsets], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        per_frame["division_rate"] = per_frame["divisions"] / per_frame["cells"]
    per_frame["division_rate"][:, -1] = np.nan
    return LineageDraws(per_frame, _whole(mother, frame, n_frames, per_frame, generation, since, load))


def _whole(
    mother: Ints,
    frame: Ints,
    n_frames: int,
    per_frame: dict[str, Floats],
    generation: NDArray[np.int32],
    since: NDArray[np.int32],
    load: NDArray[np.int8],
) -> dict[str, Floats]:
    linked = mother >= 0
    skipped = np.where(linked, frame - frame[np.maximum(mother, 0)] - 1, 0).sum(axis=1)
    at_risk = (frame < n_frames - 1).sum() + skipped
    age = np.where(since >= 0, frame - since, 0)
    counted = [_by_age(age, (since >= 0) & (load == daughters), n_frames) for daughters in (2, 0)]
    n_cycles = counted[0].sum(axis=1)
    n_divisions = per_frame["divisions"].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        completed = (counted[0] * np.arange(n_frames)).sum(axis=1) / n_cycles
        rate = n_divisions / at_risk
    any_cycle = (counted[0] + counted[1]).sum(axis=1) > 0
    n_births = per_frame["births"].sum(axis=1)
    return {
        "n_lineages": n_births + (frame == 0).sum(),
        "n_births": n_births,
        "n_deaths": per_frame["deaths"].sum(axis=1),
        "n_divisions": n_divisions,
        "division_rate": rate,
        "cycle_length": np.where(any_cycle, kaplan_meier_median(*counted), np.nan),
        "cycle_length_completed": completed,
        "n_cycles": n_cycles.astype(float),
        "generations": generation.max(axis=1, initial=0).astype(float),
    }


def _by_age(age: Ints, those: NDArray[np.bool_], n_frames: int) -> Ints:
    """(n, T) how many of those there are of each age."""
    row, cell = np.nonzero(those)
    flat = np.bincount(row * n_frames + age[row, cell], minlength=len(age) * n_frames)
    return flat.reshape(len(age), n_frames)


def _n_distinct(founder: NDArray[np.int32]) -> Ints:
    """(n,) number of different values in each row."""
    ordered = np.sort(founder, axis=1)
    found: Ints = 1 + (np.diff(ordered, axis=1) != 0).sum(axis=1)
    return found
