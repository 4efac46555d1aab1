import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrack_uq import CandidateGraph, Detections, InputError
from torchtrack_uq.posterior import map_links
from torchtrack_uq.posterior.map_links import mothers_of


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


@given(st.integers(0, 2**31))
def test_mothers_of_chosen_links_are_those_of_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = np.repeat(np.arange(3), rng.integers(0, 4, 3))
    cells = Detections.from_points(frame, np.zeros((len(frame), 2)), n_frames=3)
    mother, daughter = np.nonzero(frame[:, None] + 1 == frame)
    order = rng.permutation(len(mother))
    graph = CandidateGraph.from_links(cells, mother[order], daughter[order], np.zeros(len(mother)))
    selected = np.zeros(graph.n_links, np.bool_)
    expected = [-1] * len(cells)
    for j in range(len(cells)):
        links = np.flatnonzero(graph.daughter.numpy() == j)
        if len(links) and rng.random() < 0.7:
            link = rng.choice(links)
            selected[link], expected[j] = True, int(graph.mother[link])
    found = mothers_of(graph, selected)
    assert found.tolist() == expected
    assert found.dtype == np.int64


def test_mothers_of_the_map_are_at_most_two_daughters_each() -> None:
    graph = CandidateGraph.from_links(CELLS, [0, 0, 0], [2, 3, 4], [3.0, 2.0, 1.0])
    assert mothers_of(graph, map_links(graph)).tolist() == [-1, -1, 0, 0, -1]
    nothing = CandidateGraph.from_links(CELLS, [], [], [])
    assert mothers_of(nothing, map_links(nothing)).tolist() == [-1] * 5
