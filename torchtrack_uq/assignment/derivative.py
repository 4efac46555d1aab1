r"""Derivatives of marginals: products of their Jacobian with a direction of the scores, without a difference quotient.

The Jacobian of the marginals p is the Hessian of log Z, which is symmetric: with the covariance of choices e and f,

    dp_f = sum over e of v_e (P(e and f) - p_e p_f) = sum over e of v_e p_e (P(f given e) - p_f).

Most of it comes from one pass over the frontier graph of the forward sum that carries tangents (`mass_tangents`). A
choice that is unlikely but weighs much (a true link of probability 1e-12 in a likelihood, v_e = -1 / p_e) may depend on
others that were dropped as unlikely themselves; these are summed over again, given that they are made (second form,
`changes_given`).
"""

import numpy as np

from torchtrack_uq.assignment.dropping import BYTES_PER_ARC
from torchtrack_uq.assignment.elimination import exact_marginals, too_large_error
from torchtrack_uq.assignment.gap_model import GapModel, gap_model
from torchtrack_uq.assignment.kernels.path_tangents import mass_tangents
from torchtrack_uq.assignment.marginal_result import Direction, Marginals
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import (
    LARGEST_LOG,
    Gauge,
    KeptGraph,
    all_components,
    build_kept_graph,
    components_of,
    gauge_of,
)
from torchtrack_uq.assignment.rare_choices import RareChoices, changes_given
from torchtrack_uq.assignment.types import BoolArray, FloatArray

WEIGHS = 1e-3
"""Error of a derivative, relative to the largest terms of its component, from which on a choice is summed over on its
own; ten times the error of the probabilities, where that is more."""
OF_FRAME = 0.1
"""Share of the largest terms of the frame below which those of a component count as that large."""
TOLERANCE = 1e-3
"""Largest error of probabilities that are summed again, where the given ones are an estimate."""


def marginals_derivative(
    problem: AssignmentProblem, found: Marginals, direction: Direction, memory_limit: int = 1 << 28
) -> Direction:
    """Derivative of the exact marginals at temperature 1 along a direction of all scores.

    Args:
        problem: The frame pair.
        found: Its marginals, exact or near.
        direction: Change of every score.
        memory_limit: Bytes that frontier graphs may take.

    Returns:
        Derivative of every probability; also the product of the direction with the Jacobian from the left.

    Raises:
        EliminationTooLargeError: The marginals are an estimate, and exact ones do not fit.
        ValueError: A second daughter is cheaper than a first by more than 200 nats.

    Example:
        >>> from torchtrack_uq.assignment.marginals import marginals
        >>> problem = AssignmentProblem.build([0], [0], [0.0], 1, 1)  # p = 1 / 2, dp / ds = p (1 - p)
        >>> zero = np.zeros(1)
        >>> marginals_derivative(problem, marginals(problem), Direction(np.ones(1), zero, zero, zero)).link
        array([0.25])
    """
    if not found.exact or found.kept is None:
        found = exact_marginals(problem, 1.0, TOLERANCE, memory_limit)
    assert found.kept is not None
    model = gap_model(problem, allow_non_convex=True)
    if float(model.load.min(initial=0.0)) < -LARGEST_LOG:
        raise ValueError(
            f"disappear + divide exceeds {LARGEST_LOG:g} at some mother: such sums have no derivative here; lower her "
            "divide score"
        )
    p = _probabilities(found)
    # what the links left out change: not more than they are used, nor than the choice is
    unsure = [np.minimum(q, found.error_bound) for q in (p.link, p.null)]
    unsure[0] = np.where(found.kept, unsure[0], p.link)
    least = max(WEIGHS, 10 * found.error_bound) * _heaviest(problem, found.kept, direction, p)
    rare_link = np.abs(direction.link) * unsure[0] > least[problem.daughter]
    rare_null = np.abs(direction.null) * unsure[1] > least
    usual = direction._replace(
        link=np.where(rare_link, 0.0, direction.link), null=np.where(rare_null, 0.0, direction.null)
    )
    derivative = _along(problem, model, found.kept, usual, memory_limit)
    if not (rare_link.any() or rare_null.any()):
        return derivative
    e, n = np.flatnonzero(rare_link), np.flatnonzero(rare_null)
    rare = RareChoices(
        np.concatenate([problem.daughter[e], n]),
        np.concatenate([problem.mother[e], np.full(len(n), -1)]),
        np.concatenate([direction.link[e] * found.link[e], direction.null[n] * found.null[n]]),
    )
    changes = changes_given(problem, found, rare, memory_limit)
    return Direction(*(usual + rare for usual, rare in zip(derivative, changes, strict=True)))


def _heaviest(problem: AssignmentProblem, kept: BoolArray, direction: Direction, p: Direction) -> FloatArray:
    """(N,) largest term of any choice in the derivatives of each daughter's component."""
    of_daughter, of_mother, n = all_components(*components_of(problem, kept[problem.links.link]))
    most = np.zeros(n)
    np.maximum.at(most, of_daughter[problem.daughter], np.abs(direction.link) * p.link)
    np.maximum.at(most, of_daughter, np.abs(direction.null) * p.null)
    np.maximum.at(most, of_mother, np.abs(direction.disappear) * p.disappear)
    np.maximum.at(most, of_mother, np.abs(direction.divide) * p.divide)
    heaviest: FloatArray = np.maximum(most, OF_FRAME * most.max(initial=0.0))[of_daughter]
    return heaviest


def _probabilities(found: Marginals) -> Direction:
    return Direction(found.link, found.null, found.disappear, found.divide)


def _along(
    problem: AssignmentProblem, model: GapModel, kept: BoolArray, direction: Direction, memory_limit: int
) -> Direction:
    """The derivative from the graph of the links that the marginals were summed over."""
    gauge, place = gauge_of(problem, model, 1.0), problem.links.link
    graph = build_kept_graph(problem, kept[place], gauge, memory_limit // BYTES_PER_ARC)
    if not graph.graph.complete.all():
        raise too_large_error(graph, memory_limit, "its derivative takes the same links")
    return _tangents(problem, gauge, graph, direction, direction.link[place])


def _tangents(
    problem: AssignmentProblem, gauge: Gauge, kept: KeptGraph, direction: Direction, by_place: FloatArray
) -> Direction:
    graph, links = kept.graph, problem.links
    n_links, n = links.mother.size, problem.n_daughters
    load = np.stack([direction.disappear, np.zeros(problem.n_mothers), direction.divide], axis=1)
    weight = gauge.factors
    n_components = kept.plan.width.size
    mass, mass_tangent, change = np.zeros((3, weight.size))
    mass_tangents(
        graph.arc_start, graph.arc_to, graph.arc_factor, graph.layer_start, graph.first_layer, weight,
        np.concatenate([by_place, direction.null, load.ravel()]), np.ones(n_components, np.bool_), 0, n_components,
        mass, mass_tangent, change, np.zeros(n_components),
    )  # fmt: skip
    tangent = weight * change
    link = np.zeros(problem.n_links)
    link[links.link] = tangent[:n_links]
    loads = tangent[n_links + n :].reshape(-1, 3)
    return Direction(link, tangent[n_links : n_links + n], loads[:, 0], loads[:, 2])
