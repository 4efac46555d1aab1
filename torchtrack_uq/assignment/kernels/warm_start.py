"""Warm starts: repair a solved frame after its costs have changed.

Prices and every link that is still its daughter's cheapest option are kept. Daughters that are released
find a new place by shortest augmenting paths; mothers that lost one and are now priced above their open
place are filled again, or lower their price, by the same search run backwards. Both keep all reduced costs
at least 0 (see `kernels.augmenting_paths`).
"""

import numpy as np

from torchtrack_uq.assignment.kernels.augmenting_paths import (
    NULL,
    UNASSIGNED,
    assign_waiting,
    replace_held,
)
from torchtrack_uq.assignment.kernels.heap import pop_smallest, push_or_decrease
from torchtrack_uq.assignment.types import FloatArray, IntArray
from torchtrack_uq.utils.kernel import kernel


@kernel
def take_out(held: IntArray, load: IntArray, i: int, j: int) -> None:
    """Remove daughter j from mother i."""
    if held[i, 0] == j:
        held[i, 0] = held[i, 1]
    held[i, 1] = -1
    load[i] -= 1


@kernel
def release(
    start: IntArray,
    mother: IntArray,
    cost: FloatArray,
    null_cost: FloatArray,
    slot: FloatArray,
    price: FloatArray,
    chosen: IntArray,
    load: IntArray,
    held: IntArray,
    value: FloatArray,
) -> None:
    """Release the daughters whose option is no longer their cheapest."""
    for i in range(price.size):
        if load[i] > 0 and price[i] < slot[i, load[i] - 1]:
            price[i] = slot[i, load[i] - 1]
    lowest_price = price.min() if price.size > 0 else 0.0
    for j in range(chosen.size):
        kept = chosen[j]
        if kept == UNASSIGNED:
            continue
        here = null_cost[j] if kept < 0 else cost[kept] + price[mother[kept]]
        value[j] = here
        released = null_cost[j] < here
        for e in range(start[j], start[j + 1]):
            # no price is below the lowest, so those of mothers that are too far anyway need not be read
            if cost[e] + lowest_price < here and cost[e] + price[mother[e]] < here:
                released = True
                break
        if released:
            chosen[j] = UNASSIGNED
            if kept >= 0:
                take_out(held, load, mother[kept], j)


@kernel
def settle_overpriced(
    start: IntArray,
    mother: IntArray,
    daughter: IntArray,
    cost: FloatArray,
    null_cost: FloatArray,
    slot: FloatArray,
    mother_start: IntArray,
    by_mother: IntArray,
    price: FloatArray,
    chosen: IntArray,
    load: IntArray,
    held: IntArray,
    value: FloatArray,
) -> None:
    """Fill, or lower the price of, every mother whose price is above the cost of its open place."""
    n_mothers = price.size
    dist = np.full(n_mothers, np.inf)
    via = np.empty(n_mothers, np.int64)
    heap = np.empty(n_mothers, np.int64)
    position = np.full(n_mothers, -1, np.int64)
    touched = np.empty(n_mothers, np.int64)
    scanned = np.empty(n_mothers, np.int64)
    for target in range(n_mothers):
        while load[target] < 2 and price[target] > slot[target, load[target]]:
            best = price[target] - slot[target, load[target]]
            source_link = -1  # a daughter without mother that would come
            source_mother = -1  # or a mother that would give a daughter up
            dist[target] = 0.0
            touched[0] = target
            n_touched = 1
            n_scanned = 0
            size = push_or_decrease(heap, position, 0, dist, target)
            while size > 0:
                m = pop_smallest(heap, position, size, dist)
                size -= 1
                base = dist[m]
                if base >= best:
                    break
                scanned[n_scanned] = m
                n_scanned += 1
                if m != target:
                    reach = base + max(0.0, price[m] - slot[m, load[m] - 1])
                    if reach < best:
                        best = reach
                        source_mother = m
                        source_link = -1
                for place in range(mother_start[m], mother_start[m + 1]):
                    e = by_mother[place]
                    j = daughter[e]
                    here = chosen[j]
                    if here == e:
                        continue
                    reach = base + max(0.0, cost[e] + price[m] - value[j])
                    if reach >= best:
                        continue
                    if here == NULL:
                        best = reach
                        source_link = e
                        source_mother = -1
                        continue
                    k = mother[here]
                    if reach < dist[k]:
                        if dist[k] == np.inf:
                            touched[n_touched] = k
                            n_touched += 1
                        dist[k] = reach
                        via[k] = e
                        size = push_or_decrease(heap, position, size, dist, k)
            for t in range(n_scanned):
                m = scanned[t]
                if dist[m] < best:
                    price[m] -= best - dist[m]
            # move the daughters along the path, from its source to the target
            m = source_mother
            if source_link >= 0:
                j = daughter[source_link]
                m = mother[source_link]
                while True:
                    chosen[j] = source_link
                    if m == target:
                        replace_held(held, m, -1, j)
                        load[m] += 1
                        break
                    source_link = via[m]
                    moved = daughter[source_link]
                    replace_held(held, m, moved, j)
                    j = moved
                    m = mother[source_link]
            elif source_mother >= 0:
                e = via[m]
                j = daughter[e]
                take_out(held, load, m, j)
                m = mother[e]
                while True:
                    chosen[j] = e
                    if m == target:
                        replace_held(held, m, -1, j)
                        load[m] += 1
                        break
                    e = via[m]
                    moved = daughter[e]
                    replace_held(held, m, moved, j)
                    j = moved
                    m = mother[e]
            for t in range(n_scanned):
                m = scanned[t]
                for q in range(load[m]):
                    j = held[m, q]
                    value[j] = cost[chosen[j]] + price[m]
            for t in range(n_touched):
                dist[touched[t]] = np.inf
                position[touched[t]] = -1


@kernel
def repair(
    start: IntArray,
    mother: IntArray,
    daughter: IntArray,
    cost: FloatArray,
    null_cost: FloatArray,
    slot: FloatArray,
    mother_start: IntArray,
    by_mother: IntArray,
    price: FloatArray,
    chosen: IntArray,
    load: IntArray,
    held: IntArray,
    value: FloatArray,
) -> int:
    """Make a solution of other costs optimal for these; returns -1 or the daughter that cannot be placed."""
    release(start, mother, cost, null_cost, slot, price, chosen, load, held, value)
    stuck = assign_waiting(start, mother, daughter, cost, null_cost, slot, price, chosen, load, held, value)
    if stuck < 0:
        settle_overpriced(
            start,
            mother,
            daughter,
            cost,
            null_cost,
            slot,
            mother_start,
            by_mother,
            price,
            chosen,
            load,
            held,
            value,
        )
    return stuck
