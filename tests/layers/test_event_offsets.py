"""Corrections of the event scores."""

import torch

from tests.support.simulated import simulated_movie
from torchtrack_uq import EventOffsets, UncertaintyLayer


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
