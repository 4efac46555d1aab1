"""Derivatives of the sums over all paths of frontier graphs along a direction of their logarithmic weights.

The same two passes as `sum_product.path_sums`, each carrying a tangent (forward-mode differentiation). Scales are
constants: they are the same for a sum and its tangent.
"""

import numpy as np

from torchtrack_uq.assignment.kernels.sum_product import largest_component
from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray, SmallIntArray
from torchtrack_uq.utils.kernel import kernel


@kernel
def mass_tangents(
    arc_start: SmallIntArray,
    arc_to: SmallIntArray,
    arc_factor: SmallIntArray,
    layer_start: IntArray,
    first_layer: IntArray,
    weight: FloatArray,
    direction: FloatArray,
    wanted: BoolArray,
    begin: int,
    end: int,
    mass: FloatArray,
    mass_tangent: FloatArray,
    change_of: FloatArray,
    log_z_tangent: FloatArray,
) -> None:
    """Sum through every factor, its derivative and that of log Z along `direction`, in the wanted components.

    Args:
        arc_start: this and the next four are the fields of `FrontierGraph`.
        arc_to: (A,).
        arc_factor: (A,).
        layer_start: nodes of each layer.
        first_layer: layers of each component.
        weight: weight of every factor, at least 0.
        direction: like weight; change of the logarithm of each weight.
        wanted: (C,) components to look at; what the arrays to fill hold of others is left as it is.
        begin: first component of the range to look at; threads with ranges of their own may fill the same arrays.
        end: the one after its last.
        mass: like weight; as of `path_sums`, a factor's probability over its weight.
        mass_tangent: like weight; its derivative, for the time of the call.
        change_of: like weight; derivative of the probability over the weight, which for a factor that keeps its weight
            is that of `mass`.
        log_z_tangent: (C,) derivative of each log Z.
    """
    most_nodes, most_layers = largest_component(layer_start, first_layer)
    ahead, ahead_tangent = np.empty(most_nodes), np.empty(most_nodes)
    behind, behind_tangent = np.empty(most_nodes), np.empty(most_nodes)
    scale = np.empty(most_layers)
    for c in range(begin, end):
        first = first_layer[c]
        last = first_layer[c + 1] - 1
        base = layer_start[first]
        n_nodes = layer_start[last + 1] - base
        if n_nodes == 0 or not wanted[c]:
            continue
        for a in range(arc_start[base], arc_start[base + n_nodes]):
            mass[arc_factor[a]] = 0.0
            mass_tangent[arc_factor[a]] = 0.0
        ahead[:n_nodes] = 0.0
        ahead_tangent[:n_nodes] = 0.0
        ahead[0] = 1.0
        for layer in range(first, last + 1):
            total = 0.0
            for v in range(layer_start[layer] - base, layer_start[layer + 1] - base):
                total += ahead[v]
            scale[layer - first] = total
            share = 1.0 / total
            for v in range(layer_start[layer] - base, layer_start[layer + 1] - base):
                here = ahead[v] * share
                change = ahead_tangent[v] * share
                ahead[v] = here
                ahead_tangent[v] = change
                for a in range(arc_start[base + v], arc_start[base + v + 1]):
                    factor = arc_factor[a]
                    to = arc_to[a] - base
                    ahead[to] += here * weight[factor]
                    ahead_tangent[to] += (change + here * direction[factor]) * weight[factor]
        log_z_tangent[c] = ahead_tangent[n_nodes - 1]
        behind[n_nodes - 1] = 1.0
        behind_tangent[n_nodes - 1] = 0.0
        through = 1.0
        for layer in range(last - 1, first - 1, -1):
            through *= scale[layer + 1 - first]
            share = 1.0 / through
            highest = 0.0
            for v in range(layer_start[layer] - base, layer_start[layer + 1] - base):
                total, total_tangent = 0.0, 0.0
                here, change = ahead[v] * share, ahead_tangent[v] * share
                for a in range(arc_start[base + v], arc_start[base + v + 1]):
                    factor = arc_factor[a]
                    rest, rest_tangent = behind[arc_to[a] - base], behind_tangent[arc_to[a] - base]
                    total += weight[factor] * rest
                    total_tangent += weight[factor] * (rest * direction[factor] + rest_tangent)
                    mass[factor] += here * rest
                    mass_tangent[factor] += change * rest + here * rest_tangent
                behind[v] = total
                behind_tangent[v] = total_tangent
                highest = max(highest, total)
            if not 1e-50 < highest < 1e50:
                for v in range(layer_start[layer] - base, layer_start[layer + 1] - base):
                    behind[v] /= highest
                    behind_tangent[v] /= highest
                through /= highest
        # a component's factors are its own: what they lose through its Z
        for a in range(arc_start[base], arc_start[base + n_nodes]):
            factor = arc_factor[a]
            change_of[factor] = mass_tangent[factor] + mass[factor] * (direction[factor] - log_z_tangent[c])
