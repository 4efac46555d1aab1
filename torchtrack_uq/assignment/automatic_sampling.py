"""Draws from any posterior: exact where all assignments can be summed over, by Markov chains elsewhere."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from torchtrack_uq.assignment.drawn_parents import DrawnParents
from torchtrack_uq.assignment.dropping import BYTES_PER_ARC, NEGLIGIBLE, odds_if_free
from torchtrack_uq.assignment.gap_model import GapModel, gap_model
from torchtrack_uq.assignment.k_best import MEMORY_LIMIT
from torchtrack_uq.assignment.kernels.draws import draw_links
from torchtrack_uq.assignment.kernels.pair_redraws import redraw_pairs
from torchtrack_uq.assignment.marginal_result import KeptLinks
from torchtrack_uq.assignment.marginals import marginals
from torchtrack_uq.assignment.part import part_of
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import (
    LARGEST_LOG,
    Gauge,
    all_components,
    build_kept_graph,
    components_of,
    gauge_of,
)
from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray, NonConvexDivisionError
from torchtrack_uq.utils.cores import available_cores, in_threads

ENOUGH = 0.02
"""Proved error of the probability of any event up to which a component is drawn from what could be summed over: of a
thousand draws chance makes more of it."""
N_CHAINS = 10
FAINT = 1e-5
"""Odds below which chains do not offer a link."""
BURN_IN = 100
"""Redraws a daughter before a chain's first draw; it begins at a draw of the links that could be summed over."""
LEAST_BURN_IN = 3
"""Of large problems; one was enough in a colony of 3,800 cells, as chains begin near what they draw from."""
BETWEEN = 10
"""Redraws a daughter between two draws of a chain, if `MOST_REDRAWS` allows."""
MOST_REDRAWS = 6_000_000
"""Of a problem: five seconds or so."""
LEAST_WEIGHT = 1e-120
NO_LIMIT = 1 << 40
DAUGHTERS_AT_ONCE = 20_000
"""Of a problem, whose frontier graphs each thread holds at a time; they are drawn with a generator of their own."""

BLOCKS_AT_ONCE = 4
"""Each may take `MEMORY_LIMIT`."""


class Draws(NamedTuple):
    """Assignments drawn from a posterior, and what of it is independent.

    Attributes:
        drawn: n draws of the mothers of all daughters.
        daughter_component: (N,) int64, component of each daughter as such: of what lies in different components, the
            posterior is the product.
        mother_component: (M,) int64, likewise of each mother, in the same numbering.
        exact: (C,) bool, components of which the draws are independent and the probability of any event is right to
            `ENOUGH`; the others are from `N_CHAINS` Markov chains.
        chain: (n,) int64, which chain a draw is from.
        possible: (E,) bool, links that draws may hold; others are too improbable for one event to notice.
    """

    drawn: DrawnParents
    daughter_component: IntArray
    mother_component: IntArray
    exact: BoolArray
    chain: IntArray
    possible: BoolArray

    @property
    def parent(self) -> IntArray:
        """(n, N) int64, mother of each daughter, -1 for none; eight times as large as what it is made from."""
        return self.drawn.rows(0, len(self.drawn))


