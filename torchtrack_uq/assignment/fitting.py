"""How much to drop so that every component fits: more and more from those that do not."""

import numpy as np

from torchtrack_uq.assignment.dropping import (
    BYTES_PER_ARC,
    PROVABLE,
    WANTED,
    Elimination,
    FloorOf,
    drop,
    drop_and_sum,
)
from torchtrack_uq.assignment.elimination import too_large_error
from torchtrack_uq.assignment.part import part_of
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import Gauge, KeptGraph, Share
from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray

LOOSER = 1.6  # factor by which more is dropped from a component that does not fit, to a power
FITTING, WIDER = 14.0, 4.0  # mothers side by side that nearly fit, and how many more raise that power by 1
MOST_AT_ONCE = 6.0  # power
LESS = 0.8  # factor by which the size shrinks, from attempt to attempt, beyond which components do not fit


def drop_until_it_fits(
    problem: AssignmentProblem,
    gauge: Gauge,
    chosen: IntArray,
    wanted: FloatArray,
    tolerance: float,
    limit: int,
    share: Share | None = None,
    floor_of: FloorOf | None = None,
) -> tuple[Elimination, BoolArray]:
    """Drop links until all components fit into `limit` bytes, each into its `share`.

    With a share, components that fit are not looked at again before the others fit as well: these only lose links.
    `floor_of` is as for `drop_and_sum`.

    Returns:
        What was summed, and (F,) bool, links with no end in a component that did not fit.
    """
    level = np.full(wanted.size, tolerance)
    apart = np.ones(wanted.size, dtype=bool)
    most = limit / BYTES_PER_ARC / 4
    while True:
        result = drop_and_sum(problem, gauge, chosen, wanted, tolerance, limit, level, share, floor_of)
        if isinstance(result, Elimination):
            return result, apart
        link = np.arange(wanted.size)
        here, weights, choice = problem, gauge, chosen
        while True:
            at, own = level[link], wanted[link]
            touched, most = _raise_levels(here, result, choice, own, at, most, limit)
            level[link] = at
            apart[link[touched]] = False
            if share is None:
                break
            part = part_of(here, touched)
            here, weights, choice, link = (
                part.problem,
                part.gauge(weights),
                part.chosen(choice),
                link[part.link],
            )
            result = drop(here, weights, choice, wanted[link], tolerance, limit, level[link], share)
            if result.graph.complete.all():
                break


def _raise_levels(
    problem: AssignmentProblem,
    result: KeptGraph,
    chosen: IntArray,
    wanted: FloatArray,
    level: FloatArray,
    most: float,
    limit: int,
) -> tuple[BoolArray, float]:
    """Raise the level (F,), in place, of links with an end in a component that is too large.

    Returns:
        (F,) bool, these links, and how many arcs a component may have at the next attempt.
    """
    links, plan, graph = problem.links, result.plan, result.graph
    of_mother, of_daughter = plan.mother_component[links.mother], plan.daughter_component[links.daughter]
    arcs = np.diff(graph.arc_start[graph.layer_start[graph.first_layer]])
    can_shrink = result.keep & (wanted < np.inf) & ((wanted > WANTED * level) | (level <= PROVABLE))
    can_shrink[chosen[chosen >= 0]] = False
    while True:
        # components share the limit: those that take much of it must shrink too
        too_large = np.append(~graph.complete | (arcs > most), False)  # the last for cells outside all, at -1
        touched = too_large[of_mother] | too_large[of_daughter]
        droppable = np.flatnonzero(touched & can_shrink)
        if droppable.size > 0:
            break
        if most < 1.0:
            why = "even its likeliest links alone do not fit"
            raise too_large_error(result, limit, why, "raise the limit, or use method bp", "method auto")
        most *= LESS
    wide = np.append(plan.width, 0)
    faster = LOOSER ** np.clip((wide - FITTING) / WIDER, 1.0, MOST_AT_ONCE)
    at = np.where(too_large[of_mother], of_mother, of_daughter)
    level[touched] = faster[at[touched]] * np.maximum(level[touched], 1e-3)
    # where only links that are wanted much more are left, some of them must go
    least = np.full(too_large.size, np.inf)
    np.minimum.at(least, of_daughter[droppable], wanted[droppable] / WANTED)
    least[np.isinf(least)] = 0.0
    level[touched] = np.maximum(level[touched], least[of_daughter[touched]])
    return touched, most * LESS
