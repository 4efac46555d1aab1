import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support.brute_force import all_assignments, posterior
from tests.support.problems import standard_instance, tiny_problems
from torchtrack_uq.assignment import (
    AssignmentProblem,
    EliminationTooLargeError,
    InfeasibleProblemError,
    NonConvexDivisionError,
    marginals,
)

many = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])


temperatures = st.sampled_from([0.25, 1.0, 3.0])


FIELDS = ("link", "null", "disappear", "divide")


def largest_error(result, expected):
    return max(float(np.abs(getattr(result, name) - expected[name]).max(initial=0.0)) for name in FIELDS)


@many
@given(
    tiny_problems(convex=False),
    temperatures,
    st.sampled_from(["exact", "auto"]),
    st.sampled_from([0.0, 1e-3]),
)
def test_exact_marginals_equal_enumeration_also_where_divisions_are_not_convex(
    problem, temperature, method, tolerance
):
    if all_assignments(problem)[1].size == 0:
        with pytest.raises(InfeasibleProblemError):
            marginals(problem, temperature, method, tolerance=tolerance)
        return
    expected = posterior(problem, temperature)
    result = marginals(problem, temperature, method, tolerance=tolerance)
    assert largest_error(result, expected) <= 1e-9
    assert result.log_z == pytest.approx(expected["log_z"], abs=1e-9)
    assert (result.covered_mass, result.error_bound, result.exact) == (1.0, 0.0, True)


@many
@given(
    tiny_problems(),
    temperatures,
    st.sampled_from(["k_best", "component_k_best", "bp"]),
    st.sampled_from([1, 4, 1000]),
)
def test_certificates_of_approximate_methods_hold(problem, temperature, method, k):
    assume(all_assignments(problem)[1].size > 0)
    expected = posterior(problem, temperature)
    result = marginals(problem, temperature, method, k=k)
    assert largest_error(result, expected) <= result.error_bound + 1e-9
    sums = result.null.copy()
    np.add.at(sums, problem.daughter, result.link)
    np.testing.assert_allclose(sums, 1.0, atol=1e-6 if method == "bp" else 1e-9)
    if method != "bp":
        weights = np.sort(all_assignments(problem)[1])[::-1] / temperature
        best = float(np.exp(weights[:k] - expected["log_z"]).sum())
        assert result.covered_mass <= (1.0 if method == "component_k_best" else best) + 1e-9
        if k == 1000:
            assert result.covered_mass == pytest.approx(1.0)
            assert largest_error(result, expected) <= 1e-9
            assert result.log_z == pytest.approx(expected["log_z"], abs=1e-9)


@settings(max_examples=300, deadline=None)
@given(tiny_problems(forbid=False), temperatures)
def test_belief_propagation_is_exact_on_trees(problem, temperature):
    # keep a spanning forest of the candidate graph
    root = list(range(problem.n_mothers + problem.n_daughters))

    def find(x):
        while root[x] != x:
            x = root[x]
        return x

    rows = []
    for row, (i, j) in enumerate(zip(problem.mother, problem.daughter, strict=True)):
        a, b = find(i), find(problem.n_mothers + j)
        if a != b:
            root[a] = b
            rows.append(row)
    tree = AssignmentProblem(
        problem.mother[rows], problem.daughter[rows], problem.score[rows],
        problem.appear, problem.disappear, problem.divide,
    )  # fmt: skip
    result = marginals(tree, temperature, "bp")
    assert result.converged
    assert largest_error(result, posterior(tree, temperature)) <= 1e-7


def test_links_outside_the_k_best_keep_some_probability():
    problem = standard_instance(30, 0.3)
    result = marginals(problem, method="k_best", k=5)
    assert (result.link > 0).all()


@pytest.mark.parametrize("sigma", [0.1, 0.15])
def test_pruned_elimination_stays_within_its_bound(sigma):
    problem = standard_instance(300, sigma, seed=5)
    assert problem.n_links > 2_000  # so links are dropped
    result = marginals(problem, method="exact", tolerance=1e-3)
    reference = marginals(problem, method="exact", tolerance=1e-6)
    assert 0.0 < result.error_bound <= 1e-3
    assert result.exact
    assert reference.error_bound <= 1e-6
    for name in FIELDS:
        difference = np.abs(getattr(result, name) - getattr(reference, name)).max()
        assert difference <= result.error_bound + reference.error_bound
    sums = result.null.copy()
    np.add.at(sums, problem.daughter, result.link)
    np.testing.assert_allclose(sums, 1.0, atol=1e-9)


def test_exact_refuses_with_the_size_of_the_component():
    with pytest.raises(
        EliminationTooLargeError, match=r"\d+ daughters and \d+ mothers \(frontier of \d+ mothers\)"
    ):
        marginals(standard_instance(300, 0.5), method="exact", memory_limit=1_000_000)


