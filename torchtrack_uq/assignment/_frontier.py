"""The frontier graph: every assignment of a component is one path through it.

Its nodes are the states (loads of the mothers in the frontier) after each step of the elimination plan, its
arcs the choices: a daughter's option, or what a retiring mother pays. Both the K best assignments (shortest
paths) and the marginals (sums over paths) are read from it. Each arc carries a *factor*: e for the link at
place e, F + j for null of daughter j, F + N + 3 i + n for mother i retiring with n daughters.
"""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment._compile import kernel
from torchtrack_uq.assignment._types import BoolArray, FloatArray, IntArray

LOADS_PER_WORD = 31  # two bits each in a non-negative int64


class FrontierGraph(NamedTuple):
    """Frontier graphs of all components, in one numbering.

    Attributes:
        arc_start: (V + 1,) int64, arcs leaving node v.
        arc_to: (A,) int64.
        arc_factor: (A,) int64.
        layer_start: (L + 1,) int64, nodes of each layer; a component with s steps has s + 1 layers.
        first_layer: (C + 1,) int64, layers of component c.
        complete: (C,) bool, False where the graph was given up for its size (its layers are then empty).
        lost: (C,) float64, bound on the total weight of the paths that were left out as negligible.
    """

    arc_start: IntArray
    arc_to: IntArray
    arc_factor: IntArray
    layer_start: IntArray
    first_layer: IntArray
    complete: BoolArray
    lost: FloatArray


@kernel
def grown(array: IntArray, size: int) -> IntArray:
    """`array` with room for at least `size` entries, doubling."""
    if size <= array.size:
        return array
    larger = np.empty(max(size, 2 * array.size), np.int64)
    larger[: array.size] = array
    return larger


@kernel
def find_or_add(
    table: IntArray,
    table_node: IntArray,
    mask: int,
    stamp: int,
    keys: IntArray,
    n_words: int,
    layer: int,
    count: int,
) -> int:
    """Index within the layer of the state `keys[count]` by hashing; `count` itself if it is new.

    Only the first `mask` + 1 slots (a power of two) are used, so that small layers stay in the fastest
    cache.
    """
    h = np.int64(0)
    for w in range(n_words):
        h = (h ^ keys[count, w]) * np.int64(-7046029254386353131)
        h ^= (h >> 29) & np.int64(0x7FFFFFFFF)
    slot = h & mask
    while table[slot] == stamp:
        other = table_node[slot] - layer
        same = True
        for w in range(n_words):
            if keys[other, w] != keys[count, w]:
                same = False
                break
        if same:
            return int(other)
        slot = (slot + 1) & mask
    table[slot] = stamp
    table_node[slot] = layer + count
    return count


