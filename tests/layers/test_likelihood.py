import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.brute_force import all_assignments, posterior
from tests.support.problems import standard_instance, tiny_problems
from torchtrack_uq import CandidateGraph, Detections, InputError, UncertaintyLayer
from torchtrack_uq.assignment import AssignmentProblem, solve_map
from torchtrack_uq.layers import EventOffsets, daughters_nll, joint_nll
from torchtrack_uq.layers.likelihood import LayerLoss
from torchtrack_uq.posterior.likelihood_bound import LikelihoodBoundWarning
from torchtrack_uq.truth.targets import LinkTargets


def graph_of(frames: list[int], links: list[tuple[int, int, float]], **events: float) -> CandidateGraph:
    cells = Detections.from_points(np.array(frames), np.zeros((len(frames), 2)))
    mother, daughter, score = zip(*links, strict=True)
    return CandidateGraph.from_links(
        cells, mother, daughter, torch.tensor(score, dtype=torch.float64, requires_grad=True), **events
    )


def truth(graph: CandidateGraph, mother: list[int], known: list[bool] | None = None) -> LinkTargets:
    judged = None if known is None else torch.tensor(known)
    return LinkTargets.from_mothers(torch.tensor(mother), graph.frame, judged)


@given(tiny_problems(), st.data())
def test_joint_nll_is_that_of_enumeration(problem: AssignmentProblem, data: st.DataObject) -> None:
    parents, weights = all_assignments(problem)
    assume(len(parents) > 0 and problem.n_daughters > 0)
    drawn = data.draw(st.integers(0, len(parents) - 1))
    graph = CandidateGraph.from_problem(problem)
    found = joint_nll(
        UncertaintyLayer("exact"), graph, truth(graph, [-1] * problem.n_mothers + parents[drawn].tolist())
    )
    expected = (posterior(problem)["log_z"] - weights[drawn]) / problem.n_daughters
    assert float(found.loss.detach()) == pytest.approx(expected, abs=1e-6)
    assert (found.n_daughters, found.n_unreachable) == (problem.n_daughters, 0)


def test_the_gradient_is_marginals_minus_truth() -> None:
    graph = graph_of([0, 0, 1, 1], [(0, 2, 1.0), (1, 2, 0.3), (0, 3, 0.4), (1, 3, -0.2)], disappear=-0.5)
    layer = UncertaintyLayer("exact")
    loss = joint_nll(layer, graph, truth(graph, [-1, -1, 0, 1])).loss
    (gradient,) = torch.autograd.grad(loss, graph.score)
    made = torch.tensor([1.0, 0.0, 0.0, 1.0]).double()
    torch.testing.assert_close(gradient, (layer(graph).link.detach() - made) / 2)


def test_a_frame_pair_with_three_daughters_is_left_out() -> None:
    links = [(0, 1, 0.5), (0, 2, 0.5), (0, 3, 0.5), (1, 4, 0.7)]
    graph = graph_of([0, 1, 1, 1, 2], links)
    found = joint_nll(UncertaintyLayer("exact"), graph, truth(graph, [-1, 0, 0, 0, 1]))
    alone = graph_of([0, 1], [(0, 1, 0.7)])
    assert (found.n_crowded, found.n_daughters) == (1, 1)
    torch.testing.assert_close(
        found.loss, joint_nll(UncertaintyLayer("exact"), alone, truth(alone, [-1, 0])).loss
    )
    assert daughters_nll(UncertaintyLayer("SM"), graph, truth(graph, [-1, 0, 0, 0, 1])).n_daughters == 4


@pytest.mark.parametrize("reason", ["no candidate", "not annotated"])
def test_with_lists_a_daughter_without_usable_truth_is_taken_out(reason: str) -> None:
    """The rest of her frame pair counts as if she had not been there, and her mother's fate is open."""
    _, found = _one_unusable("AS", reason)
    disappear, divide = ([-0.7, 0.0], [-0.2, 0.0]) if reason == "no candidate" else ([0.0] * 2, [0.0] * 2)
    rest = AssignmentProblem.build(
        [0, 1], [0, 0], [0.4, 0.1], 2, 1, appear=-0.3, disappear=disappear, divide=divide
    )
    weight = 0.4 + disappear[1]
    assert float(found.loss.detach()) == pytest.approx(posterior(rest)["log_z"] - weight, abs=1e-5)
    assert (found.n_daughters, found.n_unreachable) == (1, int(reason == "no candidate"))


