"""One frame pair solved under many link scores: few links, in an order in which neighbours are close.

A search reads a few cells around its daughter. In a large frame whose cells come in any order each of them
is far from the others in memory. So the links that can matter under any of the scores are gathered first and
the cells are renumbered from neighbour to neighbour, which makes large frames about as fast as small ones.
"""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.kernels.links import GroupedLinks, stable_order
from torchtrack_uq.assignment.kernels.warm_start import repair
from torchtrack_uq.assignment.types import FloatArray, IntArray
from torchtrack_uq.utils.kernel import kernel


class GatheredLinks(NamedTuple):
    """Links that can matter, between renumbered cells.

    Attributes:
        start: (N + 1,) int64, links by daughter; this and the next four are as in `GroupedLinks`.
        mother: (U,) int64.
        daughter: (U,) int64.
        mother_start: (M + 1,) int64.
        by_mother: (U,) int64.
        link: (U,) int64, rows of these links in the problem as it was given, by their former daughters.
        place: (U,) int64, where the same links are now.
        daughter_number: (N,) int64, new number of each daughter.
        mother_number: (M,) int64, new number of each mother.
    """

    start: IntArray
    mother: IntArray
    daughter: IntArray
    mother_start: IntArray
    by_mother: IntArray
    link: IntArray
    place: IntArray
    daughter_number: IntArray
    mother_number: IntArray


@kernel
def select_useful(
    start: IntArray,
    mother: IntArray,
    link: IntArray,
    highest_score: FloatArray,
    null_cost: FloatArray,
    slot: FloatArray,
    price: FloatArray,
    chosen: IntArray,
) -> IntArray:
    """Places of the links that may beat null at the lowest price their mother can get, and of those chosen.

    Prices stay at or above the lower one of what they are and the cost of the first place.
    """
    useful = np.empty(mother.size, np.int64)
    lowest = np.minimum(price, slot[:, 0])
    n = 0
    for j in range(chosen.size):
        for e in range(start[j], start[j + 1]):
            if chosen[j] == e or lowest[mother[e]] - highest_score[link[e]] <= null_cost[j]:
                useful[n] = e
                n += 1
    return useful[:n]


