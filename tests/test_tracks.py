import numpy as np
import pytest

from torchtrack_uq import CandidateGraph, Detections, InputError
from torchtrack_uq.posterior import map_links
from torchtrack_uq.results import tracklets


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


def test_tracks_end_at_divisions_and_carry_their_parent() -> None:
    #        0    1    2    3
    #   a:   0 -> 2 -> 4 -> 7
    #             `--> 5      (2 divides into 4 and 5)
    #   b:   1 -> 3    6 -> 8 (a gap: 6 begins a new track)
    frame = np.array([0, 0, 1, 1, 2, 2, 2, 3, 3])
    mother = np.array([-1, -1, 0, 1, 2, 2, -1, 4, 6])
    found = tracklets(frame, mother)
    assert found.track.tolist() == [1, 2, 1, 2, 3, 4, 5, 3, 5]
    assert found.table.to_numpy().tolist() == [
        [1, 0, 1, 0],
        [2, 0, 1, 0],
        [3, 2, 3, 1],
        [4, 2, 2, 1],
        [5, 2, 3, 0],
    ]


def test_tracks_follow_random_lineages() -> None:
    rng = np.random.default_rng(0)
    frame = np.repeat(np.arange(8), 12)
    mother = np.full(len(frame), -1)
    for t in range(1, 8):
        for j in np.flatnonzero(frame == t):
            open_mothers = [i for i in np.flatnonzero(frame == t - 1) if np.sum(mother == i) < 2]
            if rng.random() < 0.8:
                mother[j] = rng.choice(open_mothers)
    found = tracklets(frame, mother)
    for j, i in enumerate(mother):
        alone = i >= 0 and np.sum(mother == i) == 1
        assert (found.track[j] == found.track[i]) == alone if i >= 0 else True
        row = found.table.iloc[found.track[j] - 1]
        assert row["begin"] <= frame[j] <= row["end"]
        if row["begin"] == frame[j]:
            assert row["parent"] == (found.track[i] if i >= 0 else 0)


def test_a_movie_without_cells_has_no_tracks() -> None:
    assert len(tracklets(np.zeros(0, np.int64), np.zeros(0, np.int64)).table) == 0


@pytest.mark.parametrize(
    ("frame", "mother", "message"),
    [([0, 1, 1, 1], [-1, 0, 0, 0], "has 3 daughters"), ([0, 2], [-1, 0], "frame before its daughter")],
)
def test_impossible_lineages_are_refused(frame: list[int], mother: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tracklets(np.array(frame), np.array(mother))
