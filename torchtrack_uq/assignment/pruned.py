"""The posterior of a frame pair with some links dropped (what that changes is bounded in `certificate`).

The *gauge* writes the posterior at temperature T in reduced costs: the weight of a link is exp(-reduced
cost / T), likewise of null, and g(n) of a mother with n daughters. It changes no probability, and the MAP
has weight 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.gap_model import GapModel
from torchtrack_uq.assignment.kernels.components import EliminationPlan, label_components, plan_elimination
from torchtrack_uq.assignment.kernels.frontier import FrontierGraph, build_frontier_graph
from torchtrack_uq.assignment.kernels.sum_product import path_sums
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray
from torchtrack_uq.utils.cores import available_cores, in_threads
from torchtrack_uq.utils.kernel import kernel

LARGEST_LOG = (
    200.0  # weights beyond exp of it (of second daughters, where they are cheaper) are not held here
)
SMALLEST = 1e-250  # positive weights are kept above it, so that their ratios stay finite


class Gauge(NamedTuple):
    """Weights of a frame pair's choices, scaled so that a reference assignment has weight 1.

    Attributes:
        link: (F,) float64, weight of each link.
        null: (N,) float64, weight of each daughter having no mother.
        load: (M, 3) float64, weight g(n) of each mother having n daughters.
        log_scale: log-weight / T that was divided out: log Z = log_scale + log Z in this gauge.
    """

    link: FloatArray
    null: FloatArray
    load: FloatArray
    log_scale: float

    @property
    def factors(self) -> FloatArray:
        """(F + N + 3 M,) weights of the factors of a frontier graph."""
        return np.concatenate([self.link, self.null, self.load.ravel()])


class Sums(NamedTuple):
    """What one summation over the kept links gives, per choice.

    Attributes:
        ratio_mother: (M,) float64, R = Z(with one more unit at the mother) / Z.
        load: (M, 3) float64, sum of the assignments with n kept daughters at the mother, without g, over Z.
        link: (F,) float64, sum of the assignments with the link, without its weight, over Z.
        null: (N,) float64, the same for null.
        log_z: log of the sum over all assignments of kept links.
        component_log_z: (C,) float64, its part from each component.
    """

    ratio_mother: FloatArray
    load: FloatArray
    link: FloatArray
    null: FloatArray
    log_z: float
    component_log_z: FloatArray


class Share(NamedTuple):
    """Arcs that one component may take.

    Attributes:
        of_component: However small it is.
        per_step: More for each of its steps.
        at_most: However many steps it has, in all.
    """

    of_component: float
    per_step: float
    at_most: float = np.inf


WORTH_THREADS = 1_000_000  # arcs, from which on threads share a sum
RANGES_PER_CORE = 4
ALL = Share(np.inf, 0.0)
HOPELESS = 1e4
"""How many times more arcs than fit may be expected where states that do not matter are left out."""


class KeptGraph(NamedTuple):
    """The frontier graphs of the kept links, ready to be summed with any weights."""

    keep: BoolArray
    plan: EliminationPlan
    graph: FrontierGraph


def gauge_of(problem: AssignmentProblem, model: GapModel, temperature: float) -> Gauge:
    """Weights at a temperature, relative to the assignment that `model` was solved for."""

    def weight(gap: FloatArray) -> FloatArray:
        exponent = np.minimum(-gap / temperature, LARGEST_LOG)
        return np.where(gap < np.inf, np.maximum(np.exp(exponent), SMALLEST), 0.0)

    return Gauge(weight(model.link), weight(model.null), weight(model.load), model.log_weight / temperature)


def log_weights(model: GapModel, temperature: float) -> FloatArray:
    """Logarithms of the weights of all factors of a frontier graph, whatever their size; -inf for 0."""
    logarithm: FloatArray = -model.factor_cost / temperature
    return logarithm


def first_place_ratio(gauge: Gauge) -> FloatArray:
    """(M,) r = g(1) / g(0), the largest possible R of each mother; inf if it must have a daughter.

    Also inf where g(0) is too small for a floating point number: a ratio of what stands for it would prove nothing.
    """
    ratio = room_if_empty(gauge)
    ratio[gauge.load[:, 0] <= SMALLEST] = np.inf
    return ratio


def room_if_empty(gauge: Gauge) -> FloatArray:
    """(M,) g(1) / g(0) as an estimate: also where g(0) is too small to prove anything by."""
    with np.errstate(divide="ignore"):
        ratio: FloatArray = gauge.load[:, 1] / gauge.load[:, 0]
    return ratio


@kernel
def null_with_dropped(
    mother: IntArray,
    daughter: IntArray,
    link: FloatArray,
    null: FloatArray,
    room: FloatArray,
    keep: BoolArray,
) -> FloatArray:
    """(N,) null weights to which the dropped links are added as if their mothers were free.

    `room` (M,) is `first_place_ratio`.
    """
    total = null.copy()
    for e in range(mother.size):
        if not keep[e]:
            total[daughter[e]] += link[e] * room[mother[e]]
    return total


def plan_of(problem: AssignmentProblem, keep: BoolArray, share: Share | None = None) -> EliminationPlan:
    """Components and elimination order of the kept links (F,) bool.

    With a `share` that no component may exceed, those that exceed it by far in the first order are not ordered again.
    """
    return _planned(problem, keep, np.inf, ALL if share is None else share)


def plan_if_narrow(problem: AssignmentProblem, keep: BoolArray, most_arcs: float) -> EliminationPlan | None:
    """The same, or None, and that soon, where more than `most_arcs` arcs are expected."""
    plan = _planned(problem, keep, most_arcs)
    return plan if len(plan.step) == plan.step_start[-1] else None


def _planned(
    problem: AssignmentProblem, keep: BoolArray, most_arcs: float, share: Share = ALL
) -> EliminationPlan:
    links, is_open = problem.links, _is_linked(problem, keep)
    hopeless = HOPELESS * share.of_component, HOPELESS * share.per_step
    plan = plan_elimination(links.start, links.mother, problem.n_mothers, keep, is_open, most_arcs, *hopeless)
    return EliminationPlan(*plan)


def components_of(problem: AssignmentProblem, keep: BoolArray) -> tuple[IntArray, IntArray, int]:
    """Components of the kept links by daughter (N,) and by mother (M,), -1 for cells without, and their number.

    They are numbered as in `plan_of`.
    """
    links = problem.links
    return label_components(links.start, links.mother, keep, _is_linked(problem, keep), problem.n_mothers)


def all_components(
    daughter_component: IntArray, mother_component: IntArray, n_components: int
) -> tuple[IntArray, IntArray, int]:
    """Component numbers in which cells without kept links have a component of their own."""
    daughter, mother, n = daughter_component.copy(), mother_component.copy(), n_components
    for component in (daughter, mother):
        alone = component < 0
        n_alone = int(np.count_nonzero(alone))
        component[alone] = n + np.arange(n_alone)
        n += n_alone
    return daughter, mother, n


def _is_linked(problem: AssignmentProblem, keep: BoolArray) -> BoolArray:
    """(N,) bool, daughters with a kept link."""
    linked = np.zeros(problem.n_daughters, dtype=bool)
    linked[problem.links.daughter[keep]] = True
    return linked


def build_kept_graph(
    problem: AssignmentProblem,
    keep: BoolArray,
    gauge: Gauge,
    max_arcs: int,
    negligible: float = 0.0,
    plan: EliminationPlan | None = None,
    share: Share | None = None,
) -> KeptGraph:
    """Frontier graphs of the kept links (F,) bool; components beyond `max_arcs` arcs are left incomplete.

    States with paths of total weight at most `negligible` are left out; `graph.lost` bounds what that
    loses, also when every dropped link is moved into the null weight of its daughter (see `certificate`). A `plan` of
    the kept links may be given, and a `share` of the arcs that no component may exceed.
    """
    links = problem.links
    plan = plan_of(problem, keep, share) if plan is None else plan
    impossible = np.zeros((problem.n_mothers, 3))
    impossible[gauge.load[:, 2] == 0.0, 2] = np.inf
    factor_cost = np.concatenate([np.zeros(links.mother.size + problem.n_daughters), impossible.ravel()])
    null = gauge.null
    if negligible > 0.0:
        room = first_place_ratio(gauge)
        null = null_with_dropped(links.mother, links.daughter, gauge.link, null, room, keep)
    weight = gauge._replace(null=null).factors
    keep_null = np.ones(problem.n_daughters, dtype=bool)
    base_load = np.zeros(problem.n_mothers, np.int64)
    graph = FrontierGraph(
        *build_frontier_graph(
            links.start, links.mother, keep, keep_null, base_load, plan.step, plan.step_start, plan.position,
            plan.width, factor_cost, np.inf, max_arcs, weight, negligible,
            *(ALL if share is None else share),
        )
    )  # fmt: skip
    return KeptGraph(keep, plan, graph)


def by_components(graph: FrontierGraph, wanted: BoolArray, function: Callable[[int, int], object]) -> None:
    """Call a function of ranges of components that covers the wanted ones (C,): in threads, where they are large.

    Args:
        graph: Whose components.
        wanted: (C,) bool, those with which it has work.
        function: Of the first component of a range and the one after its last; it fills arrays, where components share
            no entry, so that what comes of it does not depend on the ranges.
    """
    arcs = np.where(wanted, np.diff(graph.arc_start[graph.layer_start[graph.first_layer]]), 0)
    before = np.concatenate([[0], np.cumsum(arcs)])
    if before[-1] < WORTH_THREADS:
        function(0, wanted.size)
        return
    n_ranges = RANGES_PER_CORE * available_cores()
    cuts = np.searchsorted(before, before[-1] * np.arange(n_ranges + 1) / n_ranges)
    cuts[0], cuts[-1] = 0, wanted.size
    for _ in in_threads(lambda at: function(*at), zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True)):
        pass


def _path_sums(graph: FrontierGraph, weight: FloatArray, wanted: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Mass of every factor and log Z of every component (`path_sums`)."""
    mass, log_z = np.empty(weight.size), np.zeros(wanted.size)
    mass.fill(0.0)  # not np.zeros: threads that touch its pages first wait for each other

    def sum_range(begin: int, end: int) -> None:
        path_sums(
            graph.arc_start, graph.arc_to, graph.arc_factor, graph.layer_start, graph.first_layer, weight, wanted,
            begin, end, mass, log_z,
        )  # fmt: skip

    by_components(graph, wanted, sum_range)
    return mass, log_z


