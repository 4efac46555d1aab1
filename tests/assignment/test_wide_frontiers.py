"""Frontiers of several words, beside those of one: each component has the sums that it has alone."""

import itertools

import numpy as np
import pytest

from torchtrack_uq.assignment import AssignmentProblem, marginals
from torchtrack_uq.assignment.gap_model import gap_model
from torchtrack_uq.assignment.kernels.layers import LOADS_PER_WORD
from torchtrack_uq.assignment.kernels.orders import LOST
from torchtrack_uq.assignment.pruned import ALL, Share, build_kept_graph, gauge_of, plan_of, sum_kept

WIDTHS = (3, 15, LOADS_PER_WORD - 1, LOADS_PER_WORD, LOADS_PER_WORD + 1, 2 * LOADS_PER_WORD + 5)


def fans(*widths, seed=0):
    """A component for each width: a daughter with so many possible mothers, who have a daughter of their own each."""
    rng = np.random.default_rng(seed)
    mother, daughter, m, n = [], [], 0, 0
    for width in widths:
        mother += [m + k for k in range(width)] * 2
        daughter += [n] * width + [n + 1 + k for k in range(width)]
        m, n = m + width, n + width + 1
    score = rng.normal(0, 2, len(mother))
    return AssignmentProblem(
        np.array(mother),
        np.array(daughter),
        score,
        rng.normal(-3, 1, n),
        rng.normal(-2, 1, m),
        np.full(m, -3.0),
    )


def graph_of(problem, share=None):
    gauge = gauge_of(problem, gap_model(problem), 1.0)
    kept = build_kept_graph(problem, np.ones(problem.n_links, dtype=bool), gauge, 10**7, share=share)
    return gauge, kept


def log_z_by_hand(problem):
    """Of one fan: what its first daughter chooses leaves her mothers independent of each other."""
    width = problem.n_mothers
    first, own = problem.score[:width], problem.score[width:]
    without = problem.disappear + problem.appear[1:]  # a mother whom only her own daughter may have
    alone = np.logaddexp(own, without)
    both = np.logaddexp(first + own + problem.divide, first + problem.appear[1:])
    terms = [problem.appear[0] + alone.sum(), *(alone.sum() - alone + both)]
    return float(np.logaddexp.reduce(terms))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_wide_frontier_sums_what_a_closed_form_gives(width):
    problem = fans(width, seed=width)
    found = marginals(problem, tolerance=0.0)
    assert found.exact
    assert found.log_z == pytest.approx(log_z_by_hand(problem), abs=1e-9)


@pytest.mark.parametrize("order", list(itertools.permutations((1, 3, 5))))
def test_components_of_any_width_are_summed_as_alone(order):
    widths = [WIDTHS[k] for k in order]
    problem = fans(*widths)
    gauge, kept = graph_of(problem)
    assert kept.plan.width.tolist() == widths
    together = sum_kept(problem, kept, gauge.link, gauge.null, gauge.load)
    assert together.log_z + gauge.log_scale == pytest.approx(
        marginals(problem, tolerance=0.0).log_z, abs=1e-9
    )
    m = n = e = 0
    for k, width in enumerate(widths):
        links = slice(e, e + 2 * width)
        alone = AssignmentProblem(
            problem.mother[links] - m, problem.daughter[links] - n, problem.score[links],
            problem.appear[n : n + width + 1], problem.disappear[m : m + width], problem.divide[m : m + width],
        )  # fmt: skip
        own, graph = graph_of(alone)
        sums = sum_kept(alone, graph, own.link, own.null, own.load)
        np.testing.assert_allclose(together.component_log_z[k], sums.component_log_z[0], atol=1e-12)
        np.testing.assert_allclose(together.null[n : n + width + 1], sums.null, rtol=1e-12)
        np.testing.assert_allclose(together.ratio_mother[m : m + width], sums.ratio_mother, rtol=1e-12)
        m, n, e = m + width, n + width + 1, e + 2 * width


def test_a_component_takes_no_more_than_its_share_however_long_it_is():
    problem = fans(40, 5)
    assert graph_of(problem)[1].graph.complete.tolist() == [True, True]
    assert graph_of(problem, ALL)[1].graph.complete.tolist() == [True, True]
    assert graph_of(problem, Share(10.0, 100.0))[1].graph.complete.tolist() == [True, True]
    assert graph_of(problem, Share(10.0, 100.0, 200.0))[1].graph.complete.tolist() == [False, True]


def test_a_component_out_of_reach_is_ordered_all_the_same():
    """Every daughter comes once, every mother retires once, after the last of her daughters."""
    n = 400
    rng = np.random.default_rng(1)
    mother, daughter = np.divmod(np.flatnonzero(rng.random(n * n) < 0.2), n)
    problem = AssignmentProblem.build(mother, daughter, 0.0, n, n, -1.0, -1.0, -1.0)
    plan = plan_of(problem, np.ones(problem.n_links, dtype=bool), Share(1_000.0, 10.0))
    assert 3.0 ** plan.width[0] > LOST
    at = {step: k for k, step in enumerate(plan.step.tolist())}
    assert sorted(at) == sorted([*range(n), *(-1 - i for i in range(n))])
    links = problem.links
    assert all(
        at[-1 - i] > at[j] for i, j in zip(links.mother.tolist(), links.daughter.tolist(), strict=True)
    )
