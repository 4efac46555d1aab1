"""Rank the paths of frontier graphs, and the combinations of paths of all components, by their total gap.

Within a component, each node lists its completions in order, lazily: the next one follows the arc of the
last one to the next completion of that arc's target (recursive enumeration, Jimenez & Marzal, WAE 1999).
Across components the K smallest sums of one entry per list come from a heap in which every combination has
one predecessor.
"""

import numpy as np

from torchtrack_uq.assignment.kernels.heap import pop_smallest, push_or_decrease
from torchtrack_uq.assignment.types import FloatArray, IntArray, SmallIntArray
from torchtrack_uq.utils.kernel import kernel

NOT_LISTED = -1
EXHAUSTED = -2


@kernel
def grown_float(array: FloatArray, size: int) -> FloatArray:
    """`array` with room for at least `size` entries, doubling."""
    if size <= array.size:
        return array
    larger = np.empty(max(size, 2 * array.size))
    larger[: array.size] = array
    return larger


@kernel
def grown_int(array: IntArray, size: int, fill: int) -> IntArray:
    """`array` with room for at least `size` entries, doubling; new entries are `fill`."""
    if size <= array.size:
        return array
    larger = np.full(max(size, 2 * array.size), fill, np.int64)
    larger[: array.size] = array
    return larger


