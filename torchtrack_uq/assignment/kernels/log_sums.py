"""Sums over all paths of frontier graphs in logarithms: slower, for weights that floating point cannot hold."""

import numpy as np

from torchtrack_uq.assignment.kernels.sum_product import largest_component
from torchtrack_uq.assignment.types import FloatArray, IntArray, SmallIntArray
from torchtrack_uq.utils.kernel import kernel


@kernel
def log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b)); -inf stands for 0."""
    if a < b:
        a, b = b, a
    if b == -np.inf:
        return a
    return a + float(np.log1p(np.exp(b - a)))


@kernel
def log_path_sums(
    arc_start: SmallIntArray,
    arc_to: SmallIntArray,
    arc_factor: SmallIntArray,
    layer_start: IntArray,
    first_layer: IntArray,
    log_weight: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """What `path_sums` computes, from logarithms of the weights.

    Returns:
        probability: like log_weight, of every factor.
        log_z: (C,) float64, log of the sum over all paths of each component; -inf where there is none.
    """
    n_components = first_layer.size - 1
    probability = np.zeros(log_weight.size)
    log_z = np.zeros(n_components)
    most_nodes, _ = largest_component(layer_start, first_layer)
    ahead = np.empty(most_nodes)
    behind = np.empty(most_nodes)
    for c in range(n_components):
        base = layer_start[first_layer[c]]
        n_nodes = layer_start[first_layer[c + 1]] - base
        if n_nodes == 0:
            continue
        ahead[:n_nodes] = -np.inf
        ahead[0] = 0.0
        for v in range(n_nodes):
            for a in range(arc_start[base + v], arc_start[base + v + 1]):
                to = arc_to[a] - base
                ahead[to] = log_add(ahead[to], ahead[v] + log_weight[arc_factor[a]])
        log_z[c] = ahead[n_nodes - 1]
        behind[n_nodes - 1] = 0.0
        for v in range(n_nodes - 2, -1, -1):
            behind[v] = -np.inf
            for a in range(arc_start[base + v], arc_start[base + v + 1]):
                rest = log_weight[arc_factor[a]] + behind[arc_to[a] - base]
                behind[v] = log_add(behind[v], rest)
                probability[arc_factor[a]] += np.exp(ahead[v] + rest - log_z[c])
    return probability, log_z
