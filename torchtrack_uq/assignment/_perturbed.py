"""One frame pair solved under many link scores, over the links that can matter under any of them."""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment._compile import kernel
from torchtrack_uq.assignment._links import GroupedLinks, stable_order
from torchtrack_uq.assignment._types import FloatArray, IntArray
from torchtrack_uq.assignment._warm_start import repair


class UsefulLinks(NamedTuple):
    """Some of the places of `GroupedLinks`, renumbered without gaps: the fields have the same meaning.

    Attributes:
        start: (N + 1,) int64.
        mother: (U,) int64.
        daughter: (U,) int64.
        link: (U,) int64, row of the link in the problem as it was given.
        mother_start: (M + 1,) int64.
        by_mother: (U,) int64.
        chosen: (N,) int64, what the daughters have chosen, as new places.
    """

    start: IntArray
    mother: IntArray
    daughter: IntArray
    link: IntArray
    mother_start: IntArray
    by_mother: IntArray
    chosen: IntArray


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
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """The links that may beat null at the lowest price that their mother can get, and those chosen now.

    Prices stay at or above the lower one of what they are and the cost of the first place.
    """
    new_start = np.zeros(start.size, np.int64)
    new_chosen = chosen.copy()
    new_mother = np.empty(mother.size, np.int64)
    new_daughter = np.empty(mother.size, np.int64)
    new_link = np.empty(mother.size, np.int64)
    lowest = np.minimum(price, slot[:, 0])
    n = 0
    for j in range(chosen.size):
        for e in range(start[j], start[j + 1]):
            if chosen[j] == e:
                new_chosen[j] = n
            elif lowest[mother[e]] - highest_score[link[e]] > null_cost[j]:
                continue
            new_mother[n] = mother[e]
            new_daughter[n] = j
            new_link[n] = link[e]
            n += 1
        new_start[j + 1] = n
    return new_start, new_mother[:n].copy(), new_daughter[:n].copy(), new_link[:n].copy(), new_chosen


def useful_links(
    links: GroupedLinks,
    scores: FloatArray,
    null_cost: FloatArray,
    slot: FloatArray,
    price: FloatArray,
    chosen: IntArray,
) -> UsefulLinks:
    """The links that an optimal assignment can use under some row of `scores` (R, E).

    On frames with many candidates per daughter most links are out of the question, and what is left fits
    into a fast cache, in which the searches run about as fast on large frames as on small ones.
    """
    start, mother, daughter, link, chosen = select_useful(
        links.start, links.mother, links.link, scores.max(axis=0), null_cost, slot, price, chosen
    )
    places = np.arange(mother.size, dtype=np.int64)
    mother_start, by_mother = stable_order(mother, places, price.size)
    return UsefulLinks(start, mother, daughter, link, mother_start, by_mother, chosen)


@kernel
def solve_perturbed(
    start: IntArray,
    mother: IntArray,
    daughter: IntArray,
    link: IntArray,
    scores: FloatArray,
    null_cost: FloatArray,
    slot: FloatArray,
    mother_start: IntArray,
    by_mother: IntArray,
    price: FloatArray,
    chosen: IntArray,
    load: IntArray,
    held: IntArray,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Solve each row of link scores (R, E) from the same warm start.

    Returns parents (R, N), prices (R, M) and log-weights (R,). The state that is passed in is left as it
    is. Problems that are feasible stay so when finite costs change.
    """
    parents = np.empty((scores.shape[0], chosen.size), np.int64)
    prices = np.empty((scores.shape[0], price.size))
    log_weights = np.zeros(scores.shape[0])
    value = np.empty(chosen.size)
    cost = np.empty(link.size)
    for r in range(scores.shape[0]):
        for e in range(link.size):
            cost[e] = -scores[r, link[e]]
        new_chosen, new_price = chosen.copy(), price.copy()
        new_load, new_held = load.copy(), held.copy()
        repair(
            start, mother, daughter, cost, null_cost, slot, mother_start, by_mother,
            new_price, new_chosen, new_load, new_held, value,
        )  # fmt: skip
        prices[r] = new_price
        for j in range(chosen.size):
            e = new_chosen[j]
            parents[r, j] = mother[e] if e >= 0 else -1
            log_weights[r] -= cost[e] if e >= 0 else null_cost[j]
        for i in range(price.size):
            if new_load[i] == 0:
                log_weights[r] += slot[i, 0]
            elif new_load[i] == 2:
                log_weights[r] -= slot[i, 1]
    return parents, prices, log_weights
