"""Copies that nobody waits for, streams, and pinned memory."""

import warnings
from collections.abc import Callable

import pytest
import torch

from tests.posterior.test_stream import cut, two_by_two
from tests.support.movies import random_movie, random_targets
from torchtrack_uq import CandidateGraph, Detections, Movie, UncertaintyLayer, collate_movies
from torchtrack_uq.posterior.stream import ChunkProblems, HostCopy
from torchtrack_uq.trackers import make_tracker
from torchtrack_uq.trackers.protocol import StreamingTracker


def waits_of(work: Callable[[], object]) -> int:
    """How often the CPU waits for the GPU, as torch itself says."""
    work()  # compiled, cached and allocated
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in said)


@torch.no_grad()
@pytest.mark.parametrize(("method", "most"), [("SM", 2), ("bp", 3)])
def test_layers_that_stay_on_the_gpu_wait_for_checks_alone(method: str, most: int) -> None:
    graph = random_movie([30, 31, 32], 0).to("cuda")
    layer = UncertaintyLayer(method, 1.5).cuda()
    assert waits_of(lambda: layer(graph)) <= most


@pytest.mark.parametrize("method", ["AS", "auto"])
def test_a_stream_gives_what_the_whole_movie_gives(crop: tuple[Movie, Detections], method: str) -> None:
    _, cells = crop
    tracker = make_tracker("trackastra", "cuda", max_gap=1)
    assert isinstance(tracker, StreamingTracker)
    tracker.batch_size = 2
    layer = UncertaintyLayer(method, 1.7).cuda()
    with torch.no_grad():
        whole = layer(tracker.candidates(cells, progress=False))
        streamed = layer.probabilities(tracker, cells, progress=False)
    assert streamed.link.is_cuda
    torch.testing.assert_close(streamed.link, whole.link, atol=1e-5, rtol=0)  # sums on a GPU have no order


def test_copies_go_to_pinned_memory_without_waiting() -> None:
    graph = two_by_two().to("cuda")
    chunk = cut(graph, 0, 4)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")  # raises wherever the CPU would wait for the device
    try:
        copy = HostCopy.of({"score": chunk.score, "mother": chunk.mother})
        problems = ChunkProblems(chunk, graph.cell_offsets.numpy())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert copy.ready is not None
    tensors = copy.wait()
    assert all(tensor.is_pinned() for tensor in tensors.values())
    assert torch.equal(tensors["score"], chunk.score.cpu())
    assert problems.build(1).score.tolist() == graph.problem(2).score.tolist()


def test_a_loader_pins_batches_and_they_are_copied_beside_other_work() -> None:
    movies = [random_movie([9, 10], seed) for seed in range(4)]
    items = [(graph, random_targets(graph, k)) for k, graph in enumerate(movies)]
    loader = torch.utils.data.DataLoader(items, batch_size=2, collate_fn=collate_movies, pin_memory=True)
    stream = torch.cuda.Stream()
    for k, (graph, targets) in enumerate(loader):
        assert isinstance(graph, CandidateGraph)
        assert graph.score.is_pinned()
        assert targets.mother.is_pinned()
        with torch.cuda.stream(stream):
            moved = graph.to("cuda", non_blocking=True)
        torch.cuda.current_stream().wait_stream(stream)
        expected = CandidateGraph.batch(movies[2 * k : 2 * k + 2])
        assert torch.equal(moved.score.cpu(), expected.score)
        assert torch.equal(moved.is_daughter.cpu(), expected.is_daughter)


@torch.no_grad()
def test_a_layer_works_on_the_stream_that_is_current() -> None:
    graph = random_movie([30, 31, 32], 0)
    expected = UncertaintyLayer("bp")(graph)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        found = UncertaintyLayer("bp").cuda()(graph.to("cuda"))
    stream.synchronize()
    torch.testing.assert_close(found.link.cpu(), expected.link, atol=1e-9, rtol=0)