@kernel
def build_frontier_graph(
    start: IntArray,
    mother: IntArray,
    keep: BoolArray,
    keep_null: BoolArray,
    base_load: IntArray,
    step: IntArray,
    step_start: IntArray,
    position: IntArray,
    width: IntArray,
    factor_cost: FloatArray,
    bound: float,
    max_arcs: int,
    weight: FloatArray,
    negligible: float,
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray, BoolArray, FloatArray]:
    """Build the graph of every component, as `FrontierGraph`'s fields.

    States that cannot be reached at a cost of at most `bound` are left out, as are choices of infinite cost
    (costs are at least 0), and states through which paths of total `weight` at most `negligible` lead (0:
    none). Components that would bring all graphs together beyond `max_arcs` arcs are given up.
    """
    n_components = width.size
    n_links = mother.size
    n_daughters = start.size - 1
    n_steps = step.size
    lost = np.zeros(n_components)
    ahead = np.ones(n_steps + 1)  # bound on the weight that the remaining steps contribute
    arc_start = np.empty(1024, np.int64)
    arc_to = np.empty(1024, np.int64)
    arc_factor = np.empty(1024, np.int64)
    layer_start = np.empty(n_steps + n_components + 1, np.int64)
    first_layer = np.empty(n_components + 1, np.int64)
    complete = np.ones(n_components, np.bool_)
    table = np.zeros(1024, np.int64)
    table_node = np.empty(1024, np.int64)
    stamp = 0
    # the choices of a step: factor, its cost and weight, place of the mother's load in the state (-1: null)
    choice_factor = np.empty(n_links + 1, np.int64)
    choice_word = np.empty(n_links + 1, np.int64)
    choice_shift = np.empty(n_links + 1, np.int64)
    choice_most = np.empty(n_links + 1, np.int64)
    n_nodes = 0
    n_arcs = 0
    n_layers = 0
    most_words = 1
    for c in range(n_components):
        most_words = max(most_words, 1 + (width[c] - 1) // LOADS_PER_WORD)
    keys = np.zeros((64, most_words), np.int64)
    next_keys = np.empty((64, most_words), np.int64)
    cost = np.zeros(64)
    next_cost = np.empty(64)
    mass = np.ones(64)  # total weight of the paths to a state
    next_mass = np.empty(64)
    for c in range(n_components):
        first_layer[c] = n_layers
        n_words = 1 + (width[c] - 1) // LOADS_PER_WORD
        keys[0] = 0
        cost[0] = 0.0
        mass[0] = 1.0
        if negligible > 0.0:
            ahead[step_start[c + 1]] = 1.0
            for s in range(step_start[c + 1] - 1, step_start[c] - 1, -1):
                j = step[s]
                largest = 0.0
                if j >= 0:
                    for e in range(start[j], start[j + 1]):
                        if keep[e]:
                            largest += weight[e]
                    if keep_null[j]:
                        largest += weight[n_links + j]
                else:
                    for n in range(3):
                        largest = max(largest, weight[n_links + n_daughters + 3 * (-1 - j) + n])
                ahead[s] = ahead[s + 1] * largest
        nodes_before, arcs_before, layers_before = n_nodes, n_arcs, n_layers
        layer_start[n_layers] = n_nodes
        n_layers += 1
        n_here = 1
        for s in range(step_start[c], step_start[c + 1]):
            j = step[s]
            n_choices = 0
            if j >= 0:
                for e in range(start[j], start[j + 1]):
                    if keep[e] and factor_cost[e] <= bound:
                        i = mother[e]
                        choice_factor[n_choices] = e
                        choice_word[n_choices] = position[i] // LOADS_PER_WORD
                        choice_shift[n_choices] = 2 * (position[i] % LOADS_PER_WORD)
                        choice_most[n_choices] = 2 - base_load[i]
                        n_choices += 1
                if keep_null[j] and factor_cost[n_links + j] <= bound:
                    choice_factor[n_choices] = n_links + j
                    choice_word[n_choices] = -1
                    n_choices += 1
            else:
                i = -1 - j
                choice_factor[0] = n_links + n_daughters + 3 * i + base_load[i]
                choice_word[0] = position[i] // LOADS_PER_WORD
                choice_shift[0] = 2 * (position[i] % LOADS_PER_WORD)
                n_choices = 1
            most = n_here * n_choices
            if n_arcs + most > max_arcs:
                complete[c] = False
                break
            slots = 64
            while slots < 2 * most:
                slots *= 2
            if slots > table.size:
                table = np.zeros(slots, np.int64)
                table_node = np.empty(slots, np.int64)
                stamp = 0
            stamp += 1
            arc_start = grown(arc_start, n_nodes + n_here + 1)
            arc_to = grown(arc_to, n_arcs + most)
            arc_factor = grown(arc_factor, n_arcs + most)
            if most + 1 > next_cost.size:
                size = max(most + 1, 2 * next_cost.size)
                next_keys = np.empty((size, most_words), np.int64)
                next_cost = np.empty(size)
                next_mass = np.empty(size)
            layer = n_nodes + n_here
            n_next = 0
            for v in range(n_here):
                arc_start[n_nodes + v] = n_arcs
                if negligible > 0.0 and mass[v] * ahead[s] <= negligible:
                    lost[c] += mass[v] * ahead[s]
                    continue
                for choice in range(n_choices):
                    factor = choice_factor[choice]
                    word = choice_word[choice]
                    for w in range(n_words):
                        next_keys[n_next, w] = keys[v, w]
                    if word >= 0:
                        shift = choice_shift[choice]
                        n = (keys[v, word] >> shift) & 3
                        if j < 0:
                            factor += n
                            next_keys[n_next, word] -= n << shift
                        elif n < choice_most[choice]:
                            next_keys[n_next, word] += np.int64(1) << shift
                        else:
                            continue
                    reach = cost[v] + factor_cost[factor]
                    if not reach <= bound or reach == np.inf:
                        continue
                    to = find_or_add(table, table_node, slots - 1, stamp, next_keys, n_words, layer, n_next)
                    if to == n_next:
                        next_cost[to] = reach
                        next_mass[to] = mass[v] * weight[factor]
                        n_next += 1
                    else:
                        next_mass[to] += mass[v] * weight[factor]
                        next_cost[to] = min(next_cost[to], reach)
                    arc_to[n_arcs] = layer + to
                    arc_factor[n_arcs] = factor
                    n_arcs += 1
            n_nodes = layer
            layer_start[n_layers] = n_nodes
            n_layers += 1
            n_here = n_next
            keys, next_keys = next_keys, keys
            cost, next_cost = next_cost, cost
            mass, next_mass = next_mass, mass
        if complete[c]:
            arc_start = grown(arc_start, n_nodes + n_here + 1)
            for v in range(n_here):
                arc_start[n_nodes + v] = n_arcs
            n_nodes += n_here
        else:
            n_nodes, n_arcs = nodes_before, arcs_before
            n_layers = layers_before + 1 + step_start[c + 1] - step_start[c]
            layer_start[layers_before:n_layers] = n_nodes
    first_layer[n_components] = n_layers
    layer_start[n_layers] = n_nodes
    arc_start = grown(arc_start, n_nodes + 1)
    arc_start[n_nodes] = n_arcs
    return (
        arc_start[: n_nodes + 1],
        arc_to[:n_arcs],
        arc_factor[:n_arcs],
        layer_start,
        first_layer,
        complete,
        lost,
    )