def sum_kept(
    problem: AssignmentProblem,
    kept: KeptGraph,
    link: FloatArray,
    null: FloatArray,
    load: FloatArray,
    wanted: BoolArray | None = None,
) -> Sums:
    """Sum over all assignments of the kept links with the given weights (F,), (N,), (M, 3).

    If only some components (C,) are `wanted`, what is returned of the others means nothing.
    """
    graph, plan = kept.graph, kept.plan
    n_links, n_daughters = link.size, null.size
    wanted = np.ones(plan.width.size, np.bool_) if wanted is None else wanted
    mass, component_log_z = _path_sums(graph, np.concatenate([link, null, load.ravel()]), wanted)
    link_mass = mass[:n_links]
    null_mass = mass[n_links : n_links + n_daughters]
    load_mass = mass[n_links + n_daughters :].reshape(-1, 3)
    alone = plan.daughter_component < 0
    idle = plan.mother_component < 0
    with np.errstate(divide="ignore", invalid="ignore"):
        # cells without kept links; those that cannot be so belong to components that are summed elsewhere
        null_mass[alone] = np.where(null[alone] > 0.0, 1.0 / null[alone], 0.0)
        load_mass[idle, 0] = np.where(load[idle, 0] > 0.0, 1.0 / load[idle, 0], 0.0)
        log_z = float(component_log_z.sum() + np.log(null[alone]).sum() + np.log(load[idle, 0]).sum())
        shifted = load_mass[:, 0] * load[:, 1] + load_mass[:, 1] * load[:, 2]
        every = load_mass[:, 0] * load[:, 0] + load_mass[:, 1] * load[:, 1] + load_mass[:, 2] * load[:, 2]
        ratio_mother = shifted / every
    return Sums(ratio_mother, load_mass, link_mass, null_mass, log_z, component_log_z)
