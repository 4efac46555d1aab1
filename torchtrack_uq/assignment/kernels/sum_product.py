"""Sums over all paths of frontier graphs: the partition function and the mass of every factor.

Layers are scaled and the logarithms of the scales are added up, so nothing over- or underflows.
"""

import numpy as np

from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray, SmallIntArray
from torchtrack_uq.utils.kernel import kernel


@kernel
def largest_component(layer_start: IntArray, first_layer: IntArray) -> tuple[int, int]:
    """Largest numbers of nodes and of layers of any component."""
    most_nodes, most_layers = 0, 0
    for c in range(first_layer.size - 1):
        most_nodes = max(most_nodes, layer_start[first_layer[c + 1]] - layer_start[first_layer[c]])
        most_layers = max(most_layers, first_layer[c + 1] - first_layer[c])
    return most_nodes, most_layers


@kernel
def path_sums(
    arc_start: SmallIntArray,
    arc_to: SmallIntArray,
    arc_factor: SmallIntArray,
    layer_start: IntArray,
    first_layer: IntArray,
    weight: FloatArray,
    wanted: BoolArray,
    begin: int,
    end: int,
    mass: FloatArray,
    log_z: FloatArray,
) -> None:
    """Forward and backward sums (a chain's forward-backward algorithm, layer by layer) of some components.

    No factor belongs to two components, so that threads with ranges of their own may fill the same arrays.

    Args:
        arc_start: (V + 1,) arcs of each node; this and the next four are the fields of `FrontierGraph`.
        arc_to: (A,) target of each arc.
        arc_factor: (A,) factor of each arc.
        layer_start: nodes of each layer.
        first_layer: layers of each component.
        weight: weight of every factor, at least 0.
        wanted: (C,) components to sum.
        begin: first component of the range to sum.
        end: the one after its last.
        mass: like weight, 0 on entry; filled with the sum over all paths through a factor of the product of their
            *other* factors, divided by Z of the component. A factor's probability is mass * weight.
        log_z: (C,) float64, 0 on entry; filled with the log of the sum over all paths of each component.
    """
    most_nodes, most_layers = largest_component(layer_start, first_layer)
    ahead = np.empty(most_nodes)  # of one component at a time, which stays in cache
    behind = np.empty(most_nodes)
    scale = np.empty(most_layers)
    for c in range(begin, end):
        first = first_layer[c]
        last = first_layer[c + 1] - 1
        base = layer_start[first]
        n_nodes = layer_start[last + 1] - base
        if n_nodes == 0 or not wanted[c]:
            continue
        ahead[:n_nodes] = 0.0
        ahead[0] = 1.0
        product = 1.0
        for layer in range(first, last + 1):
            total = 0.0
            for v in range(layer_start[layer] - base, layer_start[layer + 1] - base):
                total += ahead[v]
            scale[layer - first] = total
            product *= total
            if not 1e-100 < product < 1e100:
                log_z[c] += np.log(product)
                product = 1.0
            share = 1.0 / total
            for v in range(layer_start[layer] - base, layer_start[layer + 1] - base):
                here = ahead[v] * share
                ahead[v] = here
                for a in range(arc_start[base + v], arc_start[base + v + 1]):
                    ahead[arc_to[a] - base] += here * weight[arc_factor[a]]
        log_z[c] += np.log(product)
        behind[n_nodes - 1] = 1.0
        through = 1.0  # sum of ahead * behind, the same in all layers but for their scales
        for layer in range(last - 1, first - 1, -1):
            through *= scale[layer + 1 - first]
            share = 1.0 / through
            highest = 0.0
            for v in range(layer_start[layer] - base, layer_start[layer + 1] - base):
                total = 0.0
                here = ahead[v] * share
                for a in range(arc_start[base + v], arc_start[base + v + 1]):
                    rest = behind[arc_to[a] - base]
                    total += weight[arc_factor[a]] * rest
                    mass[arc_factor[a]] += here * rest
                behind[v] = total
                highest = max(highest, total)
            if not 1e-50 < highest < 1e50:
                for v in range(layer_start[layer] - base, layer_start[layer + 1] - base):
                    behind[v] /= highest
                through /= highest


