"""Draws from the posterior over assignments: exact where all assignments can be summed over."""

import numpy as np

from torchtrack_uq.assignment.drawn_parents import DrawnParents
from torchtrack_uq.assignment.dropping import BYTES_PER_ARC
from torchtrack_uq.assignment.elimination import exact_marginals, too_large_error
from torchtrack_uq.assignment.gap_model import gap_model
from torchtrack_uq.assignment.k_best import MEMORY_LIMIT
from torchtrack_uq.assignment.kernels.draws import draw_links
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import LARGEST_LOG, build_kept_graph, gauge_of
from torchtrack_uq.assignment.types import IntArray, NonConvexDivisionError


def sample(
    problem: AssignmentProblem,
    n: int,
    temperature: float = 1.0,
    seed: int = 0,
    tolerance: float = 1e-3,
    memory_limit: int = MEMORY_LIMIT,
) -> IntArray:
    """Draw assignments independently from p(A) = exp(L(A) / T) / Z.

    Along the elimination graph, each choice by the sum over all that can follow it. Where links had to be dropped,
    those are never drawn: the probability of any event of one component differs by at most `tolerance`.

    Args:
        problem: the frame pair.
        n: number of draws, at least 1.
        temperature: T > 0.
        seed: the same seed gives the same draws.
        tolerance: as for `marginals(method="exact")`; 0 drops nothing.
        memory_limit: bytes that frontier graphs may take.

    Returns:
        (n, N) int64, mother of each daughter, -1 for none.

    Raises:
        ValueError: n below 1, a temperature that is not positive.
        EliminationTooLargeError: too ambiguous to be summed over.
        InfeasibleProblemError: no assignment is feasible.

    Example:
        >>> problem = AssignmentProblem.build([0], [0], [np.log(9.0)], 1, 1)  # linked with probability 0.9
        >>> float((sample(problem, 10_000) == 0).mean().round(1))
        0.9
    """
    if n < 1:
        raise ValueError(f"the number of draws must be at least 1, got {n}.")
    if not (temperature > 0.0 and np.isfinite(temperature)):
        raise ValueError(f"temperature must be positive and finite, got {temperature}.")
    found = exact_marginals(problem, temperature, tolerance, memory_limit)
    assert found.kept is not None
    model = gap_model(problem, allow_non_convex=True)
    if float(model.load.min(initial=0.0)) < -LARGEST_LOG * temperature:
        raise NonConvexDivisionError(
            f"disappear + divide exceeds {LARGEST_LOG:g} temperatures at some mother, which draws cannot hold; lower "
            "her divide score."
        )
    gauge, links = gauge_of(problem, model, temperature), problem.links
    kept = build_kept_graph(problem, found.kept[links.link], gauge, memory_limit // BYTES_PER_ARC)
    if not kept.graph.complete.all():
        raise too_large_error(kept, memory_limit, "draws take the same links")
    graph = kept.graph
    rank = DrawnParents.ranks(links)
    drawn = np.zeros((n, problem.n_daughters), rank.dtype)
    draw_links(
        graph.arc_start, graph.arc_to, graph.arc_factor, graph.layer_start, graph.first_layer,
        gauge.factors, links.daughter, rank, drawn,
        np.random.default_rng(seed),
    )  # fmt: skip
    return DrawnParents(drawn, links).rows(0, n)