@pytest.mark.parametrize("method", ["exact", "auto", "bp"])
@pytest.mark.parametrize("reason", ["no candidate", "not annotated"])
def test_a_daughter_without_usable_truth_is_summed_over(method: str, reason: str) -> None:
    """That her mother seems to disappear is not held against the scorer where she is no candidate."""
    graph, found = _one_unusable(method, reason)
    disappear, divide = ([-0.7, 0.0], [-0.2, 0.0]) if reason == "no candidate" else ([-0.7] * 2, [-0.2] * 2)
    problem = AssignmentProblem.build(
        [0, 1, 0], [0, 0, 1], [0.4, 0.1, 0.9], 2, 2, appear=-0.3, disappear=disappear, divide=divide
    )
    parents, weights = all_assignments(problem)
    expected = np.logaddexp.reduce(weights) - np.logaddexp.reduce(weights[parents[:, 0] == 0])
    assert float(found.loss.detach()) == pytest.approx(expected, abs=1e-5)
    assert (found.n_daughters, found.n_unreachable) == (1, int(reason == "no candidate"))
    (gradient,) = torch.autograd.grad(found.loss, graph.score)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("known", [[True, False], [False, False]])
def test_links_that_are_known_to_be_wrong_count(known: list[bool]) -> None:
    """Also where nothing else is known of their frame pair."""
    links = [(0, 2, 0.4), (1, 2, 0.1), (0, 3, 0.9), (1, 3, -0.4)]
    graph = graph_of([0, 0, 1, 1], links, appear=-0.3, disappear=-0.7, divide=-0.2)
    targets = replace(
        truth(graph, [-1, -1, 0, -1], [True, True, *known]), rejected=torch.tensor([[0, 3], [1, 2]])
    )
    found = joint_nll(UncertaintyLayer("exact"), graph, targets)
    parents, weights = all_assignments(graph.problem(1))
    agrees = (parents[:, 1] != 0) & ((parents[:, 0] == 0) if known[0] else (parents[:, 0] != 1))
    expected = np.logaddexp.reduce(weights) - np.logaddexp.reduce(weights[agrees])
    assert float(found.loss.detach()) == pytest.approx(expected, abs=1e-6)
    assert found.n_daughters == sum(known)


def _one_unusable(method: str, reason: str) -> tuple[CandidateGraph, LayerLoss]:
    links = [(0, 2, 0.4), (1, 2, 0.1), (0, 3, 0.9)]
    graph = graph_of([0, 0, 1, 1], links, appear=-0.3, disappear=-0.7, divide=-0.2)
    known = [True, True, True, reason == "no candidate"]
    return graph, joint_nll(UncertaintyLayer(method), graph, truth(graph, [-1, -1, 0, 1], known))


def test_a_forbidden_event_leaves_its_frame_pair_out() -> None:
    links = [(0, 2, 0.4), (1, 2, 0.1), (2, 3, 0.2)]
    graph = graph_of([0, 0, 1, 2], links)
    graph = replace(graph, disappear=torch.tensor([-torch.inf, 0.0, 0.0, 0.0]).double())
    found = joint_nll(UncertaintyLayer("exact"), graph, truth(graph, [-1, -1, 1, 2]))
    assert (found.n_impossible, found.n_daughters) == (1, 1)
    assert bool(torch.isfinite(found.loss))


def test_without_any_truth_the_loss_is_zero_and_has_a_gradient() -> None:
    graph = graph_of([0, 1], [(0, 1, 0.4)])
    for found in (
        joint_nll(UncertaintyLayer("exact"), graph, truth(graph, [-1, 0], [False, False])),
        daughters_nll(UncertaintyLayer("SM"), graph, truth(graph, [-1, 0], [False, False])),
    ):
        assert float(found.loss.detach()) == 0 == found.n_daughters
        (gradient,) = torch.autograd.grad(found.loss, graph.score)
        assert gradient.tolist() == [0.0]


def test_daughters_whose_mother_is_no_candidate_do_not_count_daughter_wise() -> None:
    graph = graph_of([0, 0, 1, 1], [(0, 2, 0.4), (1, 2, 0.1), (0, 3, 0.9)])
    found = daughters_nll(
        UncertaintyLayer("SM"), graph, truth(graph, [-1, -1, 1, 1], [True, True, True, True])
    )
    assert (found.n_daughters, found.n_unreachable) == (1, 1)
    expected = np.log(1 + np.exp(0.4) + np.exp(0.1)) - 0.1
    assert float(found.loss.detach()) == pytest.approx(expected)


