import dataclasses

import networkx as nx
import numpy as np
import pytest
import torch

from torchtrack_uq import CandidateGraph, Detections, InputError
from torchtrack_uq.assignment import AssignmentProblem

CELLS = Detections.from_points(
    np.array([0, 0, 1, 1, 1, 3]),
    np.arange(12.0).reshape(6, 2),
    label=np.array([5, 8, 1, 2, 70_000, 4]),
    n_frames=4,
)


MOTHER, DAUGHTER, SCORE = [1, 0, 0, 1], [3, 2, 3, 4], [1.0, 2.0, 3.0, -np.inf]


@pytest.fixture
def graph() -> CandidateGraph:
    events = np.arange(6.0)
    return CandidateGraph.from_links(
        CELLS, MOTHER, DAUGHTER, np.array(SCORE), appear=-events, disappear=-2 * events, divide=-3.0
    )


def test_links_are_sorted_by_daughter_then_mother(graph: CandidateGraph) -> None:
    assert graph.daughter.tolist() == [2, 3, 3, 4]
    assert graph.mother.tolist() == [0, 0, 1, 1]
    assert graph.score.tolist() == [2.0, 3.0, 1.0, -np.inf]
    assert graph.dtype == torch.float64


def test_problem_of_a_frame_pair_has_local_indices_and_its_own_event_scores(graph: CandidateGraph) -> None:
    problem = graph.problem(1)
    assert problem.mother.tolist() == [0, 0, 1, 1]
    assert problem.daughter.tolist() == [0, 1, 1, 2]
    assert problem.score.tolist() == [2.0, 3.0, 1.0, -np.inf]
    assert problem.appear.tolist() == [-2, -3, -4]
    assert problem.disappear.tolist() == [0, -2]
    assert problem.divide.tolist() == [-3, -3]


def test_every_frame_pair_has_a_problem_also_those_without_cells(graph: CandidateGraph) -> None:
    sizes = [(p.n_mothers, p.n_daughters, p.n_links) for p in graph.problems()]
    assert sizes == [(2, 3, 4), (3, 0, 0), (0, 1, 0)]


def test_problem_round_trip() -> None:
    problem = AssignmentProblem.build([0, 1, 0], [1, 1, 0], [0.5, -1, 2], 2, 3, -1.5, [-2, -3], -4)
    back = CandidateGraph.from_problem(problem).problem(1)
    order = np.lexsort((problem.mother, problem.daughter))
    for name in ("mother", "daughter", "score"):
        np.testing.assert_array_equal(getattr(back, name), getattr(problem, name)[order])
    for name in ("appear", "disappear", "divide"):
        np.testing.assert_array_equal(getattr(back, name), getattr(problem, name))


def test_networkx_round_trip(graph: CandidateGraph) -> None:
    back = CandidateGraph.from_networkx(graph.to_networkx(), dtype=torch.float64)
    for field in dataclasses.fields(CandidateGraph):
        expected, found = getattr(graph, field.name), getattr(back, field.name)
        if isinstance(expected, torch.Tensor):
            torch.testing.assert_close(found, expected)
        else:
            assert found == expected


def test_networkx_nodes_without_label_are_refused() -> None:
    graph = nx.DiGraph()
    graph.add_node("a", frame=0, coords=(0, 0))
    with pytest.raises(InputError, match="node 'a' has no attribute 'label'"):
        CandidateGraph.from_networkx(graph)


def test_networkx_edges_without_score_are_refused() -> None:
    graph = nx.DiGraph()
    graph.add_node("a", frame=0, label=1, coords=(0, 0))
    graph.add_node("b", frame=1, label=1, coords=(0, 0))
    graph.add_edge("a", "b", weight=1)
    with pytest.raises(InputError, match="from 'a' to 'b' has no attribute 'score'"):
        CandidateGraph.from_networkx(graph)


