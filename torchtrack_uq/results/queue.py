"""Doubtful cells in groups that one look settles, in the order of the errors that a look is expected to remove."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from torchtrack_uq.results.in_words import Tracked

_POSSIBLE = 0.02
"""Links below this probability do not tie two daughters into one question."""
LEAST_DOUBT = 0.01
"""Cells of less doubt are on no list."""
LARGEST_GROUP = 6
"""Daughters that a person can settle in one look."""
_WORTH_ASKING = 0.3
"""Cells of less error than this share of their group's largest stand alone: mostly the others' answers settle them."""
_SHOWN = 4
_WORTH_NAMING = 0.005

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def group_daughters(
    frame: Ints,
    mother: Ints,
    daughter: Ints,
    probability: Floats,
    error: Floats,
    largest: int = LARGEST_GROUP,
) -> Ints:
    """Which daughters are one question: those of a frame that compete for the same mothers.

    Who settles one of them has to look at the others anyway, and an error of one is mostly an error of another: two
    cells that were exchanged. Where more than `largest` hang together, the most doubtful daughter takes those with whom
    she shares a mother, then the most doubtful of what is left.

    Args:
        frame: (N,) frame of each cell.
        mother: (E,) index of each candidate link's mother.
        daughter: (E,) index of its daughter.
        probability: (E,) of it.
        error: (N,) probability that the decision about a cell is wrong; below `LEAST_DOUBT` she is in no group.
        largest: Most daughters in a group.

    Returns:
        (N,) int64 number of the group, -1 for none.

    >>> links = np.array([0, 1, 0, 1]), np.array([2, 2, 3, 3])
    >>> error = np.array([0, 0, 0.4, 0.4, 0.2])
    >>> group_daughters(np.array([0, 0, 1, 1, 1]), *links, np.array([0.6, 0.4, 0.4, 0.6]), error)
    array([-1, -1,  0,  0,  1])
    """
    n = len(frame)
    doubtful = error >= LEAST_DOUBT
    kept = (probability >= _POSSIBLE) & doubtful[daughter]
    # a mother links daughters of one frame only: over gaps she may be asked for in several
    key = mother[kept] * (int(frame.max(initial=0)) + 1) + frame[daughter[kept]]
    _, place = np.unique(key, return_inverse=True)
    daughters = daughter[kept]
    n_places = int(place.max(initial=-1)) + 1
    ties = coo_matrix((np.ones(len(place)), (daughters, n + place)), shape=(n + n_places, n + n_places))
    component = connected_components(ties, directed=False)[1][:n]
    group = np.where(doubtful, component, -1)
    crowded = np.flatnonzero(np.bincount(group[group >= 0], minlength=1) > largest)
    if len(crowded):
        _part(group, ties.tocsr(), ties.T.tocsr(), np.isin(group, crowded), error, largest)
    known = np.unique(group[group >= 0])
    return np.where(group >= 0, np.searchsorted(known, group), -1).astype(np.int64)


def _part(
    group: Ints, places_of: csr_matrix, daughters_at: csr_matrix, crowded: Bools, error: Floats, largest: int
) -> None:
    """Give the daughters of crowded groups new, smaller ones, in place."""
    begin, places = places_of.indptr, places_of.indices
    first_at, daughters = daughters_at.indptr, daughters_at.indices
    waiting, free = crowded.copy(), int(group.max()) + 1
    members = np.flatnonzero(crowded)
    for first in members[np.lexsort((-error[members], group[members]))].tolist():
        if not waiting[first]:
            continue
        at = places[begin[first] : begin[first + 1]]
        near = np.unique(np.concatenate([daughters[first_at[place] : first_at[place + 1]] for place in at]))
        near = near[waiting[near] & (near != first)]
        near = near[np.argsort(-error[near], kind="stable")][: largest - 1]
        group[first] = group[near] = free
        waiting[first] = waiting[near] = False
        free += 1


def _leave_out_the_surer(group: Ints, error: Floats) -> None:
    """Take cells out of their groups, in place, whose decisions are much surer than the most doubtful one there."""
    inside = np.flatnonzero(group >= 0)
    largest = np.zeros(int(group.max(initial=-1)) + 1)
    np.maximum.at(largest, group[inside], error[inside])
    group[inside[error[inside] < _WORTH_ASKING * largest[group[inside]]]] = -1


def review_queue(result: Tracked, also: Bools | None = None) -> pd.DataFrame:
    """One row a doubtful cell, grouped; the group first of which an answer is expected to remove most wrong decisions.

    Groups are in the order of expected wrong decisions a cell, since every cell takes an answer; cells that are much
    surer than the most doubtful one of their group stand below, each alone, as do those whose decision is sure but who
    are doubtful otherwise (a detection that may be false, merged or split, an end inside the field). What the first
    looks find, beside other orders: experiments/results/review_looks.md.

    Args:
        result: A `TrackingResult`.
        also: (N,) bool, cells that are listed however sure their decision is.

    Returns:
        Columns `rank` (of the group, from 1), `group_size`, `expected_errors` (of the group: its decisions that are
        expected to be wrong), `frame`, `label`, the centroid, `reason`, `mother_frame` and `mother` that were chosen
        (empty and 0 for none), `probability` (of that), `doubt`, and `alternatives`: other answers with theirs, the
        likeliest first, such as "12@3 41%; none 8%" for the cell 12 of frame 3.
    """
    graph, detections = result.candidates, result.detections
    doubt, error = result.doubts.doubt, result.doubts.error
    mother, daughter = graph.mother.numpy(), graph.daughter.numpy()
    probability = result.probabilities.link.double().numpy()
    listed = (np.maximum(doubt, error) >= LEAST_DOUBT) & (detections.frame > 0) & ~result.accepted
    if also is not None:
        listed |= also
    if result.decided is not None:
        listed &= ~result.decided
    group = group_daughters(
        detections.frame.astype(np.int64), mother, daughter, probability, np.where(listed, error, 0.0)
    )
    _leave_out_the_surer(group, error)
    alone = np.flatnonzero(listed & (group < 0))
    group[alone] = int(group.max(initial=-1)) + 1 + np.arange(len(alone))
    in_group = group >= 0
    size = np.bincount(group[in_group], minlength=1)
    gain = np.bincount(group[in_group], weights=error[in_group], minlength=1)
    most = np.zeros(len(gain))
    np.maximum.at(most, group[in_group], doubt[in_group])
    cell = np.flatnonzero(in_group)
    place = np.empty(len(gain), np.int64)
    place[np.lexsort((-most, -(gain / np.maximum(size, 1)).round(3)))] = np.arange(1, len(gain) + 1)
    cell = cell[np.lexsort((-error[cell], place[group[cell]]))]
    linked = result.mother[cell] >= 0
    chosen = result.mother[cell]
    table = pd.DataFrame(
        {
            "rank": place[group[cell]],
            "group_size": size[group[cell]],
            "expected_errors": gain[group[cell]],
            "frame": detections.frame_number[cell],
            "label": detections.name[cell],
        }
    )
    for axis, values in zip("zyx"[-detections.ndim :], detections.coords[cell].T, strict=True):
        table[axis] = values.astype(np.float32)
    return table.assign(
        reason=result.doubts.reason_of(cell),
        mother_frame=pd.Series(detections.frame_number[chosen], dtype="Int64").mask(~linked),
        mother=detections.naming.or_none(detections.label, chosen),
        probability=result.decision_probability[cell],
        doubt=doubt[cell],
        alternatives=_alternatives(result, cell, probability),
    )


def _alternatives(result: Tracked, cells: Ints, probability: Floats) -> list[str]:
    """Other answers about each of some cells than the one that was chosen, the likeliest first."""
    graph, detections = result.candidates, result.detections
    daughter, mother = graph.daughter.numpy(), graph.mother.numpy()
    row = np.full(len(detections), -1, np.int64)
    row[cells] = np.arange(len(cells))
    link = np.flatnonzero(
        (probability >= _WORTH_NAMING) & (row[daughter] >= 0) & (mother != result.mother[daughter])
    )
    null = result.probabilities.null.double().numpy()[cells]
    nobody = np.flatnonzero((null >= _WORTH_NAMING) & (result.mother[cells] >= 0))
    whose, p = (
        np.concatenate([row[daughter[link]], nobody]),
        np.concatenate([probability[link], null[nobody]]),
    )
    names = [
        f"{name}@{number}"
        for name, number in zip(
            detections.name[mother[link]].tolist(),
            detections.frame_number[mother[link]].tolist(),
            strict=True,
        )
    ] + ["none"] * len(nobody)
    found: list[list[str]] = [[] for _ in range(len(cells))]
    order = np.lexsort((-p, whose))
    for at, k, share in zip(whose[order].tolist(), order.tolist(), p[order].tolist(), strict=True):
        if len(found[at]) < _SHOWN:
            found[at].append(f"{names[k]} {share:.0%}")
    return ["; ".join(answers) for answers in found]