def sample_automatic(
    problem: AssignmentProblem,
    n: int,
    seed: int = 0,
    tolerance: float = 1e-3,
    *,
    many_frames: bool = False,
    summed: KeptLinks | None = None,
    most_redraws: int = MOST_REDRAWS,
) -> Draws:
    """Draw assignments from p(A) = exp(L(A)) / Z, whatever its size.

    Components whose sums are proved right to `ENOUGH` or better are drawn as `sample` does. The others are drawn by
    chains that begin at draws of what could be summed over and redraw two daughters at a time (Gibbs sampling
    in blocks of two; Jensen, Kong & Kjaerulff, Int. J. Human-Computer Studies 1995): an estimate, as
    nothing proves that a chain has seen everything.

    Args:
        problem: the frame pair, or the movie.
        n: number of draws, at least 1.
        seed: the same seed gives the same draws.
        tolerance: of the sums; as for `sample`.
        many_frames: whether the problem is a movie.
        summed: what `marginals` of the same problem kept, with the same options; by default it is summed now.
        most_redraws: about how many redraws of two daughters all chains together make.

    Raises:
        ValueError: n below 1.
        EliminationTooLargeError: second daughters are likelier than first ones in a problem too ambiguous to be
            summed over.
        InfeasibleProblemError: no assignment is feasible.

    Example:
        >>> problem = AssignmentProblem.build([0, 1], [0, 1], [np.log(9.0), 0.0], 2, 2)
        >>> draws = sample_automatic(problem, 10_000)
        >>> draws.daughter_component, float((draws.parent[:, 0] == 0).mean().round(1))
        (array([0, 1]), 0.9)
    """
    if n < 1:
        raise ValueError(f"the number of draws must be at least 1, got {n}.")
    if summed is None:
        summed = marginals(problem, tolerance=tolerance, many_frames=many_frames).kept_links
    assert summed is not None
    model = gap_model(problem, allow_non_convex=True)
    if float(model.load.min(initial=0.0)) < -LARGEST_LOG:
        raise NonConvexDivisionError(
            f"disappear + divide exceeds {LARGEST_LOG:g} at some mother, which draws cannot hold; lower her divide "
            "score."
        )
    gauge, links = gauge_of(problem, model, 1.0), problem.links
    keep = summed.kept[links.link]
    labels = components_of(problem, keep)
    of_daughter, of_mother, n_components = all_components(*labels)
    rough = np.zeros(n_components, np.bool_)
    enough = max(tolerance, ENOUGH)
    rough[of_daughter[summed.daughter_error > enough]] = True
    rough[of_mother[summed.mother_error > enough]] = True
    generator = np.random.default_rng(seed)
    drawn, unfit = _drawn(problem, keep, labels, gauge, model, n, NEGLIGIBLE * tolerance, generator)
    rough[of_daughter[unfit]] = True
    n_chains = min(N_CHAINS, n)
    chain = np.arange(n) * n_chains // n
    possible = np.zeros(problem.n_links, np.bool_)
    possible[links.link] = keep
    if rough.any():
        offered = rough[of_daughter[links.daughter]] & rough[of_mother[links.mother]]
        offered &= keep | (odds_if_free(problem, model, gauge, 1.0) > FAINT)
        _redraw(problem, offered, gauge, drawn, chain, generator, most_redraws)
        possible[links.link[offered]] = True
        ends = of_daughter[links.daughter[offered]], of_mother[links.mother[offered]]
        shape = (n_components, n_components)
        joined = connected_components(coo_array((np.ones(len(ends[0])), ends), shape=shape), directed=False)
        label = joined[1].astype(np.int64)
        of_daughter, of_mother = label[of_daughter], label[of_mother]
        exact = np.ones(joined[0], np.bool_)
        exact[label[rough]] = False
        return Draws(drawn, of_daughter, of_mother, exact, chain, possible)
    return Draws(drawn, of_daughter, of_mother, ~rough, chain, possible)


