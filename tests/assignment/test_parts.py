"""Work on a part of a problem, or in several threads, gives what the whole gives."""

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.support.brute_force import all_assignments, posterior
from tests.support.problems import colony, tiny_problems
from torchtrack_uq.assignment import EliminationTooLargeError, automatic, clusters, fitting, marginals, pruned
from torchtrack_uq.assignment.gap_model import gap_model
from torchtrack_uq.assignment.kernels.dropped_links import still_dropped_at
from torchtrack_uq.assignment.part import part_of, whole_of
from torchtrack_uq.assignment.pruned import Share, build_kept_graph, gauge_of, sum_kept

MOVIE = colony(12)


def some_kept(problem, seed):
    """A few links, the MAP's among them, and their graphs."""
    model = gap_model(problem)
    gauge = gauge_of(problem, model, 1.0)
    keep = np.random.default_rng(seed).random(problem.links.mother.size) < 0.03
    chosen = model.solution.chosen
    keep[chosen[chosen >= 0]] = True
    return gauge, chosen, build_kept_graph(problem, keep, gauge, 10**7, 1e-9, share=Share(5_000, 0))


@pytest.mark.parametrize("seed", range(5))
def test_components_of_a_part_have_the_sums_that_they_have_in_the_whole(seed):
    problem = MOVIE
    gauge, chosen, kept = some_kept(problem, seed)
    wanted = kept.graph.complete & (np.random.default_rng(seed).random(kept.plan.width.size) < 0.3)
    assert wanted.any()
    links, plan = problem.links, kept.plan
    inside = [np.append(wanted, False)[of] for of in (plan.daughter_component, plan.mother_component)]
    part = part_of(problem, inside[0][links.daughter] | inside[1][links.mother])
    here = part.gauge(gauge)
    of_part = part.kept(kept, wanted)
    assert of_part.graph.complete.all()
    whole = sum_kept(problem, kept, gauge.link, gauge.null, gauge.load, wanted)
    found = sum_kept(part.problem, of_part, here.link, here.null, here.load)
    daughters, mothers = (of >= 0 for of in (of_part.plan.daughter_component, of_part.plan.mother_component))
    assert daughters.sum() == inside[0].sum()
    assert mothers.sum() == inside[1].sum()
    np.testing.assert_array_equal(found.component_log_z, whole.component_log_z[wanted])
    np.testing.assert_array_equal(found.link[of_part.keep], whole.link[part.link[of_part.keep]])
    np.testing.assert_array_equal(found.null[daughters], whole.null[part.daughter[daughters]])
    np.testing.assert_array_equal(found.load[mothers], whole.load[part.mother[mothers]])
    np.testing.assert_array_equal(
        part.chosen(chosen)[daughters], np.searchsorted(part.link, chosen[part.daughter])[daughters]
    )


def test_the_whole_is_a_part_of_itself():
    whole = whole_of(MOVIE)
    gauge, chosen, _ = some_kept(MOVIE, 0)
    np.testing.assert_array_equal(whole.chosen(chosen), chosen)
    np.testing.assert_array_equal(whole.gauge(gauge).load, gauge.load)


@pytest.mark.parametrize("cores", [1, 2, 3, 8])
def test_sums_are_the_same_whatever_the_number_of_threads(cores, monkeypatch):
    one = marginals(MOVIE, many_frames=True)
    monkeypatch.setattr(pruned, "WORTH_THREADS", 0)
    monkeypatch.setattr(pruned, "available_cores", lambda: cores)
    several = marginals(MOVIE, many_frames=True)
    for name in ("link", "null", "disappear", "divide", "daughter_error", "mother_error", "log_z"):
        np.testing.assert_array_equal(getattr(several, name), getattr(one, name))


@pytest.mark.parametrize("share", [Share(40, 0), Share(2_000, 0)])
def test_messages_in_a_part_are_those_of_the_whole(share, monkeypatch):
    found = []
    for most in (0.0, 1.1):  # the whole always; a part always
        monkeypatch.setattr(clusters, "MOST_OF_ALL", most)
        found.append(automatic._by_clusters(MOVIE, 1.0, 1e-3, 10**8, share))
    whole, part = found
    assert not part.exact
    for name in ("link", "null", "disappear", "divide"):
        np.testing.assert_allclose(getattr(part, name), getattr(whole, name), rtol=0, atol=1e-12)
    assert part.log_z == pytest.approx(whole.log_z, abs=1e-9)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tiny_problems(), st.sampled_from([4.0, 12.0, 40.0]), st.sampled_from([0.0, 1.1]))
def test_what_is_proved_holds_where_components_do_not_fit_their_share(problem, arcs, most):
    if all_assignments(problem)[1].size == 0 or not problem.is_convex:
        return
    expected = posterior(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "MOST_OF_ALL", most)
        try:
            found = automatic._by_clusters(problem, 1.0, 0.01, 10**6, Share(arcs, 0.0))
        except EliminationTooLargeError:
            event("even the MAP does not fit")
            return
    event("estimated" if not found.exact else "proved")
    links = problem.links
    for name, error in (
        ("link", found.daughter_error[links.daughter]),
        ("null", found.daughter_error),
        ("disappear", found.mother_error),
        ("divide", found.mother_error),
    ):
        values, truth = getattr(found, name), expected[name]
        if name == "link":
            values, truth = values[links.link], truth[links.link]
        assert (np.abs(values - truth) <= error + 1e-9).all()


def test_levels_rise_only_where_components_do_not_fit(monkeypatch):
    raised = []
    raise_levels = fitting._raise_levels

    def watched(*arguments):
        touched, most = raise_levels(*arguments)
        raised.append((touched.size, int(touched.sum())))
        return touched, most

    monkeypatch.setattr(fitting, "_raise_levels", watched)
    automatic._by_clusters(MOVIE, 1.0, 1e-3, 10**8, Share(40, 0))
    assert len(raised) > 2
    sizes = [size for size, _ in raised]
    assert sizes[0] == MOVIE.links.mother.size
    assert all(after <= touched for (_, touched), after in zip(raised, sizes[1:], strict=False))


@pytest.mark.parametrize("seed", range(20))
def test_links_that_may_be_taken_back_are_those_that_could_be_too_many(seed):
    rng = np.random.default_rng(seed)
    n, n_links, k = 30, 200, 6
    mother, daughter = rng.integers(0, n, (2, n_links))
    of_mother, of_daughter = rng.integers(0, k, (2, n))
    high = 10.0 ** rng.uniform(-8, 0, n_links)
    among, keep = rng.random((2, n_links)) < 0.7
    components, most = rng.random(k) < 0.6, 10.0 ** rng.uniform(-4, 0)
    link, at, faint = still_dropped_at(
        components, among, keep, mother, daughter, of_mother, of_daughter, high, most
    )
    for c in np.flatnonzero(components):
        touching = np.flatnonzero(among & ~keep & ((of_mother[mother] == c) | (of_daughter[daughter] == c)))
        listed = link[at == c]
        rest = np.setdiff1d(touching, listed)
        assert len(listed) + len(rest) == len(touching)
        assert faint[c] == pytest.approx(high[rest].sum())
        assert faint[c] <= most * (1 + 1e-12)
        assert high[rest].max(initial=0.0) <= high[listed].min(initial=np.inf)
    assert np.isin(at, np.flatnonzero(components)).all()