@kernel
def room_without(
    arc_start: SmallIntArray,
    arc_to: SmallIntArray,
    arc_factor: SmallIntArray,
    layer_start: IntArray,
    first_layer: IntArray,
    weight: FloatArray,
    step: IntArray,
    step_start: IntArray,
    null_factor: int,
    load_factor: int,
    component: IntArray,
    daughter: IntArray,
    mother: IntArray,
) -> tuple[FloatArray, FloatArray]:
    """R of mothers when one daughter of their component is taken out, for pairs (daughter, mother).

    Args:
        arc_start: this and the next four are the fields of `FrontierGraph`.
        arc_to: (A,).
        arc_factor: (A,).
        layer_start: nodes of each layer.
        first_layer: layers of each component.
        weight: weight of every factor.
        step: steps of the elimination plan.
        step_start: steps of each component.
        null_factor: factor of null of daughter 0.
        load_factor: factor of mother 0 retiring with 0 daughters.
        component: (P,) component of each pair.
        daughter: (P,) daughters; pairs are sorted by component, then daughter.
        mother: (P,) mothers of the same component.

    Returns:
        ratio: (P,) R of the mother without the daughter.
        total: (P,) sum over all paths without the daughter.
    """
    ratio = np.zeros(daughter.size)
    total = np.zeros(daughter.size)
    most_nodes, _ = largest_component(layer_start, first_layer)
    ahead = np.empty(most_nodes)  # of one component at a time
    behind = np.empty(most_nodes)
    changed = np.empty(most_nodes)  # `ahead` after j's layer, `behind` before it, without j
    room = np.zeros((weight.size - load_factor) // 3)
    layer_of_daughter = np.zeros(load_factor - null_factor, np.int64)
    layer_of_mother = np.zeros(room.size, np.int64)
    pair = 0
    known = -1
    base = 0
    while pair < daughter.size:
        j = daughter[pair]
        c = component[pair]
        first, last = first_layer[c], first_layer[c + 1] - 1
        if c != known:
            known = c
            for layer in range(first, last):
                s = step[step_start[c] + layer - first]
                if s < 0:
                    layer_of_mother[-1 - s] = layer
                else:
                    layer_of_daughter[s] = layer
            base = layer_start[first]
            end_node = layer_start[last] - base
            ahead[: end_node + 1] = 0.0
            ahead[0] = 1.0
            for v in range(end_node):
                for a in range(arc_start[base + v], arc_start[base + v + 1]):
                    ahead[arc_to[a] - base] += ahead[v] * weight[arc_factor[a]]
            behind[end_node] = 1.0
            for v in range(end_node - 1, -1, -1):
                rest = 0.0
                for a in range(arc_start[base + v], arc_start[base + v + 1]):
                    rest += weight[arc_factor[a]] * behind[arc_to[a] - base]
                behind[v] = rest
        at = layer_of_daughter[j]
        # the layers within which the mothers of this daughter's pairs retire
        lowest, highest = at, at
        end = pair
        while end < daughter.size and daughter[end] == j:
            lowest = min(lowest, layer_of_mother[mother[end]])
            highest = max(highest, layer_of_mother[mother[end]])
            end += 1
        # j's own layer: only null, of weight 1
        changed[layer_start[at] - base : layer_start[min(highest, last - 1) + 2] - base] = 0.0
        z = 0.0
        for v in range(layer_start[at] - base, layer_start[at + 1] - base):
            for a in range(arc_start[base + v], arc_start[base + v + 1]):
                if arc_factor[a] == null_factor + j:
                    z += ahead[v] * behind[arc_to[a] - base]
                    changed[arc_to[a] - base] += ahead[v]
                    changed[v] = behind[arc_to[a] - base]
        for layer in range(at + 1, highest + 1):
            s = step[step_start[c] + layer - first]
            more = 0.0
            for v in range(layer_start[layer] - base, layer_start[layer + 1] - base):
                for a in range(arc_start[base + v], arc_start[base + v + 1]):
                    factor = arc_factor[a]
                    changed[arc_to[a] - base] += changed[v] * weight[factor]
                    if s < 0 and (factor - load_factor) % 3 < 2:
                        more += changed[v] * weight[factor + 1] * behind[arc_to[a] - base]
            if s < 0:
                room[-1 - s] = more / z
        for layer in range(at - 1, lowest - 1, -1):
            s = step[step_start[c] + layer - first]
            more = 0.0
            for v in range(layer_start[layer] - base, layer_start[layer + 1] - base):
                here = 0.0
                for a in range(arc_start[base + v], arc_start[base + v + 1]):
                    factor = arc_factor[a]
                    here += weight[factor] * changed[arc_to[a] - base]
                    if s < 0 and (factor - load_factor) % 3 < 2:
                        more += ahead[v] * weight[factor + 1] * changed[arc_to[a] - base]
                changed[v] = here
            if s < 0:
                room[-1 - s] = more / z
        while pair < end:
            ratio[pair] = room[mother[pair]]
            total[pair] = z
            pair += 1
    return ratio, total
