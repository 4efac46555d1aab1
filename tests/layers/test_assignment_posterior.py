from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from tests.support.brute_force import all_assignments, posterior
from tests.support.probabilities import check_probabilities
from tests.support.problems import standard_instance, tiny_problems
from torchtrack_uq import AssignmentPosterior, CandidateGraph, Detections, InputError, LinkProbabilities
from torchtrack_uq.assignment import AssignmentProblem, log_weight_of, marginals

METHODS = ("AS", "exact", "auto", "bp")


def sorted_problem(problem: AssignmentProblem) -> AssignmentProblem:
    """The problem with its links in the order of a graph."""
    order = np.lexsort((problem.mother, problem.daughter))
    return AssignmentProblem(
        problem.mother[order], problem.daughter[order], problem.score[order],
        problem.appear, problem.disappear, problem.divide,
    )  # fmt: skip


def parts(p: LinkProbabilities, problem: AssignmentProblem) -> dict[str, np.ndarray]:
    m = problem.n_mothers
    return {
        "link": p.link.detach().numpy(),
        "null": p.null.detach().numpy()[m:],
        "disappear": p.disappear.detach().numpy()[:m],
        "divide": p.divide.detach().numpy()[:m],
    }


@settings(max_examples=150, deadline=None)
@given(tiny_problems(), st.sampled_from(["AS", "exact", "auto"]))
def test_marginals_equal_enumeration(problem: AssignmentProblem, method: str) -> None:
    problem = sorted_problem(problem)
    graph = CandidateGraph.from_problem(problem)
    if not len(all_assignments(problem)[1]):
        with pytest.raises(InputError, match="frames 0 and 1 cannot be linked"):
            AssignmentPosterior(method, k=10_000)(graph)
        return
    found, truth = AssignmentPosterior(method, k=10_000)(graph), posterior(problem)
    for name, values in parts(found, problem).items():
        np.testing.assert_allclose(values, truth[name], atol=1e-9, err_msg=name)
    assert found.log_z is not None
    assert float(found.log_z) == pytest.approx(truth["log_z"], abs=1e-9)
    assert bool(found.exact)


@pytest.mark.parametrize("seed", range(3))
def test_belief_propagation_equals_the_reference_and_is_exact_on_trees(seed: int) -> None:
    problem = sorted_problem(standard_instance(40, 0.3, seed))
    found = AssignmentPosterior("bp")(CandidateGraph.from_problem(problem))
    reference = marginals(problem, method="bp")
    for name, values in parts(found, problem).items():
        np.testing.assert_allclose(values, getattr(reference, name), atol=1e-6, err_msg=name)
    chain = sorted_problem(
        AssignmentProblem.build([0, 1, 1, 2, 2, 2], [0, 0, 1, 1, 2, 3], [1.0, -1, 0.3, 0.2, -0.5, 2], 3, 4,
                                appear=[-1.0, 0.5, 0, -2], disappear=[-0.3, -1, -2], divide=[0.1, -1, 0.4])
    )  # fmt: skip
    on_tree, truth = AssignmentPosterior("bp")(CandidateGraph.from_problem(chain)), posterior(chain)
    for name, values in parts(on_tree, chain).items():
        np.testing.assert_allclose(values, truth[name], atol=1e-7, err_msg=name)
    assert float(on_tree.log_z) == pytest.approx(truth["log_z"], abs=1e-7)


PROBLEM = sorted_problem(standard_instance(4, 0.7, seed=3, k_nearest=3))


def graph_with(
    score: Tensor, appear: Tensor, disappear: Tensor, divide: Tensor, temperature: Tensor
) -> CandidateGraph:
    graph = CandidateGraph.from_problem(PROBLEM)
    n, m = PROBLEM.n_daughters, PROBLEM.n_mothers
    events = (torch.cat([appear.new_zeros(m), appear]), torch.cat([disappear, appear.new_zeros(n)]),
              torch.cat([divide, appear.new_zeros(n)]))  # fmt: skip
    return graph.with_scores(score / temperature, *(event / temperature for event in events))


def leaves() -> list[Tensor]:
    values = (PROBLEM.score, PROBLEM.appear, PROBLEM.disappear, PROBLEM.divide, 1.3)
    return [torch.tensor(np.array(v), dtype=torch.float64, requires_grad=True) for v in values]


@pytest.mark.parametrize(("method", "k"), [("AS", 12), ("AS", 10_000), ("exact", 1), ("auto", 1), ("bp", 1)])
def test_gradients_with_respect_to_scores_event_scores_and_temperature(method: str, k: int) -> None:
    layer = AssignmentPosterior(method, k=k)

    def outputs(*scores: Tensor) -> tuple[Tensor, ...]:
        p = layer(graph_with(*scores))
        assert p.log_z is not None
        return p.link, p.null, p.disappear, p.divide, p.entropy, p.log_z

    assert gradcheck(outputs, leaves(), atol=1e-5, rtol=1e-4, fast_mode=method == "bp")


