"""Assignments drawn from frontier graphs: forward along the arcs, each by the weight of all that follows it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.assignment.kernels.sum_product import largest_component
from torchtrack_uq.assignment.types import FloatArray, IntArray, SmallIntArray
from torchtrack_uq.utils.kernel import kernel


@kernel
def draw_links(
    arc_start: SmallIntArray,
    arc_to: SmallIntArray,
    arc_factor: SmallIntArray,
    layer_start: IntArray,
    first_layer: IntArray,
    weight: FloatArray,
    daughter: IntArray,
    rank: NDArray[np.unsignedinteger[Any]],
    drawn: NDArray[np.unsignedinteger[Any]],
    generator: np.random.Generator,
) -> None:
    """Independent draws of whole assignments, with the probabilities that the weights give them.

    Args:
        arc_start: this and the next four are the fields of `FrontierGraph`.
        arc_to: (A,).
        arc_factor: (A,).
        layer_start: nodes of each layer.
        first_layer: layers of each component.
        weight: weight of every factor, at least 0.
        daughter: (F,) daughter of each link.
        rank: (F,) its rank among the links of its daughter, from 1.
        drawn: (R, N) of the same type, zeros; the rank of each daughter's link in each draw is written there, and 0
            stays for no mother, and for daughters outside all components.
        generator: of the random numbers.
    """
    most_nodes, _ = largest_component(layer_start, first_layer)
    behind, summed = np.empty(most_nodes), np.empty(most_nodes)
    for c in range(first_layer.size - 1):
        first, last = first_layer[c], first_layer[c + 1] - 1
        base = layer_start[first]
        n_nodes = layer_start[last + 1] - base
        if n_nodes == 0:
            continue
        behind[n_nodes - 1] = 1.0
        for layer in range(last - 1, first - 1, -1):
            highest = 0.0
            for v in range(layer_start[layer] - base, layer_start[layer + 1] - base):
                total = 0.0
                for a in range(arc_start[base + v], arc_start[base + v + 1]):
                    total += weight[arc_factor[a]] * behind[arc_to[a] - base]
                summed[v] = total
                highest = max(highest, total)
            for v in range(layer_start[layer] - base, layer_start[layer + 1] - base):
                behind[v] = summed[v] / highest  # only ratios within a layer matter
        for r in range(len(drawn)):
            v = 0
            while v < n_nodes - 1:
                left = generator.random() * summed[v]
                taken = -1
                for a in range(arc_start[base + v], arc_start[base + v + 1]):
                    share = weight[arc_factor[a]] * behind[arc_to[a] - base]
                    if share > 0.0:
                        taken = a
                        left -= share
                        if left < 0.0:
                            break
                factor = arc_factor[taken]
                if factor < daughter.size:
                    drawn[r, daughter[factor]] = rank[factor]
                v = arc_to[taken] - base