@kernel
def rank_assignments(
    arc_start: SmallIntArray,
    arc_to: SmallIntArray,
    arc_factor: SmallIntArray,
    layer_start: IntArray,
    first_layer: IntArray,
    factor_cost: FloatArray,
    bound: float,
    k: int,
) -> tuple[FloatArray, IntArray, IntArray]:
    """The k smallest total gaps, at most `bound`, with the factors of the paths that make them.

    Returns:
        gap: (K',) float64, ascending.
        path_start: (K' + 1,) int64.
        path_factor: int64, factors on the paths of those components whose path is not their first.
    """
    n_nodes = arc_start.size - 1
    n_components = first_layer.size - 1
    # entry v < n_nodes is the best completion of node v; later entries are appended
    entry_gap = np.full(max(2 * n_nodes, 16), np.inf)
    entry_arc = np.full(entry_gap.size, -1, np.int64)
    entry_tail = np.full(entry_gap.size, -1, np.int64)
    entry_next = np.full(entry_gap.size, NOT_LISTED, np.int64)
    n_entries = n_nodes
    node_last = np.arange(n_nodes)
    arc_entry = arc_to.astype(np.int64)
    stack = np.empty(n_nodes + 1, np.int64)
    for c in range(n_components):
        terminal = first_layer[c + 1] - 1
        for v in range(layer_start[terminal], layer_start[terminal + 1]):
            entry_gap[v] = 0.0
        for v in range(layer_start[terminal] - 1, layer_start[first_layer[c]] - 1, -1):
            for a in range(arc_start[v], arc_start[v + 1]):
                gap = factor_cost[arc_factor[a]] + entry_gap[arc_to[a]]
                if gap < entry_gap[v]:
                    entry_gap[v] = gap
                    entry_arc[v] = a
                    entry_tail[v] = arc_to[a]

    root = np.empty(n_components, np.int64)
    second = np.empty(n_components, np.int64)
    n_lists = 0
    combination_sum = np.empty(1024)
    combination_list = np.empty(1024, np.int64)
    combination_entry = np.empty(1024, np.int64)
    combination_prefix = np.empty(1024, np.int64)
    heap = np.empty(1024, np.int64)
    heap_place = np.full(1024, -1, np.int64)
    n_combinations = 0
    size = 0
    gaps = np.empty(1024)
    path_start = np.zeros(1024, np.int64)
    path_factor = np.empty(1024, np.int64)
    n_factors = 0
    n_found = 1  # the MAP: every component's first path
    gaps[0] = 0.0
    phase = 0  # 0: list the second entry of every component; 1: merge
    current = -1
    c = 0
    while True:
        # which entry must be listed next?
        if phase == 0:
            if c == n_components:
                phase = 1
                step_of = np.empty(n_lists)
                for t in range(n_lists):
                    step_of[t] = entry_gap[second[t]] - entry_gap[root[t]]
                order = np.argsort(step_of, kind="mergesort")
                root = root[:n_lists][order]
                second = second[:n_lists][order]
                step_of = step_of[order]
                if n_lists > 0:
                    combination_sum[0] = step_of[0]
                    combination_list[0] = 0
                    combination_entry[0] = second[0]
                    combination_prefix[0] = -1
                    n_combinations = 1
                    size = push_or_decrease(heap, heap_place, 0, combination_sum, 0)
                continue
            node = layer_start[first_layer[c]]
            wanted = node
        else:
            if size == 0 or n_found == k:
                break
            current = pop_smallest(heap, heap_place, size, combination_sum)
            size -= 1
            if combination_sum[current] > bound:
                break
            # write it down
            gaps = grown_float(gaps, n_found + 1)
            path_start = grown_int(path_start, n_found + 2, 0)
            gaps[n_found] = combination_sum[current]
            member = current
            while member >= 0:
                entry = combination_entry[member]
                while entry_arc[entry] >= 0:
                    path_factor = grown_int(path_factor, n_factors + 1, 0)
                    path_factor[n_factors] = arc_factor[entry_arc[entry]]
                    n_factors += 1
                    entry = entry_tail[entry]
                member = combination_prefix[member]
            n_found += 1
            path_start[n_found] = n_factors
            if n_found == k:
                break
            node = root[combination_list[current]]
            wanted = combination_entry[current]
        # extend the list of `node` behind `wanted`, its last entry, unless that is done already
        if entry_next[wanted] == NOT_LISTED:
            depth = 0
            stack[0] = node
            while depth >= 0:
                v = stack[depth]
                last = node_last[v]
                a = entry_arc[last]
                if a < 0:
                    entry_next[last] = EXHAUSTED
                    depth -= 1
                    continue
                tail = arc_entry[a]
                if entry_next[tail] == NOT_LISTED:
                    depth += 1
                    stack[depth] = arc_to[a]
                    continue
                arc_entry[a] = entry_next[tail]
                best = bound
                best_arc = -1
                for a in range(arc_start[v], arc_start[v + 1]):
                    if arc_entry[a] >= 0:
                        gap = factor_cost[arc_factor[a]] + entry_gap[arc_entry[a]]
                        if gap < np.inf and gap <= best and (best_arc < 0 or gap < best):
                            best = gap
                            best_arc = a
                if best_arc < 0:
                    entry_next[last] = EXHAUSTED
                else:
                    entry_gap = grown_float(entry_gap, n_entries + 1)
                    entry_arc = grown_int(entry_arc, n_entries + 1, -1)
                    entry_tail = grown_int(entry_tail, n_entries + 1, -1)
                    entry_next = grown_int(entry_next, n_entries + 1, NOT_LISTED)
                    entry_gap[n_entries] = best
                    entry_arc[n_entries] = best_arc
                    entry_tail[n_entries] = arc_entry[best_arc]
                    entry_next[n_entries] = NOT_LISTED
                    entry_next[last] = n_entries
                    node_last[v] = n_entries
                    n_entries += 1
                depth -= 1
        following = entry_next[wanted]
        if phase == 0:
            if following >= 0:
                root[n_lists] = node
                second[n_lists] = following
                n_lists += 1
            c += 1
            continue
        # the up to three combinations whose predecessor is `current`
        combination_sum = grown_float(combination_sum, n_combinations + 3)
        combination_list = grown_int(combination_list, n_combinations + 3, 0)
        combination_entry = grown_int(combination_entry, n_combinations + 3, 0)
        combination_prefix = grown_int(combination_prefix, n_combinations + 3, 0)
        heap = grown_int(heap, n_combinations + 3, 0)
        heap_place = grown_int(heap_place, n_combinations + 3, -1)
        t = combination_list[current]
        total = combination_sum[current]
        for successor in range(3):
            new = n_combinations
            if successor == 0:
                if following < 0:
                    continue
                combination_list[new] = t
                combination_entry[new] = following
                combination_prefix[new] = combination_prefix[current]
                combination_sum[new] = total + (entry_gap[following] - entry_gap[wanted])
            elif t + 1 == n_lists:
                continue
            elif successor == 1:
                combination_list[new] = t + 1
                combination_entry[new] = second[t + 1]
                combination_prefix[new] = current
                combination_sum[new] = total + step_of[t + 1]
            else:
                if wanted != second[t]:
                    continue
                combination_list[new] = t + 1
                combination_entry[new] = second[t + 1]
                combination_prefix[new] = combination_prefix[current]
                combination_sum[new] = total + (step_of[t + 1] - step_of[t])
            if combination_sum[new] <= bound:
                n_combinations += 1
                size = push_or_decrease(heap, heap_place, size, combination_sum, new)
    return gaps[:n_found].copy(), path_start[: n_found + 1].copy(), path_factor[:n_factors].copy()
