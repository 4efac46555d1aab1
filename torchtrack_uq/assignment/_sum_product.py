"""Sums over all paths of frontier graphs: the partition function and the mass of every factor.

Every layer is scaled to sum 1 and the logarithms of the scales are added up, so nothing over- or underflows.
"""

import numpy as np

from torchtrack_uq.assignment._compile import kernel
from torchtrack_uq.assignment._types import FloatArray, IntArray


@kernel
def path_sums(
    arc_start: IntArray,
    arc_to: IntArray,
    arc_factor: IntArray,
    layer_start: IntArray,
    first_layer: IntArray,
    weight: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Forward and backward sums (a chain's forward-backward algorithm, layer by layer).

    Args:
        arc_start: (V + 1,) arcs of each node; this and the next four are the fields of `FrontierGraph`.
        arc_to: (A,) target of each arc.
        arc_factor: (A,) factor of each arc.
        layer_start: nodes of each layer.
        first_layer: layers of each component.
        weight: weight of every factor, at least 0.

    Returns:
        mass: like weight; the sum over all paths through a factor of the product of their *other* factors,
        divided
            by Z of the component. A factor's probability is mass * weight.
        log_z: (C,) float64, log of the sum over all paths of each component.
    """
    n_nodes = arc_start.size - 1
    n_components = first_layer.size - 1
    mass = np.zeros(weight.size)
    log_z = np.zeros(n_components)
    ahead = np.zeros(n_nodes)
    behind = np.zeros(n_nodes)
    for c in range(n_components):
        first = first_layer[c]
        last = first_layer[c + 1] - 1
        if layer_start[last + 1] == layer_start[first]:
            continue
        ahead[layer_start[first]] = 1.0
        for layer in range(first, last):
            total = 0.0
            for v in range(layer_start[layer], layer_start[layer + 1]):
                for a in range(arc_start[v], arc_start[v + 1]):
                    step = ahead[v] * weight[arc_factor[a]]
                    ahead[arc_to[a]] += step
                    total += step
            log_z[c] += np.log(total)
            for v in range(layer_start[layer + 1], layer_start[layer + 2]):
                ahead[v] /= total
        behind[layer_start[last]] = 1.0
        for layer in range(last - 1, first - 1, -1):
            through = 0.0
            highest = 0.0
            for v in range(layer_start[layer], layer_start[layer + 1]):
                total = 0.0
                for a in range(arc_start[v], arc_start[v + 1]):
                    total += weight[arc_factor[a]] * behind[arc_to[a]]
                behind[v] = total
                through += ahead[v] * total
                highest = max(highest, total)
            for v in range(layer_start[layer], layer_start[layer + 1]):
                for a in range(arc_start[v], arc_start[v + 1]):
                    mass[arc_factor[a]] += ahead[v] * behind[arc_to[a]] / through
                behind[v] /= highest
    return mass, log_z
