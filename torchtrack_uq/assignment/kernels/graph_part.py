"""The frontier graphs of some components, numbered anew."""

import numpy as np

from torchtrack_uq.assignment.types import IntArray, SmallIntArray
from torchtrack_uq.utils.kernel import kernel


@kernel
def graphs_of(
    arc_start: SmallIntArray,
    arc_to: SmallIntArray,
    arc_factor: SmallIntArray,
    layer_start: IntArray,
    first_layer: IntArray,
    component: IntArray,
    place: SmallIntArray,
) -> tuple[SmallIntArray, SmallIntArray, SmallIntArray, IntArray, IntArray]:
    """Copy the graphs of some components.

    Args:
        arc_start: (V + 1,) arcs of each node; this and the next four are the fields of `FrontierGraph`.
        arc_to: (A,) target of each arc.
        arc_factor: (A,) factor of each arc.
        layer_start: nodes of each layer.
        first_layer: layers of each component.
        component: components to copy.
        place: number in the copy of every factor that they have.

    Returns:
        The same fields, of these components alone.
    """
    n_nodes = 0
    n_arcs = 0
    n_layers = 0
    for c in component:
        node, end = layer_start[first_layer[c]], layer_start[first_layer[c + 1]]
        n_nodes += end - node
        n_arcs += arc_start[end] - arc_start[node]
        n_layers += first_layer[c + 1] - first_layer[c]
    starts = np.empty(n_nodes + 1, np.int32)
    to = np.empty(n_arcs, np.int32)
    factor = np.empty(n_arcs, np.int32)
    layers = np.empty(n_layers + 1, np.int64)
    firsts = np.empty(component.size + 1, np.int64)
    n_nodes = 0
    n_arcs = 0
    n_layers = 0
    for k in range(component.size):
        c = component[k]
        firsts[k] = n_layers
        node, end = layer_start[first_layer[c]], layer_start[first_layer[c + 1]]
        arc = arc_start[node]
        for layer in range(first_layer[c], first_layer[c + 1]):
            layers[n_layers] = layer_start[layer] - node + n_nodes
            n_layers += 1
        for a in range(arc, arc_start[end]):
            to[n_arcs + a - arc] = arc_to[a] - node + n_nodes
            factor[n_arcs + a - arc] = place[arc_factor[a]]
        for v in range(node, end):
            starts[n_nodes + v - node] = arc_start[v] - arc + n_arcs
        n_nodes += end - node
        n_arcs += arc_start[end] - arc
    firsts[component.size] = n_layers
    layers[n_layers] = n_nodes
    starts[n_nodes] = n_arcs
    return starts, to, factor, layers, firsts
