"""Candidate links grouped by daughter and by mother (compressed rows), the form that every kernel reads."""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.types import FloatArray, IntArray
from torchtrack_uq.utils.kernel import kernel


class GroupedLinks(NamedTuple):
    """The links whose score is finite, sorted by daughter, then mother; "place" is a link's row here.

    Attributes:
        start: (N + 1,) int64, links of daughter j are the places start[j] .. start[j + 1] - 1.
        mother: (F,) int64, mother of each place.
        daughter: (F,) int64, daughter of each place.
        score: (F,) float64.
        link: (F,) int64, row of the link in the problem as it was given.
        mother_start: (M + 1,) int64, links of mother i are
            `by_mother[mother_start[i] : mother_start[i + 1]]`.
        by_mother: (F,) int64, places sorted by mother, then daughter.
    """

    start: IntArray
    mother: IntArray
    daughter: IntArray
    score: FloatArray
    link: IntArray
    mother_start: IntArray
    by_mother: IntArray


@kernel
def stable_order(group: IntArray, order: IntArray, n_groups: int) -> tuple[IntArray, IntArray]:
    """Stable counting sort of `order` by `group[row]`: (offsets of the groups, new order)."""
    start = np.zeros(n_groups + 1, np.int64)
    for row in order:
        start[group[row] + 1] += 1
    for g in range(n_groups):
        start[g + 1] += start[g]
    fill = start[:-1].copy()
    ordered = np.empty(order.size, np.int64)
    for row in order:
        ordered[fill[group[row]]] = row
        fill[group[row]] += 1
    return start, ordered


def sort_links(
    mother: IntArray, daughter: IntArray, n_mothers: int, n_daughters: int
) -> tuple[IntArray, IntArray]:
    """Order of the links by (daughter, mother), and the offset of each daughter's first link in it."""
    _, by_mother = stable_order(mother, np.arange(mother.size, dtype=np.int64), n_mothers)
    start, order = stable_order(daughter, by_mother, n_daughters)
    return start, order


def group_links(
    mother: IntArray, daughter: IntArray, score: FloatArray, order: IntArray, n_mothers: int, n_daughters: int
) -> GroupedLinks:
    """Group the finite links of a problem, given their order by (daughter, mother)."""
    link = order[score[order] > -np.inf]
    sorted_mother = mother[link]
    sorted_daughter = daughter[link]
    places = np.arange(link.size, dtype=np.int64)
    start = np.zeros(n_daughters + 1, np.int64)
    np.cumsum(np.bincount(sorted_daughter, minlength=n_daughters), out=start[1:])
    mother_start, by_mother = stable_order(sorted_mother, places, n_mothers)
    return GroupedLinks(start, sorted_mother, sorted_daughter, score[link], link, mother_start, by_mother)
