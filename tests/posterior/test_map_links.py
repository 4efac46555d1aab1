import numpy as np
import pytest

from torchtrack_uq import CandidateGraph, Detections, InputError
from torchtrack_uq.posterior import map_links


def chosen_links(graph: CandidateGraph) -> set[tuple[int, int]]:
    chosen = map_links(graph)
    return set(zip(graph.mother[chosen].tolist(), graph.daughter[chosen].tolist(), strict=True))


CELLS = Detections.from_points(np.array([0, 0, 1, 1, 1]), np.zeros((5, 2)))


def test_a_mother_has_at_most_two_daughters() -> None:
    graph = CandidateGraph.from_links(CELLS, [0, 0, 0], [2, 3, 4], [3.0, 2.0, 1.0])
    assert chosen_links(graph) == {(0, 2), (0, 3)}


def test_a_costly_division_is_left_out() -> None:
    graph = CandidateGraph.from_links(CELLS, [0, 0], [2, 3], [3.0, 2.0], divide=-2.5)
    assert chosen_links(graph) == {(0, 2)}


def test_event_scores_decide_between_linking_and_appearing() -> None:
    links = {"mother": [0], "daughter": [2], "score": [-4.0]}
    assert chosen_links(CandidateGraph.from_links(CELLS, **links, appear=-3.0)) == set()
    assert chosen_links(CandidateGraph.from_links(CELLS, **links, appear=-3.0, disappear=-1.5)) == {(0, 2)}


def test_forbidden_links_are_never_chosen() -> None:
    graph = CandidateGraph.from_links(CELLS, [0, 1], [2, 2], [-np.inf, -50.0], appear=-100.0)
    assert chosen_links(graph) == {(1, 2)}


def test_a_frame_pair_without_feasible_assignment_is_named() -> None:
    graph = CandidateGraph.from_links(CELLS, [0], [2], [0.0], appear=-np.inf)
    with pytest.raises(InputError, match="frames 0 and 1 cannot be linked"):
        map_links(graph)
