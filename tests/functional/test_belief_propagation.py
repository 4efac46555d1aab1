"""Sweeps that nobody waits for, the same numbers in any company, and no second derivative with a part missing."""

import math

import pytest
import torch
from torch import Tensor

from tests.support.movies import random_movie
from tests.support.waits import Waits
from torchtrack_uq import AssignmentPosterior, CandidateGraph
from torchtrack_uq.functional import belief_propagation
from torchtrack_uq.functional.belief_propagation import Beliefs
from torchtrack_uq.functional.device_answers import DeviceAnswers
from torchtrack_uq.functional.padded_rows import log_add


def spread(graph: CandidateGraph, score: Tensor | None = None) -> Beliefs:
    return belief_propagation(
        graph.score if score is None else score,
        graph.mother,
        graph.daughter,
        graph.appear,
        graph.disappear,
        graph.divide,
    )


@pytest.fixture
def slow_device(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """A device that is still busy whenever somebody looks."""
    asked: list[Tensor] = []

    def never(_: DeviceAnswers, answer: Tensor) -> bool:
        asked.append(answer)
        return False

    monkeypatch.setattr(DeviceAnswers, "seen", never)
    return asked


def test_the_sweeps_never_wait_for_the_device(slow_device: list[Tensor]) -> None:
    graph = random_movie([6, 7, 8], 0)
    with Waits() as waits:
        found = spread(graph)
    assert len(slow_device) == 30, "all sweeps were run"
    assert waits.names == ["tolist"], "once before the sweeps"
    assert bool(found.converged)


def test_who_looks_late_finds_what_was_there_when_it_came_to_rest(slow_device: list[Tensor]) -> None:
    graph = random_movie([6, 7, 8], 0)
    late = spread(graph)
    assert len(slow_device) == 30
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DeviceAnswers, "seen", lambda _, answer: bool(answer))
        early = spread(graph)
    for a, b in zip(late, early, strict=True):
        assert torch.equal(a, b)


def test_answers_of_a_gpu_are_looked_at_when_they_have_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a GPU that is played by the CPU."""

    class Event:
        arrived = False

        def record(self, stream: object) -> None:
            assert stream == "stream"

        def query(self) -> bool:
            return Event.arrived

    class OnGpu(Tensor):
        @property
        def device(self) -> torch.device:
            return torch.device("cuda")

    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *shape, dtype, pin_memory: empty(*shape, dtype=dtype))
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "stream")
    answers = DeviceAnswers()
    no, yes = (torch.tensor(value).as_subclass(OnGpu) for value in (False, True))
    assert not answers.seen(yes)  # still under way
    Event.arrived = True
    assert answers.seen(no)  # the first one arrived
    assert not answers.seen(no)


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_gradient_is_the_same_with_and_without_a_graph_of_its_own(create_graph: bool) -> None:
    graph = random_movie([4, 5], 1)
    leaf = graph.score.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((spread(graph, leaf).link ** 2).sum(), leaf, create_graph=create_graph)
    other = graph.score.clone().requires_grad_()
    (spread(graph, other).link ** 2).sum().backward()
    assert torch.equal(gradient.detach(), other.grad)


@pytest.mark.parametrize("what", ["score", "appear", "disappear", "divide"])
def test_a_second_derivative_is_an_error_and_never_a_wrong_number(what: str) -> None:
    graph = random_movie([4, 5], 1)
    scores = {
        name: getattr(graph, name).clone().requires_grad_()
        for name in ("score", "appear", "disappear", "divide")
    }
    p = AssignmentPosterior("bp")(graph.with_scores(**scores))
    (gradient,) = torch.autograd.grad(p.link.square().sum(), scores[what], create_graph=True)
    for at in scores.values():
        with pytest.raises(RuntimeError, match="'bp' has no second derivatives"):
            torch.autograd.grad(gradient.sum(), at, retain_graph=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logarithms_add_up_as_torch_adds_them(dtype: torch.dtype) -> None:
    numbers = torch.tensor([-1e9, -1e6, -700.0, -1.0, 0.0, 1e-12, 3.0, 800.0], dtype=dtype)
    a, b = torch.meshgrid(numbers, numbers, indexing="ij")
    expected = torch.logaddexp(a, b)
    torch.testing.assert_close(log_add(a, b), expected)
    with torch.no_grad():
        assert torch.equal(log_add(a, b), log_add(a.clone().requires_grad_(), b).detach())
    left, right = (x.clone().requires_grad_() for x in (a, b))
    log_add(left, right).sum().backward()
    torch.testing.assert_close(left.grad + right.grad, torch.ones_like(a))
    assert float(left.grad[4, 4]) == pytest.approx(0.5)
    assert float(left.grad[3, 6]) == pytest.approx(1 / (1 + math.exp(4)))
