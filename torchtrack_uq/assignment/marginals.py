"""`marginals`: posterior probabilities of links and events, by the method of choice."""

import numpy as np

from torchtrack_uq.assignment.automatic import auto_marginals
from torchtrack_uq.assignment.belief import propagate
from torchtrack_uq.assignment.certificate import Marginal
from torchtrack_uq.assignment.elimination import exact_marginals, to_problem_order
from torchtrack_uq.assignment.gap_model import gap_model
from torchtrack_uq.assignment.k_best import MEMORY_LIMIT
from torchtrack_uq.assignment.listing import component_k_best_marginals, k_best_marginals
from torchtrack_uq.assignment.marginal_result import Marginals
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import LARGEST_LOG, gauge_of
from torchtrack_uq.assignment.types import NonConvexDivisionError

METHODS = ("auto", "exact", "k_best", "component_k_best", "bp")
DEFAULT_K = 100
BP_SWEEPS = 1000
BP_DAMPING = 0.3
BP_TOLERANCE = 1e-10


def marginals(
    problem: AssignmentProblem,
    temperature: float = 1.0,
    method: str = "auto",
    k: int | None = None,
    tolerance: float = 1e-3,
    memory_limit: int | None = None,
    *,
    many_frames: bool = False,
) -> Marginals:
    r"""Posterior probabilities of all links, appearances, disappearances and divisions.

    Under p(A) = exp(L(A) / T) / Z over all feasible assignments A of the frame pair (uniform prior).

    Args:
        problem: the frame pair.
        temperature: T > 0; divides all scores, those of events included.
        method: "exact" sums each component of the candidate graph by elimination, after dropping links
            whose total effect on any probability is proved to be at most `tolerance` (0: nothing is
            dropped); it raises if that does not fit into memory. "auto" is exact wherever
            "exact" is; in the components that do not fit it drops more links, with belief propagation over
            these ("cluster_bp": an estimate, no proved bound). "k_best" lists the k best assignments of the
            whole frame (the paper's AS), "component_k_best" those of each component. "bp" is loopy belief
            propagation.
        k: length of the lists of "k_best" and "component_k_best"; default 100.
        tolerance: largest error that counts as exact, and that dropping links may cause.
        memory_limit: bytes that frontier graphs may take; by default 512 MiB, and for "auto" what takes milliseconds: a
            few thousand arcs, and some for each daughter.
        many_frames: whether the problem is a movie, whose components run along time: "auto" then gives each its own
            share of the work.

    Returns:
        Marginals: `.link` (E,), `.null` (N,), `.disappear` (M,), `.divide` (M,) probabilities, `.log_z`,
        and the certificate `.covered_mass`, `.error_bound`, `.exact`.

    Raises:
        ValueError: temperature <= 0, k < 1, a negative tolerance, or an unknown method.
        EliminationTooLargeError: "exact" beyond the memory limit; names the component's size and frontier.
        NonConvexDivisionError: every method but "exact" and "bp" if a mother's second daughter is cheaper
            than its first; "bp" if it is so by more than 200 temperatures.
        InfeasibleProblemError: -inf event scores leave no feasible assignment.

    Example:
        >>> import numpy as np
        >>> problem = AssignmentProblem.build([0, 0], [0, 1], np.log([2.0, 3.0]), 1, 2)
        >>> result = marginals(problem)  # 1 + 2 + 3 + 2 * 3 = 12 is Z
        >>> result.link, result.divide, result.exact
        (array([0.66666667, 0.75      ]), array([0.5]), True)
    """
    if not (temperature > 0.0 and np.isfinite(temperature)):
        raise ValueError(f"temperature must be positive and finite, got {temperature}.")
    if not tolerance >= 0.0:
        raise ValueError(f"tolerance must be at least 0, got {tolerance}.")
    k = DEFAULT_K if k is None else k
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    if method == "auto":
        return auto_marginals(problem, temperature, tolerance, memory_limit, many_frames=many_frames)
    memory_limit = memory_limit or MEMORY_LIMIT
    if method == "exact":
        return exact_marginals(problem, temperature, tolerance, memory_limit)
    if method == "k_best":
        return k_best_marginals(problem, temperature, k, tolerance, memory_limit)
    if method == "component_k_best":
        return component_k_best_marginals(problem, temperature, k, tolerance, memory_limit)
    if method == "bp":
        return _belief_propagation(problem, temperature)
    raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}.")


def _belief_propagation(problem: AssignmentProblem, temperature: float) -> Marginals:
    """Marginals by loopy belief propagation; log Z is not estimated (NaN)."""
    model = gap_model(problem, allow_non_convex=True)
    if float(model.load.min(initial=0.0)) < -LARGEST_LOG * temperature:
        raise NonConvexDivisionError(
            f"disappear + divide exceeds {LARGEST_LOG:g} temperatures at some mother, which messages cannot hold; "
            "lower its divide score, or use method='exact'."
        )
    gauge = gauge_of(problem, model, temperature)
    links = problem.links
    link, null, disappear, divide, change = propagate(
        links.start, links.mother, links.mother_start, links.by_mother, gauge.link, gauge.null, gauge.load,
        BP_SWEEPS, BP_DAMPING, BP_TOLERANCE,
    )  # fmt: skip
    parts = to_problem_order(problem, Marginal(link, null, disappear, divide))
    return Marginals(
        *parts, float("nan"), 0.0, float("inf"), False, "bp", converged=bool(change <= BP_TOLERANCE)
    )