def test_gradients_flow_through_the_sorting() -> None:
    score = torch.tensor(SCORE[:3], requires_grad=True)
    graph = CandidateGraph.from_links(CELLS, MOTHER[:3], DAUGHTER[:3], score)
    (graph.score * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert score.grad.tolist() == [100, 1, 10]


def test_moves_to_another_dtype_and_device(graph: CandidateGraph) -> None:
    moved = graph.to("cpu", dtype=torch.float32)
    assert moved.score.dtype == moved.appear.dtype == torch.float32
    assert moved.mother.dtype == torch.int64


def test_is_frozen(graph: CandidateGraph) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.score = torch.zeros(4)


def test_movies_without_any_link_or_cell_are_graphs_too() -> None:
    empty = CandidateGraph.from_links(
        Detections.from_points(np.zeros(0), np.zeros((0, 2)), n_frames=3), [], [], []
    )
    assert [p.n_links for p in empty.problems()] == [0, 0]


class TestRefuses:
    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    @pytest.mark.parametrize("name", ["score", "appear", "disappear", "divide"])
    def test_scores_that_are_nan_or_plus_infinity(self, graph: CandidateGraph, name: str, bad: float) -> None:
        values = getattr(graph, name).clone()
        values[1] = bad
        with pytest.raises(InputError, match=f"{name} holds {bad} at position 1"):
            dataclasses.replace(graph, **{name: values})

    def test_links_that_skip_a_frame(self) -> None:
        with pytest.raises(InputError, match="from frame 1 to frame 3; expected consecutive"):
            CandidateGraph.from_links(CELLS, [2], [5], [0.0])

    def test_links_backwards(self) -> None:
        with pytest.raises(InputError, match="from frame 1 to frame 0"):
            CandidateGraph.from_links(CELLS, [2], [0], [0.0])

    def test_links_given_twice(self) -> None:
        with pytest.raises(InputError, match="from cell 0 to cell 2 is given twice"):
            CandidateGraph.from_links(CELLS, [0, 0], [2, 2], [0.0, 1.0])

    @pytest.mark.parametrize("index", [-1, 6])
    def test_cells_that_do_not_exist(self, index: int) -> None:
        with pytest.raises(InputError, match="expected 0 to 5"):
            CandidateGraph.from_links(CELLS, [index], [2], [0.0])

    def test_columns_of_different_length(self) -> None:
        with pytest.raises(InputError, match=r"score has shape \(2,\); expected \(1,\)"):
            CandidateGraph.from_links(CELLS, [0], [2], [0.0, 1.0])

    def test_event_scores_of_wrong_length(self) -> None:
        with pytest.raises(InputError, match=r"appear has shape \(2,\); expected \(6,\)"):
            CandidateGraph.from_links(CELLS, [0], [2], [0.0], appear=[0.0, 1.0])

    def test_half_precision(self) -> None:
        with pytest.raises(InputError, match=r"convert with \.float\(\)"):
            CandidateGraph.from_links(CELLS, [0], [2], torch.zeros(1, dtype=torch.float16))

    def test_frame_pairs_that_do_not_exist(self, graph: CandidateGraph) -> None:
        with pytest.raises(InputError, match="frame 1 to 3, got 4"):
            graph.problem(4)


@pytest.mark.parametrize("wrong", [np.array([0.5]), torch.tensor([0.0]), [True]])
def test_positions_of_cells_that_are_no_integers_are_refused(wrong: object) -> None:
    cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    with pytest.raises(InputError, match=r"mother has dtype .*; expected integers"):
        CandidateGraph.from_links(cells, wrong, [1], [0.0])
    with pytest.raises(InputError, match=r"daughter has dtype .*; expected integers"):
        CandidateGraph.from_links(cells, [0], wrong, [0.0])


def test_event_scores_that_are_numbers_keep_the_digits_of_the_scores_dtype() -> None:
    cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    score = torch.tensor([0.1], dtype=torch.float64)
    graph = CandidateGraph.from_links(cells, [0], [1], score, appear=-0.1, disappear=[-0.1, -0.2])
    assert graph.appear.tolist() == [-0.1, -0.1]
    assert graph.disappear.tolist() == [-0.1, -0.2]
