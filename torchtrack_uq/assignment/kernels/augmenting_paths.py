"""Shortest augmenting paths on the sparse link graph with mothers of capacity two.

Costs are negative scores. Mother i pays f(0) = -disappear, f(1) = 0, f(2) = -divide for 0, 1, 2 daughters,
so its first place costs `slot[i, 0]` = f(1) - f(0) and its second `slot[i, 1]` = f(2) - f(1). With prices p
on the mothers, reduced costs are

    link:  cost_ij + p_i - value_j >= 0      null:  null_cost_j - value_j >= 0,
    slot:  f(n) - f(n-1) <= p_i <= f(n+1) - f(n)    for a mother with n daughters,

and all are 0 on what is chosen. A daughter is added by a Dijkstra search over mothers (Hungarian method;
Jonker & Volgenant, Computing 38, 1987), which stays local; prices only rise.
"""

import numpy as np

from torchtrack_uq.assignment.kernels.heap import pop_smallest, push_or_decrease
from torchtrack_uq.assignment.types import FloatArray, IntArray
from torchtrack_uq.utils.kernel import kernel

NULL = -1  # the daughter has no mother
UNASSIGNED = -2  # the daughter still waits for its augmenting path


@kernel
def place_of_cheapest(
    j: int,
    start: IntArray,
    mother: IntArray,
    cost: FloatArray,
    null_cost: FloatArray,
    price: FloatArray,
    lowest_price: float,
) -> tuple[int, float]:
    """The option of daughter j that is cheapest at the given prices: (place of the link or NULL, value).

    No price is below `lowest_price`, so the prices of mothers that are too far anyway need not be read.
    """
    best_place = NULL
    best = null_cost[j]
    for e in range(start[j], start[j + 1]):
        if cost[e] + lowest_price >= best:
            continue
        value = cost[e] + price[mother[e]]
        if value < best:
            best = value
            best_place = e
    return best_place, best


@kernel
def replace_held(held: IntArray, i: int, old: int, new: int) -> None:
    """Let mother i hold daughter `new` where it held `old` (-1: an empty place)."""
    if held[i, 0] == old:
        held[i, 0] = new
    else:
        held[i, 1] = new


@kernel
def assign_waiting(
    start: IntArray,
    mother: IntArray,
    daughter: IntArray,
    cost: FloatArray,
    null_cost: FloatArray,
    slot: FloatArray,
    price: FloatArray,
    chosen: IntArray,
    load: IntArray,
    held: IntArray,
    value: FloatArray,
) -> int:
    """Find a mother (or null) for every daughter whose `chosen` is UNASSIGNED; all state is updated in place.

    Returns -1, or the first daughter for which no mother can be freed.
    """
    n_mothers = price.size
    dist = np.full(n_mothers, np.inf)
    via = np.empty(n_mothers, np.int64)
    heap = np.empty(n_mothers, np.int64)
    position = np.full(n_mothers, -1, np.int64)
    touched = np.empty(n_mothers, np.int64)
    scanned = np.empty(n_mothers, np.int64)
    queue = np.empty(2, np.int64)
    lowest_price = price.min() if n_mothers > 0 else 0.0  # and stays so: prices only rise
    for source in range(chosen.size):
        if chosen[source] != UNASSIGNED:
            continue
        first, lowest = place_of_cheapest(source, start, mother, cost, null_cost, price, lowest_price)
        if lowest == np.inf:
            return source
        value[source] = lowest
        if first == NULL:
            chosen[source] = NULL
            continue
        i = mother[first]
        if load[i] < 2 and slot[i, load[i]] <= price[i]:  # the common case: the favourite has an open place
            chosen[source] = first
            replace_held(held, i, -1, source)
            load[i] += 1
            continue
        n_touched = 0
        n_scanned = 0
        size = 0
        best = null_cost[source] - lowest
        end_mother = -1
        end_daughter = source
        queue[0] = source
        n_queue = 1
        base = 0.0
        while True:
            for q in range(n_queue):
                j = queue[q]
                for e in range(start[j], start[j + 1]):
                    if base + (cost[e] + lowest_price - value[j]) >= best:
                        continue
                    i = mother[e]
                    reach = base + max(0.0, cost[e] + price[i] - value[j])
                    if reach < best and reach < dist[i]:
                        if dist[i] == np.inf:
                            touched[n_touched] = i
                            n_touched += 1
                        dist[i] = reach
                        via[i] = e
                        size = push_or_decrease(heap, position, size, dist, i)
                reach = base + max(0.0, null_cost[j] - value[j])
                if reach < best:
                    best = reach
                    end_mother = -1
                    end_daughter = j
            if size == 0:
                break
            i = pop_smallest(heap, position, size, dist)
            size -= 1
            if dist[i] >= best:
                break
            scanned[n_scanned] = i
            n_scanned += 1
            base = dist[i]
            if load[i] < 2:
                reach = base + max(0.0, slot[i, load[i]] - price[i])
                if reach < best:
                    best = reach
                    end_mother = i
                    end_daughter = -1
            n_queue = load[i]
            for q in range(n_queue):
                queue[q] = held[i, q]
        if best == np.inf:
            return source
        for s in range(n_scanned):
            i = scanned[s]
            if dist[i] < best:
                price[i] += best - dist[i]
        value[source] = lowest + best
        # flip the links of the path, from its end back to the source
        if end_mother >= 0:
            i = end_mother
            leaving = -1
            load[i] += 1
        else:
            leaving = end_daughter
            i = -1
            if leaving != source:
                i = mother[chosen[leaving]]
            chosen[leaving] = NULL
            value[leaving] = null_cost[leaving]
        while i >= 0:
            e = via[i]
            j = daughter[e]
            replace_held(held, i, leaving, j)
            before = chosen[j]
            chosen[j] = e
            leaving = j
            i = mother[before] if j != source else -1
        for s in range(n_scanned):
            i = scanned[s]
            for q in range(load[i]):
                j = held[i, q]
                value[j] = cost[chosen[j]] + price[i]
        while size > 0:
            size -= 1
            position[heap[size]] = -1
        for t in range(n_touched):
            dist[touched[t]] = np.inf
            position[touched[t]] = -1
    return -1
