"""The bound of docs/assignment.md against enumeration, for any choice of dropped links."""

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.support.brute_force import all_assignments, posterior
from tests.support.problems import colony, tiny_problems
from torchtrack_uq.assignment import (
    AssignmentProblem,
    EliminationTooLargeError,
    daughter_bounds,
    elimination,
    marginals,
    solve_map,
)
from torchtrack_uq.assignment.certificate import certify
from torchtrack_uq.assignment.gap_model import gap_model
from torchtrack_uq.assignment.pruned import build_kept_graph, gauge_of, sum_kept


def certificate_of(problem, dropped, negligible, temperature=1.0):
    gauge = gauge_of(problem, gap_model(problem), temperature)
    kept = build_kept_graph(problem, ~dropped, gauge, 10**6, negligible)
    sums = sum_kept(problem, kept, gauge.link, gauge.null, gauge.load)
    return gauge, certify(problem, kept, gauge, sums)


def check(problem, dropped, negligible=0.0):
    """The certificate's claims against enumeration; returns the largest finite bound, 0 if there is none."""
    expected = posterior(problem)
    gauge, certificate = certificate_of(problem, dropped, negligible)
    links = problem.links
    log_z = expected["log_z"] - gauge.log_scale
    assert certificate.log_z_low - 1e-9 <= log_z <= certificate.log_z_high + 1e-9
    truth = expected["link"][links.link]
    assert (truth[certificate.dropped] <= certificate.dropped_high + 1e-9).all()
    bound = certificate.component_error
    kept = ~dropped
    of_daughter, of_mother = certificate.daughter_component, certificate.mother_component
    error = np.abs(truth - certificate.alone.link)[kept]
    assert (error <= bound[of_daughter[links.daughter[kept]]] + 1e-9).all()
    assert (np.abs(expected["null"] - certificate.alone.null) <= bound[of_daughter] + 1e-9).all()
    assert (np.abs(expected["disappear"] - certificate.alone.disappear) <= bound[of_mother] + 1e-9).all()
    assert (np.abs(expected["divide"] - certificate.alone.divide) <= bound[of_mother] + 1e-9).all()
    return float(bound[np.isfinite(bound)].max(initial=0.0))


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    tiny_problems(),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 2.0, 4.0, 8.0]),
    st.sampled_from([0.0, 1e-6, 0.01]),
    st.sampled_from([0.0, daughter_bounds.SMALL]),
)
def test_bounds_hold_whichever_links_are_dropped(problem, seed, weaker, negligible, small):
    rng = np.random.default_rng(seed)
    if all_assignments(problem)[1].size == 0:
        return
    links = problem.links
    dropped = rng.random(links.mother.size) < rng.choice([0.2, 0.5])
    # what the engine never drops: links of the MAP, and of mothers that must have a daughter
    dropped &= solve_map(problem).parent[links.daughter] != links.mother
    dropped &= np.isfinite(problem.disappear)[links.mother]
    score = problem.score.copy()
    score[problem.links.link[dropped]] -= weaker  # so that some bounds are not trivial
    problem = AssignmentProblem(
        problem.mother, problem.daughter, score, problem.appear, problem.disappear, problem.divide
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daughter_bounds, "SMALL", small)  # 0: always the closer look
        bound = check(problem, dropped, negligible)
    event("a bound between 0 and 1" if bound > 0 else "no finite bound")


@pytest.mark.parametrize("seed", range(40))
def test_bounds_are_not_vacuous_on_weak_links(seed):
    rng = np.random.default_rng(seed)
    n = 4
    mother, daughter = np.divmod(np.arange(n * n), n)
    score = np.where(mother == daughter, 0.0, rng.uniform(-12, -6, n * n))
    close = (mother // 2 == daughter // 2) & (mother != daughter)
    score[close] = rng.uniform(-3, 0, close.sum())
    problem = AssignmentProblem(
        mother, daughter, score, rng.uniform(-6, -2, n), rng.uniform(-3, 0, n), rng.uniform(-4, 0, n)
    )
    dropped = (mother // 2 != daughter // 2)[problem.links.link]
    bound = check(problem, dropped)
    assert 0.0 < bound < 0.5


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    tiny_problems(),
    st.sampled_from([0.5, 1.0]),
    st.sampled_from([0.01, 0.1, 0.3]),
    st.sampled_from([1.0, 3.0]),
    st.sampled_from([1 << 30, 4_000]),
)
def test_error_bound_holds_when_small_problems_are_pruned_too(
    problem, temperature, tolerance, spread, memory_limit
):
    problem = AssignmentProblem(
        problem.mother, problem.daughter, problem.score * spread, problem.appear * spread,
        problem.disappear * spread, problem.divide * spread,
    )  # fmt: skip
    if all_assignments(problem)[1].size == 0:
        return
    expected = posterior(problem, temperature)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elimination, "SMALL", -1)
        try:
            result = marginals(problem, temperature, "auto", tolerance=tolerance, memory_limit=memory_limit)
        except EliminationTooLargeError:
            assert memory_limit == 4_000
            return
    event("links were dropped" if result.covered_mass < 1.0 else "nothing dropped")
    for name in ("link", "null", "disappear", "divide"):
        error = np.abs(getattr(result, name) - expected[name]).max(initial=0.0)
        assert error <= result.error_bound + 1e-9
    assert result.exact == (result.error_bound <= tolerance)
    assert result.covered_mass <= 1.0


@pytest.mark.parametrize("n_frames", [12, 120])
def test_what_is_proved_does_not_become_less_the_longer_a_movie_is(n_frames):
    found = marginals(colony(n_frames), many_frames=True)
    assert np.mean(found.daughter_error <= 0.02) > 0.7
    assert np.mean(found.daughter_error <= 0.1) > 0.95
