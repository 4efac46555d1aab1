"""How often a layer makes the CPU wait for a device, counted on the CPU."""

import pytest
import torch

from tests.support.movies import random_movie
from tests.support.waits import Waits
from torchtrack_uq import CandidateGraph, InputError, UncertaintyLayer
from torchtrack_uq.functional.device_answers import DeviceAnswers
from torchtrack_uq.layers import EventOffsets


@pytest.fixture
def graph() -> CandidateGraph:
    graph = random_movie([6, 7, 8], 0)
    assert graph.cell_offsets is not None  # found once a movie
    return graph


def test_the_counter_counts(graph: CandidateGraph) -> None:
    with Waits() as waits:
        float(graph.score[0])
        graph.score[graph.score > 0]
        graph.score.cpu()
        graph.score.tolist()
        graph.mother.unique()
    assert len(waits.names) == 5


def test_sm_waits_once_for_each_change_of_the_scores(graph: CandidateGraph) -> None:
    with Waits() as waits:
        UncertaintyLayer("SM", 1.5)(graph)
    assert len(waits.names) <= 1
    with Waits() as waits:
        UncertaintyLayer("SM", 1.5, events=EventOffsets(appear=0.1))(graph)
    assert len(waits.names) <= 2


def test_belief_propagation_waits_for_the_checks_and_the_longest_row(
    graph: CandidateGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeviceAnswers, "seen", lambda *_: False)
    with Waits() as waits:
        UncertaintyLayer("bp", 1.5)(graph)
    assert len(waits.names) <= 3  # NaN or +inf, forbidden events, the longest row; none in the sweeps


@pytest.mark.parametrize("method", ["AS", "exact", "auto"])
def test_what_is_solved_on_the_cpu_is_copied_as_a_whole(method: str) -> None:
    counts = []
    for n_frames in (3, 9):
        graph = random_movie([5] * n_frames, 0)
        assert graph.link_offsets is not None
        with Waits() as waits, torch.no_grad():
            UncertaintyLayer(method)(graph)
        counts.append(len(waits.names))
    assert counts[0] == counts[1] < 60


@pytest.mark.parametrize("name", ["score", "appear", "disappear", "divide"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_new_scores_are_checked_though_the_links_are_not(
    graph: CandidateGraph, name: str, bad: float
) -> None:
    scores = {n: getattr(graph, n).clone() for n in ("score", "appear", "disappear", "divide")}
    scores[name][3] = bad
    with pytest.raises(InputError, match=f"{name} holds {bad} at position 3"):
        graph.with_scores(**scores)
    with pytest.raises(InputError, match="score has shape"):
        graph.with_scores(graph.score[1:], graph.appear, graph.disappear, graph.divide)


def test_a_temperature_that_is_no_number_is_noticed(graph: CandidateGraph) -> None:
    layer = UncertaintyLayer("SM")
    with torch.no_grad():
        layer.scaler.raw_temperature.fill_(torch.nan)
    with pytest.raises(InputError, match="score holds nan"):
        layer(graph)


def test_links_are_not_looked_at_again(graph: CandidateGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("torchtrack_uq.links.candidates.check_links", never)
    again = graph.with_scores(graph.score * 2, graph.appear, graph.disappear, graph.divide)
    assert again.cell_offsets is graph.cell_offsets
