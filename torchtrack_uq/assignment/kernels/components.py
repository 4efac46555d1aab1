"""Connected components of the kept links, each with an order in which to eliminate its cells.

A *step* treats one daughter (all its options) or retires one mother (pays f of its number of daughters). A
mother is *in the frontier* from the first of its daughters that is treated until it retires; the frontier's
loads are all that the remaining steps need to know.
"""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.kernels.orders import order_component
from torchtrack_uq.assignment.types import BoolArray, IntArray
from torchtrack_uq.utils.kernel import kernel


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
def label_components(
    start: IntArray, mother: IntArray, keep: BoolArray, is_open: BoolArray, n_mothers: int
) -> tuple[IntArray, IntArray, int]:
    """Components of the open daughters (N,) and of their mothers (M,), -1 elsewhere, and their number.

    They are numbered in the order of their first daughters.
    """
    n_daughters = start.size - 1
    root = np.arange(n_daughters + n_mothers)
    seen = np.zeros(n_mothers, np.bool_)
    for j in range(n_daughters):
        if not is_open[j]:
            continue
        for e in range(start[j], start[j + 1]):
            if not keep[e]:
                continue
            i = mother[e]
            if not seen[i]:
                seen[i] = True
                root[n_daughters + i] = root[j]
                continue
            a, b = j, n_daughters + i
            while root[a] != a:
                root[a] = root[root[a]]
                a = root[a]
            while root[b] != b:
                root[b] = root[root[b]]
                b = root[b]
            root[max(a, b)] = min(a, b)
    n_components = 0
    daughter_component = np.full(n_daughters, -1, np.int64)
    mother_component = np.full(n_mothers, -1, np.int64)
    for j in range(n_daughters):
        if is_open[j]:
            a = root[j]  # smaller than j, so labelled before, unless it is j
            if a == j:
                daughter_component[j] = n_components
                n_components += 1
            else:
                daughter_component[j] = daughter_component[a]
    for i in range(n_mothers):
        if seen[i]:
            a = root[n_daughters + i]
            while root[a] != a:
                a = root[a]
            mother_component[i] = daughter_component[a]
    return daughter_component, mother_component, n_components


@kernel
def place_in_frontier(
    steps: IntArray, daughter_start: IntArray, mother_of: IntArray, position: IntArray, free: IntArray
) -> int:
    """Give every mother of a component a place in the frontier while it is there; returns the width."""
    n_free = 0
    n_places = 0
    for s in steps:
        if s < 0:
            free[n_free] = position[-1 - s]
            n_free += 1
            continue
        for q in range(daughter_start[s], daughter_start[s + 1]):
            i = mother_of[q]
            if position[i] >= 0:
                continue
            if n_free > 0:
                n_free -= 1
                position[i] = free[n_free]
            else:
                position[i] = n_places
                n_places += 1
    return n_places


@kernel
def plan_elimination(
    start: IntArray,
    mother: IntArray,
    n_mothers: int,
    keep: BoolArray,
    is_open: BoolArray,
    most_arcs: float,
    hopeless: float,
    hopeless_per_step: float,
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray, IntArray]:
    """Components of the kept links of the open daughters, ordered; the fields of `EliminationPlan`.

    No steps at all where more than `most_arcs` arcs are expected. A component of which more than `hopeless` arcs are
    expected, and `hopeless_per_step` for each of its steps, gets the first order that was tried.
    """
    n_daughters = start.size - 1
    daughter_component, mother_component, n_components = label_components(
        start, mother, keep, is_open, n_mothers
    )
    # the kept links only, by daughter and by mother
    daughter_start = np.zeros(n_daughters + 1, np.int64)
    mother_start = np.zeros(n_mothers + 1, np.int64)
    mother_of = np.empty(mother.size, np.int64)
    n_kept = 0
    for j in range(n_daughters):
        if is_open[j]:
            for e in range(start[j], start[j + 1]):
                if keep[e]:
                    mother_of[n_kept] = mother[e]
                    mother_start[mother[e] + 1] += 1
                    n_kept += 1
        daughter_start[j + 1] = n_kept
    for i in range(n_mothers):
        mother_start[i + 1] += mother_start[i]
    daughter_of = np.empty(n_kept, np.int64)
    fill = mother_start[:-1].copy()
    member_start = np.zeros(n_components + 1, np.int64)
    for j in range(n_daughters):
        for q in range(daughter_start[j], daughter_start[j + 1]):
            daughter_of[fill[mother_of[q]]] = j
            fill[mother_of[q]] += 1
        if daughter_component[j] >= 0:
            member_start[daughter_component[j] + 1] += 1
    step_start = np.zeros(n_components + 1, np.int64)
    for i in range(n_mothers):
        if mother_component[i] >= 0:
            step_start[mother_component[i] + 1] += 1
    for c in range(n_components):
        step_start[c + 1] += step_start[c] + member_start[c + 1]
        member_start[c + 1] += member_start[c]
    member = np.empty(member_start[n_components], np.int64)
    place = member_start[:-1].copy()
    for j in range(n_daughters):
        c = daughter_component[j]
        if c >= 0:
            member[place[c]] = j
            place[c] += 1

    rank = np.zeros(n_daughters, np.int64)
    for k in range(member.size):
        rank[member[k]] = k
    step = np.empty(step_start[n_components], np.int64)
    trial = np.empty(n_daughters + n_mothers, np.int64)
    near = np.empty(n_daughters, np.int64)
    treated = np.zeros(n_mothers, np.int64)
    state = np.zeros(n_daughters, np.int64)
    position = np.full(n_mothers, -1, np.int64)
    width = np.zeros(n_components, np.int64)
    expected = 0.0
    for c in range(n_components):
        steps = step[step_start[c] : step_start[c + 1]]
        fewest = order_component(
            member[member_start[c] : member_start[c + 1]], daughter_start, mother_of, mother_start, daughter_of,
            treated, state, near, steps, trial, rank, most_arcs - expected,
            hopeless + hopeless_per_step * steps.size,
        )  # fmt: skip
        expected += fewest
        if expected > most_arcs:
            return step[:0], step_start, position, width, daughter_component, mother_component
        width[c] = place_in_frontier(steps, daughter_start, mother_of, position, trial)
    return step, step_start, position, width, daughter_component, mother_component
