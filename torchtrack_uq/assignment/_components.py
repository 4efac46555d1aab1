"""Connected components of the kept links, each with an order in which to eliminate its cells.

A *step* treats one daughter (all its options) or retires one mother (pays f of its number of daughters). A
mother is
*in the frontier* from the first of its daughters that is treated until it retires; the frontier's loads
are all that
the remaining steps need to know. The order is greedy: next comes the daughter that enlarges the frontier
least.
"""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment._compile import kernel
from torchtrack_uq.assignment._types import BoolArray, IntArray


class EliminationPlan(NamedTuple):
    """Steps of all components, one component after the other.

    Attributes:
        step: (S,) int64, daughter j as j, retiring mother i as -1 - i.
        step_start: (C + 1,) int64, steps of component c.
        position: (M,) int64, place of a mother in its component's frontier, or -1 outside all components.
        width: (C,) int64, largest number of mothers in the frontier at once.
        daughter_component: (N,) int64, or -1.
        mother_component: (M,) int64, or -1.
    """

    step: IntArray
    step_start: IntArray
    position: IntArray
    width: IntArray
    daughter_component: IntArray
    mother_component: IntArray


@kernel
def plan_elimination(
    start: IntArray,
    mother: IntArray,
    daughter: IntArray,
    mother_start: IntArray,
    by_mother: IntArray,
    keep: BoolArray,
    is_open: BoolArray,
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray, IntArray]:
    """Components of the kept links of the open daughters, ordered; the fields of `EliminationPlan`."""
    n_daughters = start.size - 1
    n_mothers = mother_start.size - 1
    daughter_component = np.full(n_daughters, -1, np.int64)
    mother_component = np.full(n_mothers, -1, np.int64)
    position = np.full(n_mothers, -1, np.int64)
    left = np.zeros(n_mothers, np.int64)  # open daughters not treated yet
    for j in range(n_daughters):
        if is_open[j]:
            for e in range(start[j], start[j + 1]):
                if keep[e]:
                    left[mother[e]] += 1
    step = np.empty(n_daughters + n_mothers, np.int64)
    step_start = np.zeros(n_daughters + 1, np.int64)
    width = np.zeros(n_daughters, np.int64)
    members = np.empty(n_daughters, np.int64)
    near = np.empty(n_daughters, np.int64)  # untreated daughters next to the frontier
    state = np.zeros(n_daughters, np.int8)  # 0 far, 1 near, 2 treated
    in_frontier = np.zeros(n_mothers, np.bool_)
    free_places = np.empty(n_mothers, np.int64)
    n_steps = 0
    n_components = 0
    for seed in range(n_daughters):
        if not is_open[seed] or daughter_component[seed] >= 0:
            continue
        c = n_components
        n_components += 1
        members[0] = seed
        daughter_component[seed] = c
        n_members = 1
        done = 0
        while done < n_members:
            j = members[done]
            done += 1
            for e in range(start[j], start[j + 1]):
                i = mother[e]
                if not keep[e] or mother_component[i] >= 0:
                    continue
                mother_component[i] = c
                for place in range(mother_start[i], mother_start[i + 1]):
                    other = daughter[by_mother[place]]
                    if keep[by_mother[place]] and is_open[other] and daughter_component[other] < 0:
                        daughter_component[other] = c
                        members[n_members] = other
                        n_members += 1
        n_near = 1
        near[0] = members[n_members - 1]  # the daughter farthest from the seed: an end of the component
        state[near[0]] = 1
        n_free = 0
        n_frontier = 0
        n_places = 0
        while n_near > 0:
            best = 0
            best_growth = 1 << 30
            for s in range(n_near):
                j = near[s]
                growth = 0
                for e in range(start[j], start[j + 1]):
                    if keep[e]:
                        growth += 0 if in_frontier[mother[e]] else 1
                        growth -= 1 if left[mother[e]] == 1 else 0
                if growth < best_growth or (growth == best_growth and j < near[best]):
                    best = s
                    best_growth = growth
            j = near[best]
            n_near -= 1
            near[best] = near[n_near]
            state[j] = 2
            step[n_steps] = j
            n_steps += 1
            for e in range(start[j], start[j + 1]):
                i = mother[e]
                if not keep[e]:
                    continue
                left[i] -= 1
                if in_frontier[i]:
                    continue
                in_frontier[i] = True
                n_frontier += 1
                if n_free > 0:
                    n_free -= 1
                    position[i] = free_places[n_free]
                else:
                    position[i] = n_places
                    n_places += 1
                for place in range(mother_start[i], mother_start[i + 1]):
                    other = daughter[by_mother[place]]
                    if keep[by_mother[place]] and is_open[other] and state[other] == 0:
                        state[other] = 1
                        near[n_near] = other
                        n_near += 1
            width[c] = max(width[c], n_frontier)
            for e in range(start[j], start[j + 1]):
                i = mother[e]
                if keep[e] and left[i] == 0:
                    step[n_steps] = -1 - i
                    n_steps += 1
                    n_frontier -= 1
                    free_places[n_free] = position[i]
                    n_free += 1
        step_start[c + 1] = n_steps
    return (
        step[:n_steps].copy(),
        step_start[: n_components + 1].copy(),
        position,
        width[:n_components].copy(),
        daughter_component,
        mother_component,
    )
