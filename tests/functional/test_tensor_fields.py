"""What Lightning, loaders and worker processes do with tensors, they do with containers of tensors."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.utilities import move_data_to_device
from torch import Tensor
from torch.utils.data._utils.pin_memory import pin_memory

from tests.support.movies import random_movie, random_targets
from torchtrack_uq import (
    AssignmentPosterior,
    InputError,
    ParentalSoftmax,
    PerturbedScores,
    ScoredMovie,
    UncertaintyLayer,
    judge,
)
from torchtrack_uq.functional.tensor_fields import TensorFields
from torchtrack_uq.truth import judge_events


def containers() -> dict[str, Any]:
    graph = random_movie([3, 4, 5], 0, dtype=torch.float32)
    targets = random_targets(graph, 0)
    graph = graph.with_scores(graph.score.requires_grad_(), graph.appear, graph.disappear, graph.divide)
    noisy = [getattr(graph, name).expand(2, -1) for name in ("score", "appear", "disappear", "divide")]
    p = AssignmentPosterior("exact")(graph)
    return {
        "CandidateGraph": graph,
        "LinkTargets": targets,
        "LinkProbabilities": p,
        "PerturbedScores": PerturbedScores(graph, *noisy),
        "Support": AssignmentPosterior("AS").support(graph),
        "JudgedDaughters": judge(p, targets),
        "JudgedEvents": judge_events(p, targets)["link"],
        "ScoredMovie": ScoredMovie("one", graph, targets).solve(UncertaintyLayer("AS")),
    }


def tensors_of(value: TensorFields) -> list[Tensor]:
    found: list[Tensor] = []
    for field in vars(value).values():
        if isinstance(field, TensorFields):
            found += tensors_of(field)
        elif isinstance(field, Tensor):
            found.append(field)
    return found


@pytest.fixture(params=list(containers()))
def container(request: pytest.FixtureRequest) -> TensorFields:
    found: TensorFields = containers()[request.param]
    assert type(found).__name__ == request.param
    return found


def test_moving_moves_every_tensor(container: TensorFields) -> None:
    moved = move_data_to_device([{"batch": container}], torch.device("meta"))[0]["batch"]
    own = [value for name, value in vars(moved).items() if name not in moved.host_caches]
    flat = [t for v in own for t in (tensors_of(v) if isinstance(v, TensorFields) else [v])]
    assert type(moved) is type(container)
    caches = {"cell_offsets", "link_offsets"}
    on_meta = [t for t in flat if isinstance(t, Tensor)]
    assert on_meta
    inner = vars(moved).get("graph", vars(moved).get("scores"))
    kept = sum(name in vars(inner) for name in caches) if inner is not None else 0
    assert sum(t.device.type != "meta" for t in on_meta) == kept


def test_where_nothing_changes_it_stays_itself(container: TensorFields) -> None:
    assert container.to("cpu") is container
    assert container.cpu() is container
    assert container.to(None, None, non_blocking=True) is container


def test_detached_it_has_no_gradient(container: TensorFields) -> None:
    assert not any(tensor.requires_grad for tensor in tensors_of(container.detach()))


def test_a_loader_pins_every_tensor(container: TensorFields, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[int] = []

    def pin(tensor: Tensor) -> Tensor:
        pinned.append(id(tensor))
        return tensor.clone()

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    names = {"cell_offsets", "link_offsets"}
    fields = [
        id(t)
        for v in (container, *vars(container).values())
        if isinstance(v, TensorFields)
        for name, t in vars(v).items()
        if isinstance(t, Tensor) and name not in names
    ]
    pin_memory([container])
    assert sorted(pinned) == sorted(fields)


def test_it_goes_through_a_pickle(container: TensorFields) -> None:
    detached = container.detach()
    back = pickle.loads(pickle.dumps(detached))
    for a, b in zip(tensors_of(detached), tensors_of(back), strict=True):
        assert torch.equal(a, b)


def test_arrays_by_name(container: TensorFields) -> None:
    arrays = container.numpy()
    for name, value in arrays.items():
        own = getattr(container, name)
        if isinstance(value, dict):
            assert value.keys() == own.numpy().keys()
        else:
            np.testing.assert_array_equal(value, own.detach().numpy())


def test_only_scores_and_probabilities_change_their_dtype() -> None:
    for container in containers().values():
        wide = container.to(torch.float64)
        for name in vars(container):
            value, own = getattr(wide, name), getattr(container, name)
            if isinstance(value, Tensor):
                assert value.dtype == (torch.float64 if name in container.float_fields else own.dtype), name
    graph = containers()["CandidateGraph"].to(dtype=torch.float64)
    assert graph.coords.dtype == torch.float32
    p = containers()["LinkProbabilities"].to("cpu", torch.float64)
    assert p.graph.dtype == p.log_link.dtype == torch.float64
    with pytest.raises(InputError, match=r"bfloat16 has too few digits.*convert with \.float\(\)"):
        graph.to(dtype=torch.bfloat16)


def test_gradients_flow_through_a_move() -> None:
    graph = random_movie([3, 4], 0)
    leaf = graph.score.clone().requires_grad_()
    moved = graph.with_scores(leaf, graph.appear, graph.disappear, graph.divide).to(dtype=torch.float32)
    ParentalSoftmax()(moved).link.sum().backward()
    assert leaf.grad is not None