def test_a_vanishing_temperature_is_an_error_not_nan() -> None:
    graph = graph_of([0, 1], [(0, 1, 1e300)])
    with pytest.raises(InputError):
        joint_nll(UncertaintyLayer("exact", 1e-300), graph, truth(graph, [-1, 0]))
    with pytest.raises(InputError, match="no joint likelihood"):
        joint_nll(UncertaintyLayer("SM"), graph, truth(graph, [-1, 0]))
    others = LinkTargets.from_mothers(torch.tensor([-1] * 3), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(InputError, match="targets for 3"):
        joint_nll(UncertaintyLayer("exact"), graph, others)


def test_learnt_event_scores_expect_as_many_events_as_there_are() -> None:
    """At the joint likelihood's maximum, expected numbers of events are the true ones."""
    rng = np.random.default_rng(0)
    frames, links, mothers = [], [], []
    for t in range(30):
        first = len(frames)
        problem = AssignmentProblem.build(
            [0, 0, 1, 1], [0, 1, 0, 1], rng.normal(size=4), 2, 2, -0.5, -1.0, divide=0.4
        )
        parents, weights = all_assignments(problem)
        drawn = parents[rng.choice(len(parents), p=np.exp(weights) / np.exp(weights).sum())]
        frames += [2 * t, 2 * t, 2 * t + 1, 2 * t + 1]
        pairs = zip(problem.mother, problem.daughter, problem.score, strict=True)
        links += [(first + int(i), first + 2 + int(j), float(score)) for i, j, score in pairs]
        mothers += [-1, -1, *np.where(drawn < 0, -1, drawn + first).tolist()]
    graph = graph_of(frames, links)
    is_daughter = graph.frame % 2 == 1
    targets = LinkTargets(torch.tensor(mothers), is_daughter, ~is_daughter)
    events = EventOffsets()
    layer = UncertaintyLayer("exact", events=events)
    optimizer = torch.optim.LBFGS(events.parameters(), line_search_fn="strong_wolfe", max_iter=15)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = joint_nll(layer, graph, targets).loss
        loss.backward(retain_graph=True)
        return loss

    optimizer.step(closure)
    found, count = layer(graph), targets.n_daughters[~is_daughter]
    expected = [found.null[is_daughter], found.disappear[~is_daughter], found.divide[~is_daughter]]
    happened = [targets.mother[is_daughter] < 0, count == 0, count == 2]
    for p, truly in zip(expected, happened, strict=True):
        assert int(truly.sum()) > 3
        assert float(p.detach().sum()) == pytest.approx(float(truly.sum()), abs=0.1)


class TestABoundOfTheLikelihood:
    """AS sums over its list: that is said where the list may be short."""

    def crowd(self) -> tuple[CandidateGraph, LinkTargets]:
        problem = standard_instance(60, 0.5)
        graph = CandidateGraph.from_problem(problem)
        return graph, truth(graph, [-1] * problem.n_mothers + solve_map(problem).parent.tolist())

    def test_is_said_once_with_the_mass_and_the_way_out(self) -> None:
        graph, targets = self.crowd()
        with pytest.warns(
            LikelihoodBoundWarning, match=r"log Z from below.*in 1 of 1.*cover 99%.*auto or exact"
        ) as said:
            found = joint_nll(UncertaintyLayer("AS"), graph, targets)
        loss = found.loss
        assert len(said) == 1
        with pytest.warns(LikelihoodBoundWarning):
            log_p = UncertaintyLayer("AS").log_prob(graph, targets.mother)
        assert float(loss.detach()) == pytest.approx(-float(log_p.detach()) / found.n_daughters)
        assert float(loss.detach()) < float(joint_nll(UncertaintyLayer("auto"), graph, targets).loss.detach())

    def test_is_not_said_where_the_list_is_all_there_is_or_another_method_sums(self) -> None:
        graph, targets = self.crowd()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for method in ("auto", "bp"):
                joint_nll(UncertaintyLayer(method), graph, targets)
            small = graph_of([0, 0, 1, 1], [(0, 2, 0.4), (1, 2, 0.1), (0, 3, 0.9)])
            joint_nll(UncertaintyLayer("AS"), small, truth(small, [-1, -1, 1, 0]))