def _drawn(
    problem: AssignmentProblem,
    keep: BoolArray,
    labels: tuple[IntArray, IntArray, int],
    gauge: Gauge,
    model: GapModel,
    n: int,
    negligible: float,
    generator: np.random.Generator,
) -> tuple[DrawnParents, BoolArray]:
    """(n, N) draws from the kept links, whose components are `labels`, and (N,) daughters of those that did not fit.

    These are drawn from the links of the MAP alone.
    """
    links, most = problem.links, MEMORY_LIMIT // BYTES_PER_ARC
    of_daughter, _, n_components = labels
    # blocks of whole components, in their order, so that draws do not depend on how many fit at once
    size = np.bincount(of_daughter[of_daughter >= 0], minlength=n_components)
    block = (np.cumsum(size) - size) // DAUGHTERS_AT_ONCE
    of_link = np.append(block, -1)[of_daughter[links.daughter]]
    unfit = np.zeros(problem.n_daughters, np.bool_)
    rank = DrawnParents.ranks(links)
    drawn = np.zeros((n, problem.n_daughters), rank.dtype)
    n_blocks = int(block.max(initial=-1)) + 1

    # a generator each, so that it does not matter how many threads there are
    own = [generator] if n_blocks < 2 else _generators(generator, n_blocks)

    def draw(number: int) -> IntArray:
        among = of_link == number
        while True:
            part = part_of(problem, among)
            here, weights, kept_here = part.problem, part.gauge(gauge), keep[part.link]
            kept = build_kept_graph(here, kept_here, weights, most, negligible)
            complete = kept.graph.complete
            too_large = complete.size > 0 and not complete.any()  # each of them alone
            if too_large:
                choice = part.chosen(model.solution.chosen)
                by_map = np.zeros(part.link.size, np.bool_)
                by_map[choice[choice >= 0]] = True
                kept = build_kept_graph(here, by_map, weights, NO_LIMIT, negligible)  # a few arcs each
            graph = kept.graph
            draw_links(
                graph.arc_start, graph.arc_to, graph.arc_factor, graph.layer_start, graph.first_layer,
                weights.factors, links.daughter[part.link], rank[part.link], drawn, own[number],
            )  # fmt: skip
            if too_large or complete.all():
                return part.daughter[: part.daughter.size * too_large]
            # what did not fit beside the others
            left = np.append(~complete, False)[kept.plan.daughter_component]
            among = np.zeros(among.size, np.bool_)
            among[part.link[left[here.links.daughter]]] = True

    for too_large in in_threads(draw, range(n_blocks), min(available_cores(), BLOCKS_AT_ONCE)):
        unfit[too_large] = True
    return DrawnParents(drawn, links), unfit


def _redraw(
    problem: AssignmentProblem,
    offered: BoolArray,
    gauge: Gauge,
    drawn: DrawnParents,
    chain: IntArray,
    generator: np.random.Generator,
    most: int = MOST_REDRAWS,
) -> None:
    """Replace the draws of daughters with `offered` links (F,) by those of chains, in place."""
    links = problem.links
    at = np.flatnonzero(offered)
    daughter, mother = links.daughter[at], links.mother[at]
    start = np.searchsorted(daughter, np.arange(problem.n_daughters + 1))
    movable = np.unique(daughter)
    if not len(movable):
        return
    by_mother = np.argsort(mother, kind="stable")
    partner_start = np.searchsorted(mother[by_mother], np.arange(problem.n_mothers + 1))
    load: FloatArray = np.maximum(gauge.load, LEAST_WEIGHT)
    load[:, 2] = np.where(gauge.load[:, 2] > 0.0, load[:, 2], 0.0)
    n, n_chains = len(drawn), int(chain.max()) + 1
    burn_in = int(np.clip(most // (2 * n_chains * len(movable)), LEAST_BURN_IN, BURN_IN))
    spare = most - n_chains * burn_in * len(movable)
    between = int(np.clip(spare // n, len(movable) // 3 + 1, BETWEEN * len(movable)))
    weight, of_mother = gauge.link[at], daughter[by_mother]

    # a generator each, so that it does not matter how many threads there are
    own = _generators(generator, n_chains)

    def follow(c: int) -> None:
        draws = np.flatnonzero(chain == c).tolist()
        state = drawn.rows(draws[0], draws[0] + 1)[0]
        for k, r in enumerate(draws):
            redraw_pairs(
                start, mother, weight, gauge.null, load, movable, partner_start, of_mother,
                state, burn_in * len(movable) if k == 0 else between, own[c],
            )  # fmt: skip
            drawn.replace(r, state, at, movable)

    list(in_threads(follow, range(n_chains), available_cores()))


def _generators(generator: np.random.Generator, n: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in generator.integers(1 << 62, size=n)]