@pytest.mark.parametrize("method", ["AS", "exact", "auto"])
def test_gradients_equal_finite_differences_of_brute_force(method: str) -> None:
    inputs = leaves()
    weight = torch.randn(PROBLEM.n_links, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (AssignmentPosterior(method, k=10_000)(graph_with(*inputs)).link * weight).sum().backward()

    def by_hand(values: list[np.ndarray]) -> float:
        score, appear, disappear, divide, T = values
        problem = AssignmentProblem(PROBLEM.mother, PROBLEM.daughter, score, appear, disappear, divide)
        return float(posterior(problem, float(T))["link"] @ weight.numpy())

    values = [x.detach().numpy().copy() for x in inputs]
    for x, value in zip(inputs, values, strict=True):
        for k in range(value.size):
            ends = []
            for step in (1e-5, -1e-5):
                value.flat[k] += step
                ends.append(by_hand(values))
                value.flat[k] -= step
            expected = (ends[0] - ends[1]) / 2e-5
            assert float(x.grad.flatten()[k]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_log_likelihood_of_every_assignment_and_its_gradient(method: str) -> None:
    parents, weights = all_assignments(PROBLEM)
    layer = AssignmentPosterior(method, k=10_000)
    log_z = posterior(PROBLEM, 1.3)["log_z"]
    total = 0.0
    m = PROBLEM.n_mothers
    for parent, weight in list(zip(parents, weights, strict=True))[::7]:
        mother = torch.tensor([-1] * m + parent.tolist())
        log_p = layer.log_prob(graph_with(*leaves()), mother).detach()
        assert log_p.shape == (1,)
        if method != "bp":
            assert float(log_p) == pytest.approx(weight / 1.3 - log_z, abs=1e-9)
        assert weight == pytest.approx(log_weight_of(PROBLEM, parent))
        total += float(log_p.exp())
    assert total < 1 or method == "bp"
    mother = torch.tensor([-1] * m + parents[0].tolist())
    assert gradcheck(
        lambda *scores: layer.log_prob(graph_with(*scores), mother),
        leaves(),
        atol=1e-5,
        fast_mode=method == "bp",
    )


@pytest.mark.filterwarnings("ignore::torchtrack_uq.posterior.likelihood_bound.LikelihoodBoundWarning")
def test_the_likelihood_of_an_assignment_outside_the_k_best_counts_it_into_z() -> None:
    parents, weights = all_assignments(PROBLEM)
    worst, ranked = parents[weights.argmin()], np.sort(weights)[::-1]
    graph = CandidateGraph.from_problem(PROBLEM)
    mother = torch.tensor([-1] * PROBLEM.n_mothers + worst.tolist())
    found = AssignmentPosterior("AS", k=5).log_prob(graph, mother)
    expected = ranked[-1] - np.logaddexp.reduce([*ranked[:5], ranked[-1]])
    assert float(found) == pytest.approx(expected, abs=1e-9)


def test_impossible_assignments_have_probability_zero() -> None:
    cells = Detections.from_points(np.array([0, 1, 1, 1, 2]), np.zeros((5, 2)))
    score = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    graph = CandidateGraph.from_links(cells, [0, 0, 0], [1, 2, 3], score)
    for mother, impossible in (
        ([-1, 0, 0, 0, -1], [True, False]),  # three daughters
        ([-1, 0, 0, -1, 2], [False, True]),  # not a candidate
        ([-1, 0, 0, -1, -1], [False, False]),
    ):
        log_p = AssignmentPosterior("exact").log_prob(graph, torch.tensor(mother))
        assert torch.isneginf(log_p).tolist() == impossible
    log_p.sum().backward()
    assert torch.isfinite(score.grad).all()
    for bad in (torch.zeros(4, dtype=torch.int64), torch.zeros(5), torch.full((5,), 9)):
        with pytest.raises(InputError, match="mother"):
            AssignmentPosterior("exact").log_prob(graph, bad)


class TestWhatTheKBestLeave:
    problem = sorted_problem(standard_instance(12, 0.5, seed=1))

    def test_every_candidate_has_a_probability_and_the_rest_is_equation_4(self) -> None:
        graph = CandidateGraph.from_problem(self.problem)
        with_rest, to_the_letter = (AssignmentPosterior("AS", 20, leftover=x)(graph) for x in (True, False))
        assert (to_the_letter.link == 0).any()
        assert (with_rest.link > 0).all()
        assert float((with_rest.link - to_the_letter.link).abs().max()) < 0.1
        best = marginals(self.problem, method="k_best", k=20)
        assert with_rest.covered_mass is not None
        assert 0 < float(with_rest.covered_mass) <= 1
        assert float(with_rest.log_z) == pytest.approx(best.log_z)

    def test_covered_mass_is_a_lower_bound_and_error_an_upper_one_at_any_temperature(self) -> None:
        graph = CandidateGraph.from_problem(self.problem)
        support = AssignmentPosterior("AS", 20).support(graph)
        for T in (0.3, 1.0, 2.0):
            scaled = graph.with_scores(
                *(getattr(graph, name) / T for name in ("score", "appear", "disappear", "divide"))
            )
            found = AssignmentPosterior("AS", 20)(scaled, support)
            again = AssignmentPosterior("AS", 20)(scaled)
            torch.testing.assert_close(found.link, again.link)
            truth = AssignmentPosterior("exact", tolerance=0.0)(scaled)
            assert float(found.covered_mass) <= float((found.log_z - truth.log_z).exp()) + 1e-12
            assert float((found.link - truth.link).abs().max()) <= float(found.error_bound) + 1e-12

    @settings(max_examples=150, deadline=None)
    @given(tiny_problems(), st.integers(1, 6))
    def test_it_leaves_sums_and_capacities_intact(self, problem: AssignmentProblem, k: int) -> None:
        if len(all_assignments(problem)[1]):
            p = AssignmentPosterior("AS", k)(CandidateGraph.from_problem(problem))
            check_probabilities(p)

    def test_the_search_can_run_in_the_background(self) -> None:
        graph = CandidateGraph.from_problem(self.problem)
        layer = AssignmentPosterior("AS", 20)
        started = layer.start(graph)
        torch.testing.assert_close(layer(graph, started.result()).link, layer(graph).link)


class TestUnusualMovies:
    @pytest.mark.parametrize("method", METHODS)
    def test_frames_without_cells_one_cell_and_no_candidates(self, method: str) -> None:
        cells = Detections.from_points(np.array([1, 2, 2, 4, 5]), np.zeros((5, 2)), n_frames=7)
        graph = CandidateGraph.from_links(
            cells, [0, 3], [2, 4], torch.tensor([-1.0, 2.0], requires_grad=True)
        )
        p = AssignmentPosterior(method)(graph)
        check_probabilities(p)
        assert p.null.tolist()[1] == 1  # a cell that no tracker offers a mother
        assert p.appear[0] == 1  # frame 0 is empty: cell 0 in frame 1 appeared
        p.link.sum().backward()
        assert graph.score.grad_fn is not None
        empty = CandidateGraph.from_links(cells, [], [], torch.zeros(0))
        assert (AssignmentPosterior(method)(empty).null == 1).all()

    @pytest.mark.parametrize("method", METHODS)
    def test_forbidden_links_and_events(self, method: str) -> None:
        cells = Detections.from_points(np.array([0, 0, 1, 1]), np.zeros((4, 2)))
        score = torch.tensor([-torch.inf, 0.0, 1.0, -torch.inf], dtype=torch.float64, requires_grad=True)
        graph = CandidateGraph.from_links(
            cells, [0, 1, 0, 1], [2, 2, 3, 3], score, appear=[0, 0, -np.inf, 0.0], divide=-np.inf
        )
        p = AssignmentPosterior(method)(graph)
        check_probabilities(p)
        e = np.e
        np.testing.assert_allclose(p.link.detach(), [0, 1, e / (1 + e), 0], atol=1e-7)
        assert float(p.divide.detach().max()) == 0
        p.link.sum().backward()
        assert not torch.isnan(score.grad).any()

    @pytest.mark.parametrize("method", METHODS)
    def test_five_thousand_cells(self, method: str) -> None:
        problem = standard_instance(5000, 0.15, k_nearest=4)
        check_probabilities(AssignmentPosterior(method, k=50)(CandidateGraph.from_problem(problem)))

    def test_a_second_daughter_likelier_than_a_first_is_refused_with_its_frames(self) -> None:
        cells = Detections.from_points(np.array([0, 1, 1]), np.zeros((3, 2)))
        graph = CandidateGraph.from_links(cells, [0, 0], [1, 2], [0.0, 0.0], divide=1.0)
        with pytest.raises(InputError, match="frames 0 and 1 cannot be linked: disappear"):
            AssignmentPosterior("AS")(graph)

    @pytest.mark.parametrize("bad", [{"method": "murty"}, {"k": 0}, {"tolerance": -1.0}, {"memory_limit": 0}])
    def test_options_out_of_range_are_refused(self, bad: dict[str, object]) -> None:
        with pytest.raises(InputError):
            partial(AssignmentPosterior, **bad)()


class TestInTorch:
    graph = CandidateGraph.from_problem(PROBLEM)

    @pytest.mark.parametrize("method", METHODS)
    def test_autocast_changes_nothing(self, method: str) -> None:
        layer = AssignmentPosterior(method)
        with torch.autocast("cpu", torch.bfloat16):
            inside = layer(self.graph)
        assert torch.equal(inside.link, layer(self.graph).link)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_scores_of_half_precision_are_refused_with_advice(self, dtype: torch.dtype) -> None:
        with pytest.raises(InputError, match=r"convert with \.float\(\)"):
            self.graph.to(dtype=dtype)

    @pytest.mark.parametrize("method", METHODS)
    def test_compile_leaves_the_solvers_out(self, method: str) -> None:
        layer = AssignmentPosterior(method)
        compiled = torch.compile(layer, backend="eager")
        assert torch.equal(compiled(self.graph).link, layer(self.graph).link)
