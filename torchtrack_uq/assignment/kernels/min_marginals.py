"""What each option would cost: the gap between the MAP and the best assignment that uses the option.

The residual graph of the MAP assignment has the mothers and one hub (the null class and all free places) as
nodes. A daughter j held by mother k is an arc from k to each of its other candidate mothers, with the
reduced cost of that link; from k to the hub, with that of null. The hub leads to mothers that can give a
daughter up and to the mothers of daughters that have none. All arcs cost at least 0, and the gap of an
option (j, i) is its reduced cost plus the shortest path from i back to where j is now (Ahuja, Magnanti &
Orlin, Network Flows, 1993, sec. 9). Only gaps up to a bound matter, which keeps every search local.
"""

import numpy as np

from torchtrack_uq.assignment.kernels.heap import pop_smallest, push_or_decrease
from torchtrack_uq.assignment.types import FloatArray, IntArray
from torchtrack_uq.utils.kernel import kernel


@kernel
def reduced_costs(
    start: IntArray,
    mother: IntArray,
    daughter: IntArray,
    cost: FloatArray,
    null_cost: FloatArray,
    price: FloatArray,
    value: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Reduced costs of all links (F,) and of null (N,), at least 0."""
    link = np.empty(mother.size)
    for e in range(mother.size):
        link[e] = max(0.0, cost[e] + price[mother[e]] - value[daughter[e]])
    return link, np.maximum(null_cost - value, 0.0)


@kernel
def search(
    forward: bool,
    start: IntArray,
    mother: IntArray,
    daughter: IntArray,
    reduced: FloatArray,
    mother_start: IntArray,
    by_mother: IntArray,
    chosen: IntArray,
    load: IntArray,
    held: IntArray,
    bound: float,
    dist: FloatArray,
    heap: IntArray,
    position: IntArray,
    size: int,
    reached: IntArray,
) -> int:
    """Dijkstra over mothers from what is on the heap, along the arcs or against them, up to `bound`.

    Returns how many mothers were settled; they stand in `reached`.
    """
    n_reached = 0
    while size > 0:
        i = pop_smallest(heap, position, size, dist)
        size -= 1
        base = dist[i]
        position[i] = -2  # settled
        reached[n_reached] = i
        n_reached += 1
        if forward:
            for q in range(load[i]):
                j = held[i, q]
                for e in range(start[j], start[j + 1]):
                    k = mother[e]
                    reach = base + reduced[e]
                    if reach <= bound and position[k] != -2 and reach < dist[k]:
                        dist[k] = reach
                        size = push_or_decrease(heap, position, size, dist, k)
        else:
            for place in range(mother_start[i], mother_start[i + 1]):
                e = by_mother[place]
                here = chosen[daughter[e]]
                reach = base + reduced[e]
                if here < 0 or here == e or reach > bound:
                    continue
                k = mother[here]
                if position[k] != -2 and reach < dist[k]:
                    dist[k] = reach
                    size = push_or_decrease(heap, position, size, dist, k)
    return n_reached


@kernel
def distance_from_hub(
    start: IntArray,
    mother: IntArray,
    daughter: IntArray,
    reduced: FloatArray,
    slot: FloatArray,
    mother_start: IntArray,
    by_mother: IntArray,
    price: FloatArray,
    chosen: IntArray,
    load: IntArray,
    held: IntArray,
    bound: float,
) -> FloatArray:
    """(M,) gap that losing a daughter costs at each mother after the best replacement, up to `bound`."""
    n_mothers = price.size
    from_hub = np.full(n_mothers, np.inf)
    heap = np.empty(n_mothers, np.int64)
    reached = np.empty(n_mothers, np.int64)
    position = np.full(n_mothers, -1, np.int64)
    size = 0
    for i in range(n_mothers):
        reach = np.inf
        if load[i] > 0:
            reach = max(0.0, price[i] - slot[i, load[i] - 1])
        for place in range(mother_start[i], mother_start[i + 1]):
            e = by_mother[place]
            if chosen[daughter[e]] < 0:
                reach = min(reach, reduced[e])
        if reach <= bound:
            from_hub[i] = reach
            size = push_or_decrease(heap, position, size, from_hub, i)
    search(
        True, start, mother, daughter, reduced, mother_start, by_mother, chosen, load, held, bound,
        from_hub, heap, position, size, reached,
    )  # fmt: skip
    return from_hub


@kernel
def option_gaps(
    start: IntArray,
    mother: IntArray,
    daughter: IntArray,
    reduced: FloatArray,
    null_reduced: FloatArray,
    slot: FloatArray,
    mother_start: IntArray,
    by_mother: IntArray,
    price: FloatArray,
    chosen: IntArray,
    load: IntArray,
    held: IntArray,
    bound: float,
) -> tuple[FloatArray, FloatArray]:
    """Gap of every link (F,) and of every daughter's null option (N,); inf where it exceeds `bound`.

    `slot[:, 0]` is -inf for mothers that must have a daughter.
    """
    n_mothers = price.size
    n_daughters = chosen.size
    to_hub = np.full(n_mothers, np.inf)
    heap = np.empty(n_mothers, np.int64)
    reached = np.empty(n_mothers, np.int64)
    position = np.full(n_mothers, -1, np.int64)
    size = 0
    for i in range(n_mothers):
        reach = np.inf
        if load[i] < 2:
            reach = max(0.0, slot[i, load[i]] - price[i])
        for q in range(load[i]):
            reach = min(reach, null_reduced[held[i, q]])
        if reach <= bound:
            to_hub[i] = reach
            size = push_or_decrease(heap, position, size, to_hub, i)
    search(
        False, start, mother, daughter, reduced, mother_start, by_mother, chosen, load, held, bound,
        to_hub, heap, position, size, reached,
    )  # fmt: skip
    from_hub = distance_from_hub(
        start, mother, daughter, reduced, slot, mother_start, by_mother, price, chosen, load, held, bound
    )
    position[:] = -1

    link_gap = np.full(mother.size, np.inf)
    null_gap = np.full(n_daughters, np.inf)
    for j in range(n_daughters):
        if chosen[j] < 0:
            null_gap[j] = 0.0
            for e in range(start[j], start[j + 1]):
                link_gap[e] = reduced[e] + to_hub[mother[e]]
    back = np.full(n_mothers, np.inf)
    for home in range(n_mothers):
        nearest = np.inf
        for q in range(load[home]):
            j = held[home, q]
            for e in range(start[j], start[j + 1]):
                if e != chosen[j]:
                    nearest = min(nearest, reduced[e])
        n_reached = 0
        if nearest <= bound:
            back[home] = 0.0
            size = push_or_decrease(heap, position, 0, back, home)
            n_reached = search(
                False, start, mother, daughter, reduced, mother_start, by_mother, chosen, load, held,
                bound - nearest, back, heap, position, size, reached,
            )  # fmt: skip
        for q in range(load[home]):
            j = held[home, q]
            null_gap[j] = null_reduced[j] + from_hub[home]
            for e in range(start[j], start[j + 1]):
                i = mother[e]
                if e == chosen[j]:
                    link_gap[e] = 0.0
                else:
                    link_gap[e] = reduced[e] + min(back[i], to_hub[i] + from_hub[home])
        for r in range(n_reached):
            back[reached[r]] = np.inf
            position[reached[r]] = -1
    for e in range(link_gap.size):
        if link_gap[e] > bound:
            link_gap[e] = np.inf
    for j in range(n_daughters):
        if null_gap[j] > bound:
            null_gap[j] = np.inf
    return link_gap, null_gap
