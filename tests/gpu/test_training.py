"""Training on a GPU: mixed precision, and several processes with nccl."""

import os

import pytest
import torch
from torch import nn

from tests.support.movies import random_movie, random_targets
from torchtrack_uq import CandidateGraph, Detections, Movie, TrackastraTracker, UncertaintyLayer
from torchtrack_uq.layers.likelihood import joint_nll


class Scorer(nn.Module):
    """Adds a learnt shift to the scores, and asks the layer for the likelihood."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.shift, self.layer = nn.Parameter(torch.zeros(())), UncertaintyLayer(method)

    def forward(self, graph: CandidateGraph, targets: object) -> torch.Tensor:
        shifted = graph.with_scores(
            graph.score + self.shift.to(graph.dtype), graph.appear, graph.disappear, graph.divide
        )
        return joint_nll(self.layer, shifted, targets).loss  # type: ignore[arg-type]


@pytest.mark.parametrize("autocast", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", ["SM", "AS", "auto", "bp"])
def test_layers_take_no_notice_of_autocast(method: str, autocast: torch.dtype) -> None:
    graph = random_movie([9, 10, 11], 0, torch.float32).to("cuda")
    layer = UncertaintyLayer(method, 1.3).cuda()
    with torch.no_grad():
        expected = layer(graph)
        with torch.autocast("cuda", autocast):
            found = layer(graph)
    torch.testing.assert_close(found.link, expected.link, atol=1e-5, rtol=0)


@pytest.mark.parametrize("autocast", [torch.float16, torch.bfloat16])
def test_a_transformer_in_mixed_precision_gets_gradients_through_the_layer(
    crop: tuple[Movie, Detections], full_size_model: nn.Module, autocast: torch.dtype
) -> None:
    _, cells = crop
    tracker = TrackastraTracker(full_size_model).cuda()
    with torch.autocast("cuda", autocast):
        graph = tracker.candidates(cells, progress=False)
    assert graph.dtype == torch.float32
    UncertaintyLayer("AS").cuda()(graph).entropy.sum().backward()
    gradients = [weight.grad for weight in tracker.parameters() if weight.grad is not None]
    assert gradients
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


def _one_process(rank: int, n: int, port: int, results: "torch.multiprocessing.Queue[float]") -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.cuda.set_device(rank)
    torch.distributed.init_process_group("nccl", rank=rank, world_size=n)
    graph = random_movie([9, 10, 11], seed=rank).to("cuda")
    module = nn.parallel.DistributedDataParallel(Scorer("auto").cuda(), device_ids=[rank])
    module(graph, random_targets(graph.cpu(), rank).to("cuda")).backward()
    results.put(float(module.module.shift.grad))
    torch.distributed.destroy_process_group()


def test_processes_agree_on_the_gradient() -> None:
    """One process on a machine with one GPU."""
    n = min(torch.cuda.device_count(), 2)
    alone = []
    for rank in range(n):
        graph = random_movie([9, 10, 11], seed=rank)
        scorer = Scorer("auto")
        scorer(graph, random_targets(graph, rank)).backward()
        alone.append(float(scorer.shift.grad))
    context = torch.multiprocessing.get_context("spawn")
    results = context.Queue()
    torch.multiprocessing.spawn(_one_process, (n, 29_571, results), nprocs=n)
    expected = pytest.approx(sum(alone) / n, abs=1e-8)
    assert [results.get(timeout=60) for _ in range(n)] == [expected] * n