@kernel
def number_by_neighbours(
    start: IntArray, mother: IntArray, daughter: IntArray, n_mothers: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Numbers of the daughters (N,) and mothers (M,) in breadth-first order along links, and the daughters so.

    Links are sorted by daughter; those of daughter j are start[j] to start[j + 1] - 1.
    """
    n_daughters = start.size - 1
    mother_start, by_mother = stable_order(mother, np.arange(mother.size), n_mothers)
    daughter_number = np.full(n_daughters, -1, np.int64)
    mother_number = np.full(n_mothers, -1, np.int64)
    order = np.empty(n_daughters, np.int64)
    n_ordered = 0
    n_numbered = 0
    done = 0
    for first in range(n_daughters):
        if daughter_number[first] >= 0:
            continue
        daughter_number[first] = n_ordered
        order[n_ordered] = first
        n_ordered += 1
        while done < n_ordered:
            j = order[done]
            done += 1
            for e in range(start[j], start[j + 1]):
                i = mother[e]
                if mother_number[i] >= 0:
                    continue
                mother_number[i] = n_numbered
                n_numbered += 1
                for p in range(mother_start[i], mother_start[i + 1]):
                    other = daughter[by_mother[p]]
                    if daughter_number[other] < 0:
                        daughter_number[other] = n_ordered
                        order[n_ordered] = other
                        n_ordered += 1
    for i in range(n_mothers):
        if mother_number[i] < 0:
            mother_number[i] = n_numbered
            n_numbered += 1
    return daughter_number, mother_number, order


@kernel
def rearrange(
    useful: IntArray, old_start: IntArray, mother: IntArray, daughter: IntArray, n_mothers: int
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """Number the cells by their `useful` links and sort these: start, mother, place and the cells' numbers.

    Daughter j has the useful links old_start[j] to old_start[j + 1] - 1.
    """
    n_daughters = old_start.size - 1
    old_mother = mother[useful]
    daughter_number, mother_number, order = number_by_neighbours(
        old_start, old_mother, daughter[useful], n_mothers
    )
    start = np.zeros(n_daughters + 1, np.int64)
    new_mother = np.empty(useful.size, np.int64)
    place = np.empty(useful.size, np.int64)
    n = 0
    for number in range(n_daughters):
        j = order[number]
        for u in range(old_start[j], old_start[j + 1]):
            new_mother[n] = mother_number[old_mother[u]]
            place[u] = n
            n += 1
        start[number + 1] = n
    return start, new_mother, place, daughter_number, mother_number


def gather_links(
    links: GroupedLinks,
    scores: FloatArray,
    null_cost: FloatArray,
    slot: FloatArray,
    price: FloatArray,
    chosen: IntArray,
) -> GatheredLinks:
    """The links that an optimal assignment can use under some row of `scores` (R, E), from a warm start."""
    useful = select_useful(
        links.start, links.mother, links.link, scores.max(axis=0), null_cost, slot, price, chosen
    )
    start, mother, place, daughter_number, mother_number = rearrange(
        useful, np.searchsorted(useful, links.start), links.mother, links.daughter, price.size
    )
    daughter = np.repeat(np.arange(chosen.size), np.diff(start))
    mother_start, by_mother = stable_order(mother, np.arange(mother.size), price.size)
    return GatheredLinks(
        start, mother, daughter, mother_start, by_mother,
        links.link[useful], place, daughter_number, mother_number,
    )  # fmt: skip


@kernel
def renumbered_state(
    start: IntArray,
    mother: IntArray,
    parent: IntArray,
    daughter_number: IntArray,
    mother_number: IntArray,
    load: IntArray,
    held: IntArray,
) -> tuple[IntArray, IntArray, IntArray]:
    """`chosen` (N,), `load` (M,) and `held` (M, 2) of an assignment between the renumbered cells."""
    chosen = np.full(parent.size, -1, np.int64)
    new_load, new_held = np.empty_like(load), np.full_like(held, -1)
    for j in range(parent.size):
        if parent[j] < 0:
            continue
        number = daughter_number[j]
        for e in range(start[number], start[number + 1]):
            if mother[e] == mother_number[parent[j]]:
                chosen[number] = e
    for i in range(load.size):
        new_load[mother_number[i]] = load[i]
        for q in range(load[i]):
            new_held[mother_number[i], q] = daughter_number[held[i, q]]
    return chosen, new_load, new_held


@kernel
def solve_perturbed(
    start: IntArray,
    mother: IntArray,
    daughter: IntArray,
    mother_start: IntArray,
    by_mother: IntArray,
    link: IntArray,
    place: IntArray,
    daughter_number: IntArray,
    mother_number: IntArray,
    scores: FloatArray,
    null_cost: FloatArray,
    slot: FloatArray,
    price: FloatArray,
    parent: IntArray,
    load: IntArray,
    held: IntArray,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Solve each row of link scores (R, E) from the same warm start.

    The first nine arguments are the fields of `GatheredLinks`; the warm start and what is returned are by
    the cells' former numbers: parents (R, N), prices (R, M) and log-weights (R,). Problems that are feasible
    stay so when finite costs change.
    """
    n_daughters, n_mothers = parent.size, price.size
    parents = np.empty((scores.shape[0], n_daughters), np.int64)
    prices = np.empty((scores.shape[0], n_mothers))
    log_weights = np.zeros(scores.shape[0])
    value = np.empty(n_daughters)
    cost = np.empty(link.size)
    first_chosen, first_load, first_held = renumbered_state(
        start, mother, parent, daughter_number, mother_number, load, held
    )
    new_null, new_slot, first_price = np.empty(n_daughters), np.empty((n_mothers, 2)), np.empty(n_mothers)
    old_daughter, old_mother = np.empty(n_daughters, np.int64), np.empty(n_mothers, np.int64)
    for j in range(n_daughters):
        new_null[daughter_number[j]] = null_cost[j]
        old_daughter[daughter_number[j]] = j
    for i in range(n_mothers):
        new_slot[mother_number[i]] = slot[i]
        first_price[mother_number[i]] = price[i]
        old_mother[mother_number[i]] = i
    for r in range(scores.shape[0]):
        for u in range(link.size):
            cost[place[u]] = -scores[r, link[u]]
        new_chosen, new_price = first_chosen.copy(), first_price.copy()
        new_load, new_held = first_load.copy(), first_held.copy()
        repair(
            start, mother, daughter, cost, new_null, new_slot, mother_start, by_mother,
            new_price, new_chosen, new_load, new_held, value,
        )  # fmt: skip
        # in the order of the new numbers: what is read lies together, and writes need not be waited for
        for number in range(n_daughters):
            e = new_chosen[number]
            parents[r, old_daughter[number]] = old_mother[mother[e]] if e >= 0 else -1
            log_weights[r] -= cost[e] if e >= 0 else new_null[number]
        for number in range(n_mothers):
            prices[r, old_mother[number]] = new_price[number]
            if new_load[number] == 0:
                log_weights[r] += new_slot[number, 0]
            elif new_load[number] == 2:
                log_weights[r] -= new_slot[number, 1]
    return parents, prices, log_weights


@kernel
def sizes_of(scores: FloatArray) -> tuple[FloatArray, bool, bool]:
    """(E,) the largest finite size in each column of (R, E), whether NaN or +inf is among them, and whether -inf is."""
    largest = np.zeros(scores.shape[1])
    bad = False
    forbids = False
    for r in range(scores.shape[0]):
        for e in range(scores.shape[1]):
            value = scores[r, e]
            if value == -np.inf:
                forbids = True
            elif not value < np.inf:
                bad = True
            elif abs(value) > largest[e]:
                largest[e] = abs(value)
    return largest, bad, forbids