def test_auto_says_that_it_is_not_exact_where_elimination_does_not_fit():
    result = marginals(standard_instance(300, 0.5), memory_limit=1_000_000)
    assert not result.exact
    assert result.method == "cluster_bp"
    assert result.error_bound > 1e-3
    assert result.components is not None
    assert result.components.n_daughters.sum() <= 315


def test_auto_stays_exact_in_the_components_that_fit():
    problem = standard_instance(1000, 0.2)
    reference = marginals(problem, method="exact")
    result = marginals(problem, memory_limit=2_000_000)
    assert reference.exact
    assert not result.exact
    assert result.method == "cluster_bp"
    report = result.components
    assert set(report.method) == {"exact", "cluster_bp"}
    assert report.exact[report.method == "exact"].all()
    assert report.n_daughters[report.exact].sum() > problem.n_daughters / 10
    # the cells of exact components are within both bounds, whichever they are
    error = np.abs(result.null - reference.null)
    np.maximum.at(error, problem.daughter, np.abs(result.link - reference.link))
    within = np.count_nonzero(error <= 1e-3 + reference.error_bound)
    assert within >= report.n_daughters[report.exact].sum()


def crowded(n_mothers, n_daughters, must_divide=0, seed=0):
    """Every daughter has every mother as a candidate; the first mothers may not disappear."""
    rng = np.random.default_rng(seed)
    mother, daughter = np.divmod(np.arange(n_mothers * n_daughters), n_daughters)
    place, origin = rng.uniform(0, 4, (n_mothers, 2)), rng.uniform(0, 4, (n_daughters, 2))
    score = -2 * ((place[mother] - origin[daughter]) ** 2).sum(axis=1)
    disappear = np.where(np.arange(n_mothers) < must_divide, -np.inf, -9.0)
    return AssignmentProblem.build(mother, daughter, score, n_mothers, n_daughters, -9.0, disappear, 0.0)


@pytest.mark.parametrize("temperature", [1.0, 0.2, 0.05, 0.01])
@pytest.mark.parametrize("must_divide", [0, 3])
def test_auto_answers_where_daughters_far_outnumber_their_mothers_places(temperature, must_divide):
    problem = crowded(13, 31, must_divide)
    result = marginals(problem, temperature, memory_limit=1 << 20)
    sums = np.bincount(problem.daughter, result.link, minlength=31) + result.null
    np.testing.assert_allclose(sums, 1.0, atol=1e-6)
    # an estimate keeps to the mothers' places only as nearly as its messages have settled
    np.testing.assert_array_less(np.bincount(problem.mother, result.link, minlength=13), 2.01)


@settings(max_examples=200, deadline=None)
@given(tiny_problems(max_daughters=7), st.sampled_from([0.01, 0.25, 1.0]), st.sampled_from([1, 800, 2_400]))
def test_auto_ends_with_an_answer_or_an_error_whatever_the_memory(problem, temperature, memory_limit):
    try:
        result = marginals(problem, temperature, memory_limit=memory_limit)
    except (EliminationTooLargeError, InfeasibleProblemError):
        return
    sums = np.bincount(problem.daughter, result.link, minlength=problem.n_daughters) + result.null
    np.testing.assert_allclose(sums, 1.0, atol=1e-6)


def test_marginals_do_not_depend_on_the_order_of_links_daughters_or_mothers():
    problem = standard_instance(300, 0.15)
    rng = np.random.default_rng(0)
    links, mothers, daughters = (
        rng.permutation(size) for size in (problem.n_links, problem.n_mothers, problem.n_daughters)
    )
    renamed = AssignmentProblem(
        np.argsort(mothers)[problem.mother[links]], np.argsort(daughters)[problem.daughter[links]],
        problem.score[links], problem.appear[daughters], problem.disappear[mothers], problem.divide[mothers],
    )  # fmt: skip
    for method in ("exact", "component_k_best", "bp"):
        first, second = marginals(problem, method=method), marginals(renamed, method=method)
        np.testing.assert_allclose(second.link, first.link[links], atol=1e-7)
        np.testing.assert_allclose(second.divide, first.divide[mothers], atol=1e-7)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_temperatures_that_are_not_positive_are_refused(temperature):
    with pytest.raises(ValueError, match="temperature must be positive"):
        marginals(standard_instance(3, 0.3), temperature)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"k": 0}, "k must be"), ({"tolerance": -1.0}, "tolerance must"), ({"method": "magic"}, "got 'magic'")],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        marginals(standard_instance(3, 0.3), **arguments)


@pytest.mark.parametrize("method", ["k_best", "component_k_best"])
def test_lists_refuse_non_convex_divisions(method):
    with pytest.raises(NonConvexDivisionError):
        marginals(AssignmentProblem.build([0, 0], [0, 1], 0.0, 1, 2, divide=1.0), method=method)
