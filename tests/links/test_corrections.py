import numpy as np
import pytest
import torch

from torchtrack_uq import AssignmentPosterior, CandidateGraph, Detections, UncertaintyLayer
from torchtrack_uq.assignment import AssignmentProblem, k_best
from torchtrack_uq.errors import InputError
from torchtrack_uq.links.corrections import confirm, forbid
from torchtrack_uq.posterior import map_links


def crowded(seed: int = 0) -> tuple[AssignmentProblem, CandidateGraph]:
    """3 mothers (cells 0 to 2) and 4 daughters (3 to 6), all of them candidates."""
    rng = np.random.default_rng(seed)
    mother, daughter = np.divmod(np.arange(12), 4)
    problem = AssignmentProblem.build(mother, daughter, rng.normal(0, 1, 12), 3, 4, -1.0, -1.5, -0.5)
    return problem, CandidateGraph.from_problem(problem)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("decided", [{3: 1}, {3: -1}, {4: 0, 5: 0}, {3: 2, 6: -1}])
def test_confirming_conditions_the_posterior(seed: int, decided: dict[int, int]) -> None:
    problem, graph = crowded(seed)
    listed = k_best(problem, 100_000)
    agrees = np.all([listed.parent[:, d - 3] == m for d, m in decided.items()], axis=0)
    weight = np.exp(listed.log_weight) * agrees
    wanted = {
        (i, j): weight[listed.parent[:, j] == i].sum() / weight.sum() for i in range(3) for j in range(4)
    }
    p = AssignmentPosterior("exact")(confirm(graph, list(decided), list(decided.values())))
    for i, j, found in zip(p.graph.mother.tolist(), p.graph.daughter.tolist(), p.link.tolist(), strict=True):
        assert found == pytest.approx(wanted[i, j - 3], abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_forbidding_conditions_the_posterior(seed: int) -> None:
    problem, graph = crowded(seed)
    listed = k_best(problem, 100_000)
    weight = np.exp(listed.log_weight) * (listed.parent[:, 0] != 1) * (listed.parent[:, 2] >= 0)
    p = AssignmentPosterior("exact")(forbid(graph, [3, 5], [1, -1]))
    wanted = weight[listed.parent[:, 3] == 0].sum() / weight.sum()
    link = (p.graph.mother == 0) & (p.graph.daughter == 6)
    assert float(p.link[link]) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("method", ["SM", "AS", "exact", "auto", "bp"])
def test_every_method_is_sure_of_what_was_confirmed(method: str) -> None:
    graph = confirm(crowded()[1], [3, 4], [1, -1])
    with torch.no_grad():
        p = UncertaintyLayer(method, 3.0)(graph)
    assert float(p.link[(graph.mother == 1) & (graph.daughter == 3)]) == pytest.approx(1.0, abs=1e-6)
    assert float(p.null[4]) == pytest.approx(1.0, abs=1e-6)
    assert p.entropy[3:5].tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    chosen = map_links(graph)
    assert graph.mother[chosen & (graph.daughter == 3).numpy()].tolist() == [1]
    assert not chosen[(graph.daughter == 4).numpy()].any()


def test_a_mother_who_was_no_candidate_becomes_one() -> None:
    cells = Detections.from_points(np.array([0, 0, 1, 1]), np.zeros((4, 2)))
    graph = CandidateGraph.from_links(cells, [0, 0], [2, 3], torch.tensor([1.0, -torch.inf]))
    found = confirm(graph, [2, 3], [1, 0])
    assert list(zip(found.mother.tolist(), found.daughter.tolist(), strict=True)) == [(0, 2), (1, 2), (0, 3)]
    assert AssignmentPosterior("exact")(found).link.tolist() == pytest.approx([0.0, 1.0, 1.0])


def test_no_mother_can_be_confirmed_where_the_tracker_forbids_it() -> None:
    cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    graph = CandidateGraph.from_links(cells, [0], [1], [2.0], appear=-np.inf)
    assert AssignmentPosterior("exact")(confirm(graph, [1], [-1])).null[1] == 1


def test_gradients_reach_the_scores_that_are_left() -> None:
    graph = crowded()[1]
    score = graph.score.clone().requires_grad_()
    open_graph = graph.with_scores(score, graph.appear, graph.disappear, graph.divide)
    AssignmentPosterior("exact")(confirm(open_graph, [3], [1])).link[:4].sum().backward()
    assert score.grad is not None
    assert bool(score.grad.isfinite().all())
    assert score.grad[graph.daughter == 3].abs().max() < 1e-7  # central differences
    assert score.grad[graph.daughter == 4].abs().max() > 1e-2


def test_nothing_decided_changes_nothing() -> None:
    graph = crowded()[1]
    for same in (confirm(graph, [], []), forbid(graph, [], [])):
        assert torch.equal(same.score, graph.score)
        assert torch.equal(same.appear, graph.appear)


@pytest.mark.parametrize(
    ("daughter", "mother", "message"),
    [
        ([3, 3], [0, 1], "cell 3 is decided twice"),
        ([0], [-1], "frame 0"),
        ([3], [4], "mothers are of the frame before"),
        ([3, 4, 5], [0, 0, 0], "more than two daughters"),
        ([3], [0, 1], "one length"),
        ([99], [0], "run from 99"),
        ([3], [-2], "run from -2"),
        ([3.0], [0], "whole numbers"),
    ],
)
def test_decisions_that_cannot_be_are_refused(daughter: list[int], mother: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        confirm(crowded()[1], daughter, mother)


def test_a_daughter_keeps_an_option() -> None:
    graph = crowded()[1]
    with pytest.raises(InputError, match="cell 5 is left with no mother"):
        forbid(graph, [5, 5, 5, 5], [0, 1, 2, -1])
