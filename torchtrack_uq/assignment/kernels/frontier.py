"""The frontier graph: every assignment of a component is one path through it.

Its nodes are the states (loads of the mothers in the frontier) after each step of the elimination plan, its
arcs the choices: a daughter's option, or what a retiring mother pays. Both the K best assignments (shortest
paths) and the marginals (sums over paths) are read from it. Each arc carries a *factor*: e for the link at
place e, F + j for null of daughter j, F + N + 3 i + n for mother i retiring with n daughters.
"""

from typing import NamedTuple, TypeVar

import numpy as np

from torchtrack_uq.assignment.kernels.layers import (
    CHANGE,
    COST,
    FACTOR,
    LOADS_PER_WORD,
    MOST,
    RANK,
    SHIFT,
    WEIGHT,
    WORD,
    expand_hashed,
)
from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray, SmallIntArray
from torchtrack_uq.utils.kernel import kernel

RANKED_WIDTH = 11  # mothers in the frontier up to which states are ranked, in a table of 3^11 entries
EXPECTED_ARCS = 32  # per step
MOST_WORDS = 2**22  # that hold the states of a wide frontier, however few arcs a component may take
LARGEST_INDEX = 2**31 - 1  # of nodes and arcs, which are int32

States = TypeVar("States", IntArray, FloatArray)
Indices = TypeVar("Indices", IntArray, SmallIntArray)


class FrontierGraph(NamedTuple):
    """Frontier graphs of all components, in one numbering.

    Attributes:
        arc_start: (V + 1,) int32, arcs leaving node v.
        arc_to: (A,) int32.
        arc_factor: (A,) int32.
        layer_start: (L + 1,) int64, nodes of each layer; a component with s steps has s + 1 layers.
        first_layer: (C + 1,) int64, layers of component c.
        complete: (C,) bool, False where the graph was given up for its size (its layers are then empty).
        lost: (C,) float64, bound on the total weight of the paths that were left out as negligible.
    """

    arc_start: SmallIntArray
    arc_to: SmallIntArray
    arc_factor: SmallIntArray
    layer_start: IntArray
    first_layer: IntArray
    complete: BoolArray
    lost: FloatArray


@kernel
def grown(array: Indices, size: int) -> Indices:
    """`array` with room for at least `size` entries, doubling."""
    if size <= array.size:
        return array
    larger = np.empty(max(size, 2 * array.size), array.dtype)
    larger[: array.size] = array
    return larger


