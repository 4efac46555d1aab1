"""Corrections of the event scores."""

import numpy as np
import pytest
import torch

from tests.support.simulated import simulated_movie
from torchtrack_uq import CandidateGraph, Detections, EventOffsets, UncertaintyLayer


def test_only_two_of_the_three_offsets_change_the_posterior() -> None:
    movie = simulated_movie(3, 4)
    one, other = (
        UncertaintyLayer("exact", events=EventOffsets(0.5 + shift, 1.0 - shift, -2.0 + shift))(movie.graph)
        for shift in (0.0, 0.7)
    )
    torch.testing.assert_close(one.link, other.link)
    torch.testing.assert_close(one.divide, other.divide)


def test_a_second_daughter_never_becomes_likelier_than_a_first() -> None:
    graph = simulated_movie(3, 5).graph
    offsets = EventOffsets(disappear=3.0, divide=4.0)
    changed = offsets(graph)
    assert float((changed.disappear + changed.divide).max().detach()) == 0.0
    UncertaintyLayer("AS", events=offsets).solve(graph)  # refuses anything else
    changed.divide.sum().backward()
    assert float(offsets.disappear.grad) < 0
    free = graph.with_scores(graph.score, graph.appear, graph.disappear + 3, graph.divide + 3)
    assert float(offsets(free).divide[0].detach()) == float(free.divide[0]) + 4.0


def test_offsets_move_the_map_and_the_posterior_alike() -> None:
    movie = simulated_movie(5, 3)
    layer = UncertaintyLayer("exact", 2.0, events=EventOffsets(appear=1.0, divide=-3.0))
    graph = movie.graph
    by_hand = graph.with_scores(graph.score, graph.appear + 2.0, graph.disappear, graph.divide - 6.0)
    torch.testing.assert_close(layer.corrected(graph).divide, by_hand.divide)
    torch.testing.assert_close(layer(graph).link, UncertaintyLayer("exact", 2.0)(by_hand).link)


def test_a_miss_costs_every_link_over_a_gap_once_a_skipped_frame() -> None:
    cells = Detections.from_points(np.arange(4), np.zeros((4, 2)))
    graph = CandidateGraph.from_links(
        cells, [0, 0, 0, 1], [1, 2, 3, 3], [0.0, 1.0, -torch.inf, 0.0], max_gap=3
    )
    offsets = EventOffsets(miss=-2.0)
    changed = offsets(graph, unit=3.0).score
    assert changed.tolist() == [0.0, 1.0 - 6.0, -torch.inf, -6.0]
    changed[torch.isfinite(changed)].sum().backward()
    assert float(offsets.miss.grad) == 6.0
    plain = CandidateGraph.from_links(cells, [0], [1], [1.5])
    assert offsets(plain).score.tolist() == [1.5]


def test_states_hold_a_miss_only_where_there_is_one_and_those_without_load() -> None:
    old, new = EventOffsets(1.0, 2.0, -3.0), EventOffsets(1.0, 2.0, -3.0, miss=-4.0)
    assert list(old.state_dict()) == list(old.values) == ["appear", "disappear", "divide"]
    assert list(new.state_dict())[-1] == "miss"
    other = EventOffsets()
    other.load_state_dict(new.state_dict())
    assert other.values == new.values
    other.load_state_dict(old.state_dict())
    assert other.values == old.values
    with pytest.raises(RuntimeError, match="divide"):
        other.load_state_dict({"appear": torch.zeros(()), "disappear": torch.zeros(())})
