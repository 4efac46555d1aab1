"""The frontier graph: every assignment of a component is one path through it.

Its nodes are the states (loads of the mothers in the frontier) after each step of the elimination plan, its
arcs the choices: a daughter's option, or what a retiring mother pays. Both the K best assignments (shortest
paths) and the marginals (sums over paths) are read from it. Each arc carries a *factor*: e for the link at
place e, F + j for null of daughter j, F + N + 3 i + n for mother i retiring with n daughters.
"""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment._compile import kernel
from torchtrack_uq.assignment._layers import (
    LOADS_PER_WORD,
    RANKED_WIDTH,
    expand_hashed,
    expand_ranked,
    new_choices,
    put_choice,
)
from torchtrack_uq.assignment._types import BoolArray, FloatArray, IntArray

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
    most_mothers = 1
    most_ranked = 0
    for c in range(n_components):
        most_mothers = max(most_mothers, width[c])
        if width[c] <= RANKED_WIDTH:
            most_ranked = max(most_ranked, width[c])
    n_words = 1 + (most_mothers - 1) // LOADS_PER_WORD
    most_choices = 3
    for j in range(n_daughters):
        most_choices = max(most_choices, start[j + 1] - start[j] + 1)
    choices = new_choices(most_choices)
    by_rank = np.full(3**most_ranked, -1, np.int64)
    by_hash = np.full(1024, -1, np.int64)
    stamp = 0
    n_nodes = 0
    n_arcs = 0
    n_layers = 0
    room = 64
    bits, next_bits = np.empty(room, np.int64), np.empty(room, np.int64)
    rank, next_rank = np.empty(room, np.int64), np.empty(room, np.int64)
    keys, next_keys = np.empty((1, n_words), np.int64), np.empty((1, n_words), np.int64)
    cost, next_cost = np.empty(room), np.empty(room)
    mass, next_mass = np.empty(room), np.empty(room)  # total weight of the paths to a state
    for c in range(n_components):
        first_layer[c] = n_layers
        is_ranked = width[c] <= RANKED_WIDTH
        bits[0] = 0
        rank[0] = 0
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
                    if keep[e] and factor_cost[e] <= bound and factor_cost[e] < np.inf:
                        i = mother[e]
                        put_choice(
                            choices, n_choices, e, position[i], 2 - base_load[i], 1, factor_cost[e], weight[e]
                        )
                        n_choices += 1
                e = n_links + j
                if keep_null[j] and factor_cost[e] <= bound and factor_cost[e] < np.inf:
                    put_choice(choices, n_choices, e, 0, 4, 0, factor_cost[e], weight[e])
                    n_choices += 1
                most = n_here * n_choices
            else:
                i = -1 - j
                for n in range(3 - base_load[i]):
                    e = n_links + n_daughters + 3 * i + base_load[i] + n
                    possible = 3 if factor_cost[e] < np.inf else 0
                    put_choice(choices, n, e, position[i], possible, -n, factor_cost[e], weight[e])
                most = n_here
            if n_arcs + most > max_arcs:
                complete[c] = False
                break
            if n_nodes + n_here + 1 > arc_start.size:
                arc_start = grown(arc_start, n_nodes + n_here + 1)
            if n_arcs + most > arc_to.size:
                arc_to = grown(arc_to, n_arcs + most)
                arc_factor = grown(arc_factor, n_arcs + most)
            if most >= next_cost.size:
                room = max(most + 1, 2 * next_cost.size)
                next_bits, next_rank = np.empty(room, np.int64), np.empty(room, np.int64)
                next_cost, next_mass = np.empty(room), np.empty(room)
            layer = n_nodes + n_here
            share = negligible / ahead[s]
            if is_ranked:
                n_next, n_arcs, left_out = expand_ranked(
                    j < 0, choices, n_choices, n_here, n_nodes, layer, n_arcs, bound, share, stamp, by_rank,
                    bits, rank, cost, mass, next_bits, next_rank, next_cost, next_mass,
                    arc_start, arc_to, arc_factor,
                )  # fmt: skip
            else:
                if most >= next_keys.shape[0]:
                    next_keys = np.empty((next_cost.size, n_words), np.int64)
                slots = 64
                while slots < 2 * most:
                    slots *= 2
                if slots > by_hash.size:
                    by_hash = np.full(slots, -1, np.int64)
                n_next, n_arcs, left_out = expand_hashed(
                    j < 0, choices, n_choices, n_here, n_nodes, layer, n_arcs, bound, share, stamp, by_hash,
                    slots - 1, keys, cost, mass, next_keys, next_cost, next_mass,
                    arc_start, arc_to, arc_factor,
                )  # fmt: skip
                keys, next_keys = next_keys, keys
            if negligible > 0.0:
                lost[c] += left_out * ahead[s]
            stamp += n_next
            n_nodes = layer
            layer_start[n_layers] = n_nodes
            n_layers += 1
            n_here = n_next
            bits, next_bits = next_bits, bits
            rank, next_rank = next_rank, rank
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