@kernel
def wider(states: States, n_states: int, size: int) -> States:
    """`states` with room for at least `size` on either side; the first `n_states` are kept."""
    larger = np.empty((2, max(size, 2 * states.shape[1]), 2), states.dtype)
    larger[:, :n_states] = states[:, :n_states]
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
    arcs_of_component: float = np.inf,
    arcs_per_step: float = 0.0,
    arcs_at_most: float = np.inf,
) -> tuple[SmallIntArray, SmallIntArray, SmallIntArray, IntArray, IntArray, BoolArray, FloatArray]:
    """Build the graph of every component, as `FrontierGraph`'s fields.

    States that cannot be reached at a cost of at most `bound` are left out, as are choices of infinite cost
    (costs are at least 0), and states through which paths of total `weight` at most `negligible` lead (0:
    none). Components that would bring all graphs together beyond `max_arcs` arcs are given up, and so is one that takes
    more than `arcs_of_component` and `arcs_per_step` for each of its steps, or than `arcs_at_most`. What holds the
    states of a wide frontier counts as well: a word for `LOADS_PER_WORD` mothers.
    """
    n_components = width.size
    n_links = mother.size
    n_daughters = start.size - 1
    n_steps = step.size
    lost = np.zeros(n_components)
    ahead = np.ones(n_steps + 1)  # bound on the weight that the remaining steps contribute
    # room that is not used costs nothing; growing does
    expected = 1024 + EXPECTED_ARCS * n_steps
    arc_start = np.empty(expected, np.int32)
    arc_to = np.empty(expected, np.int32)
    arc_factor = np.empty(expected, np.int32)
    max_arcs = min(max_arcs, LARGEST_INDEX)
    layer_start = np.empty(n_steps + n_components + 1, np.int64)
    first_layer = np.empty(n_components + 1, np.int64)
    complete = np.ones(n_components, np.bool_)
    most_ranked = 0
    for c in range(n_components):
        if width[c] <= RANKED_WIDTH:
            most_ranked = max(most_ranked, width[c])
    n_words = 1
    most_choices = 3
    for j in range(n_daughters):
        most_choices = max(most_choices, start[j + 1] - start[j] + 1)
    choice = np.zeros((most_choices, 6), np.int64)
    choice_number = np.empty((most_choices, 2))
    power = 3 ** np.arange(RANKED_WIDTH)
    by_rank = np.full(3**most_ranked, -1, np.int64)
    by_hash = np.full(1024, -1, np.int64)
    stamp = 0
    n_nodes = 0
    n_arcs = 0
    n_layers = 0
    # states of this layer and of the next on alternating sides: loads and rank, or loads of wide frontiers
    ranked = np.empty((2, 64, 2), np.int64)
    keys, next_keys = np.empty((1, n_words), np.int64), np.empty((1, n_words), np.int64)
    number = np.empty((2, 64, 2))  # cost of a state, and total weight of the paths to it
    for c in range(n_components):
        first_layer[c] = n_layers
        is_ranked = width[c] <= RANKED_WIDTH
        here, there = 0, 1
        ranked[here, 0] = 0
        if not is_ranked and n_words != 1 + (width[c] - 1) // LOADS_PER_WORD:
            n_words = 1 + (width[c] - 1) // LOADS_PER_WORD
            keys, next_keys = np.empty((1, n_words), np.int64), np.empty((1, n_words), np.int64)
        keys[0] = 0
        number[here, 0, COST] = 0.0
        number[here, 0, WEIGHT] = 1.0
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
        own = min(arcs_of_component + arcs_per_step * (step_start[c + 1] - step_start[c]), arcs_at_most)
        most_arcs = max_arcs if own > max_arcs - n_arcs else n_arcs + np.int64(own)
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
                        shift = 2 * (position[i] % LOADS_PER_WORD)
                        choice[n_choices, FACTOR] = e
                        choice[n_choices, WORD] = position[i] // LOADS_PER_WORD
                        choice[n_choices, SHIFT] = shift
                        choice[n_choices, MOST] = 2 - base_load[i]
                        choice[n_choices, CHANGE] = np.int64(1) << shift
                        choice[n_choices, RANK] = power[position[i]] if is_ranked else 0
                        choice_number[n_choices, COST] = factor_cost[e]
                        choice_number[n_choices, WEIGHT] = weight[e]
                        n_choices += 1
                e = n_links + j
                if keep_null[j] and factor_cost[e] <= bound and factor_cost[e] < np.inf:
                    choice[n_choices] = 0
                    choice[n_choices, FACTOR] = e
                    choice[n_choices, MOST] = 3
                    choice_number[n_choices, COST] = factor_cost[e]
                    choice_number[n_choices, WEIGHT] = weight[e]
                    n_choices += 1
                most = n_here * n_choices
            else:
                i = -1 - j
                shift = 2 * (position[i] % LOADS_PER_WORD)
                for n in range(3 - base_load[i]):
                    e = n_links + n_daughters + 3 * i + base_load[i] + n
                    choice[n, FACTOR] = e
                    choice[n, WORD] = position[i] // LOADS_PER_WORD
                    choice[n, SHIFT] = shift
                    choice[n, MOST] = 3 if factor_cost[e] < np.inf else 0
                    choice[n, CHANGE] = -(np.int64(n) << shift)
                    choice[n, RANK] = -n * power[position[i]] if is_ranked else 0
                    choice_number[n, COST] = factor_cost[e]
                    choice_number[n, WEIGHT] = weight[e]
                most = n_here
            if n_arcs + most > most_arcs or (
                not is_ranked and n_words * most > max(MOST_WORDS, most_arcs - arcs_before)
            ):
                complete[c] = False
                break
            if n_nodes + n_here + 1 > arc_start.size:
                arc_start = grown(arc_start, n_nodes + n_here + 1)
            if n_arcs + most > arc_to.size:
                arc_to = grown(arc_to, n_arcs + most)
                arc_factor = grown(arc_factor, n_arcs + most)
            if most >= number.shape[1]:
                number = wider(number, n_here, most + 1)
                ranked = wider(ranked, n_here, most + 1)
            layer = n_nodes + n_here
            share = negligible / ahead[s]
            if is_ranked:
                n_next = 0
                left_out = 0.0
                begin, end = 0, n_choices
                for v in range(n_here):
                    arc_start[n_nodes + v] = n_arcs
                    mass = number[here, v, WEIGHT]
                    if negligible > 0.0 and mass <= share:
                        left_out += mass
                        continue
                    loads = ranked[here, v, 0]
                    if j < 0:
                        begin = (loads >> choice[0, SHIFT]) & 3
                        end = begin + 1
                    for q in range(begin, end):
                        if (loads >> choice[q, SHIFT]) & 3 >= choice[q, MOST]:
                            continue
                        reach = number[here, v, COST] + choice_number[q, COST]
                        if reach > bound:
                            continue
                        rank = ranked[here, v, 1] + choice[q, RANK]
                        to = by_rank[rank] - stamp
                        if to < 0:
                            to = n_next
                            n_next += 1
                            by_rank[rank] = stamp + to
                            ranked[there, to, 0] = loads + choice[q, CHANGE]
                            ranked[there, to, 1] = rank
                            number[there, to, COST] = reach
                            number[there, to, WEIGHT] = mass * choice_number[q, WEIGHT]
                        else:
                            number[there, to, COST] = min(number[there, to, COST], reach)
                            number[there, to, WEIGHT] += mass * choice_number[q, WEIGHT]
                        arc_to[n_arcs] = layer + to
                        arc_factor[n_arcs] = choice[q, FACTOR]
                        n_arcs += 1
            else:
                if most >= next_keys.shape[0]:
                    next_keys = np.empty((2 * most + 1, n_words), np.int64)
                slots = 64
                while slots < 2 * most:
                    slots *= 2
                if slots > by_hash.size:
                    by_hash = np.full(slots, -1, np.int64)
                n_next, n_arcs, left_out = expand_hashed(
                    j < 0, choice, choice_number, n_choices, n_here, n_nodes, n_arcs, bound, share, stamp,
                    by_hash, slots - 1, keys, number[here], next_keys, number[there],
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
            here, there = there, here
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
