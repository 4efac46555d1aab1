"""Streaming gives the numbers of the whole movie, to the last bit, and overlaps."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.chunked_tracker import ChunkedTracker, cut
from tests.support.transformer import small_transformer
from torchtrack_uq import (
    CandidateGraph,
    Detections,
    DistanceTracker,
    InputError,
    LinkProbabilities,
    Movie,
    TrackastraTracker,
    UncertainTracker,
    UncertaintyLayer,
)
from torchtrack_uq.assignment import AssignmentProblem
from torchtrack_uq.layers import EventOffsets, assignment_posterior
from torchtrack_uq.links.chunks import LinkChunk
from torchtrack_uq.posterior.stream import ChunkProblems, solve_stream
from torchtrack_uq.trackers import StreamingTracker, make_tracker
from torchtrack_uq.utils.cores import left_at_work

PATIENCE = 20  # seconds until a thread that waits in vain gives up


SOLVED_ON_THE_CPU = ("AS", "exact", "auto")


def assert_same(found: LinkProbabilities, expected: LinkProbabilities) -> None:
    """All numbers are equal, to the last bit."""
    for name in (
        "log_link",
        "log_null",
        "disappear",
        "divide",
        "log_z",
        "covered_mass",
        "error_bound",
        "exact",
    ):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    for name in ("mother", "daughter", "score", "frame", "label", "coords"):
        assert torch.equal(getattr(found.graph, name), getattr(expected.graph, name)), name
    graph = expected.graph
    is_mother = graph.frame < graph.n_frames - 1
    for name, happens in (("appear", graph.is_daughter), ("disappear", is_mother), ("divide", is_mother)):
        assert torch.equal(getattr(found.graph, name)[happens], getattr(graph, name)[happens]), name
    assert found.method == expected.method


@torch.no_grad()
def assert_streams(layer: UncertaintyLayer, tracker: StreamingTracker, cells: Detections) -> None:
    """The layer gives the same for the tracker's stream as for its whole movie."""
    whole = layer(tracker.candidates(cells, progress=False))
    assert_same(layer.probabilities(tracker, cells, progress=False), whole)


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("frame-pairs")]


class TestParity:
    @pytest.mark.parametrize("method", ["AS", "auto"])
    @pytest.mark.parametrize("batch_size", [1, 2])
    def test_real_movie_and_bundled_model(
        self,
        crop: tuple[Movie, Detections],
        method: str,
        batch_size: int,
    ) -> None:
        _, cells = crop
        tracker = make_tracker("trackastra", "cpu", max_gap=1)
        assert isinstance(tracker, StreamingTracker)
        tracker.batch_size = batch_size
        assert_streams(UncertaintyLayer(method, 1.7), tracker, cells)

    @pytest.mark.parametrize("mode", ["none", "linear", "softmax"])
    def test_event_scores_of_every_normalisation(
        self,
        crop: tuple[Movie, Detections],
        mode: str,
    ) -> None:
        _, cells = crop
        tracker = TrackastraTracker(small_transformer(causal_norm=mode, spatial_pos_cutoff=30))
        assert_streams(UncertaintyLayer("auto", 3.0), tracker, cells)
        with torch.no_grad():
            one_by_one = tracker.candidates(cells, progress=False)
            tracker.batch_size = 8  # the whole movie is one chunk
            together = tracker.candidates(cells, progress=False)
        torch.testing.assert_close(one_by_one.appear, together.appear, atol=1e-4, rtol=1e-4)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.integers(0, 4), min_size=1, max_size=7),
        st.integers(1, 4),
        st.sampled_from(SOLVED_ON_THE_CPU),
        st.sampled_from([0.5, 1.0, 3.0]),
        st.sampled_from([torch.float32, torch.float64]),
        st.integers(0, 2**31),
    )
    def test_any_movie_in_any_chunks(
        self, sizes: list[int], pairs: int, method: str, temperature: float, dtype: torch.dtype, seed: int
    ) -> None:
        """Movies with empty frames, of one frame, and without candidates."""
        rng = np.random.default_rng(seed)
        frame = np.repeat(np.arange(len(sizes)), sizes)
        cells = Detections.from_points(frame, np.zeros((len(frame), 2)), n_frames=len(sizes))
        mother, daughter = np.nonzero(frame[:, None] + 1 == frame)
        kept = rng.random(len(mother)) < rng.choice([0.0, 0.7, 1.0])
        score = torch.tensor(rng.normal(size=len(mother))[kept], dtype=dtype)
        score[torch.from_numpy(rng.random(len(score)) < 0.1)] = -torch.inf
        appear, disappear = rng.normal(-1, 1, (2, len(cells)))
        graph = CandidateGraph.from_links(
            cells, mother[kept], daughter[kept], score, appear, disappear, -disappear - rng.random(len(cells))
        )
        events = EventOffsets(*rng.normal(0, 1, 2), divide=-9.0)
        layer = UncertaintyLayer(method, temperature, events=events if seed % 2 else None)
        assert_streams(layer, ChunkedTracker(lambda _: graph, pairs), cells)

    def test_large_frame_pairs_are_shared_out_one_by_one(self) -> None:
        cells = Detections.from_points(np.repeat(np.arange(4), 80), np.random.default_rng(0).random((320, 2)))
        tracker = DistanceTracker(search_range=2, scale=1)
        graph = tracker.candidates(cells, progress=False)
        assert len(ChunkProblems(cut(graph, 0, 3), cells.offsets).shares()) == 3
        assert_streams(UncertaintyLayer("AS", k=20), ChunkedTracker(lambda _: graph, 2), cells)

    @pytest.mark.parametrize("method", ["SM", "FP+A", "bp"])
    def test_other_methods_see_the_whole_movie(
        self, blobs: tuple[np.ndarray, np.ndarray], method: str
    ) -> None:
        plain = DistanceTracker(search_range=12, scale=4)
        tracker = ChunkedTracker(lambda cells: plain.candidates(cells, progress=False))
        found = UncertainTracker(tracker, method).track(*blobs, progress=False)
        expected = UncertainTracker(plain, method).track(*blobs, progress=False)
        assert torch.equal(found.probabilities.log_link, expected.probabilities.log_link)

    def test_gradients_flow_outside_no_grad(self) -> None:
        cells = Detections.from_points(np.repeat(np.arange(3), 3), np.zeros((9, 2)))
        score = torch.zeros(18, requires_grad=True)
        mother, daughter = np.nonzero(cells.frame[:, None] + 1 == cells.frame)
        graph = CandidateGraph.from_links(cells, mother, daughter, score)
        layer = UncertaintyLayer("exact")
        p = layer.probabilities(ChunkedTracker(lambda _: graph), cells, progress=False)
        torch.testing.assert_close(p.link, layer(graph).link)
        p.link[0].backward()
        assert float(score.grad.abs().sum()) > 0
        chunks = [cut(graph, 0, 1), cut(graph, 1, 2)]
        q = layer.posterior.stream(cells, chunks)
        assert q.link.requires_grad


def two_by_two(n_frames: int = 5) -> CandidateGraph:
    """A movie of two cells a frame and all links."""
    cells = Detections.from_points(np.repeat(np.arange(n_frames), 2), np.zeros((2 * n_frames, 2)))
    mother, daughter = np.nonzero(cells.frame[:, None] + 1 == cells.frame)
    return CandidateGraph.from_links(
        cells, mother, daughter, torch.arange(len(mother)).double(), disappear=-1.0
    )


def pair_of(problem: AssignmentProblem) -> int:
    """Which frame pair of `two_by_two` this is."""
    return int(problem.score[0]) // 4


def stream(
    function: Callable[[AssignmentProblem], object],
    graph: CandidateGraph,
    chunks: Iterator[LinkChunk] | None = None,
    n_threads: int | None = None,
    pairs: int = 1,
) -> list[object]:
    if chunks is None:
        chunks = ChunkedTracker(lambda _: graph, pairs).stream(None)  # type: ignore[arg-type]
    return solve_stream(function, chunks, graph.cell_offsets.numpy(), n_threads)


class TestOverlap:
    @pytest.mark.parametrize("method", ["AS", "auto"])
    def test_frame_pairs_are_solved_while_the_next_are_scored(
        self, blobs: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch, method: str
    ) -> None:
        """The second chunk is handed out only when a frame pair of the first one has been solved."""
        solved = threading.Event()
        options = assignment_posterior.SumOptions
        k_best, solve = assignment_posterior.k_best, options.solve

        def list_and_tell(problem: AssignmentProblem, k: int) -> object:
            found = k_best(problem, k)
            solved.set()
            return found

        def sum_and_tell(self: object, problem: AssignmentProblem) -> object:
            found = solve(self, problem)
            solved.set()
            return found

        monkeypatch.setattr(assignment_posterior, "k_best", list_and_tell)
        monkeypatch.setattr(options, "solve", sum_and_tell)
        overlapped = []

        def before_chunk(number: int) -> None:
            if number == 1:
                overlapped.append(solved.wait(PATIENCE))

        plain = DistanceTracker(search_range=12, scale=4)
        tracker = ChunkedTracker(
            lambda cells: plain.candidates(cells, progress=False), before_chunk=before_chunk
        )
        UncertainTracker(tracker, method).track(*blobs, progress=False)
        assert overlapped == [True]

    def test_results_come_in_order_whichever_is_ready_first(self) -> None:
        """Each frame pair waits for the one after it."""
        done = [threading.Event() for _ in range(5)]
        done[4].set()

        def last_first(problem: AssignmentProblem) -> int:
            pair = pair_of(problem)
            assert done[pair + 1].wait(PATIENCE)
            done[pair].set()
            return pair

        assert stream(last_first, two_by_two(), n_threads=4) == [0, 1, 2, 3]

    def test_scoring_waits_for_workers_that_fall_behind(self) -> None:
        """Only so many chunks are taken before the first is solved: their copies fill no memory."""
        all_taken = threading.Event()
        seen = []

        def slow(problem: AssignmentProblem) -> int:
            if not seen:
                seen.append(all_taken.wait(0.3))
            return pair_of(problem)

        graph = two_by_two(40)

        def chunks() -> Iterator[LinkChunk]:
            for t in range(39):
                yield cut(graph, t, t + 1)
            all_taken.set()

        assert stream(slow, graph, chunks(), n_threads=2) == list(range(39))
        assert not any(seen)


class TestFailure:
    @pytest.mark.parametrize("pairs", [1, 2, 4])
    def test_an_infeasible_frame_pair_is_named(self, pairs: int) -> None:
        graph = two_by_two()
        graph.appear[6] = -torch.inf
        graph.score[graph.daughter == 6] = -torch.inf
        tracker = ChunkedTracker(lambda _: graph, pairs)
        cells = Detections.from_points(graph.frame.numpy(), graph.coords.numpy())
        for method in SOLVED_ON_THE_CPU:
            with torch.no_grad(), pytest.raises(InputError, match="frames 2 and 3 cannot be linked"):
                UncertaintyLayer(method).probabilities(tracker, cells, progress=False)
        assert not running()

    def test_the_first_of_several_errors_is_raised(self) -> None:
        later = threading.Event()

        def fails(problem: AssignmentProblem) -> None:
            pair = pair_of(problem)
            if pair == 1:
                assert later.wait(PATIENCE)
            if pair == 2:
                later.set()
            if pair in (1, 2):
                raise ValueError("no")

        with pytest.raises(InputError, match="frames 1 and 2 cannot be linked: no"):
            stream(fails, two_by_two(), n_threads=3)
        assert not running()

    def test_a_bug_keeps_its_type_and_gets_a_note(self) -> None:
        def fails(problem: AssignmentProblem) -> None:
            if pair_of(problem) == 3:
                raise KeyError("x")

        with pytest.raises(KeyError) as caught:
            stream(fails, two_by_two(), pairs=4)
        assert caught.value.__notes__ == ["while solving frames 3 and 4"]

    @pytest.mark.parametrize("interrupt", [KeyboardInterrupt, RuntimeError])
    def test_an_interrupt_or_the_trackers_error_stops_the_workers(
        self, interrupt: type[BaseException]
    ) -> None:
        graph = two_by_two(1000)
        started = threading.Event()
        solved = []

        def slow(problem: AssignmentProblem) -> None:
            started.set()
            solved.append(pair_of(problem))
            time.sleep(0.02)

        def chunks() -> Iterator[LinkChunk]:
            yield cut(graph, 0, 900)
            assert started.wait(PATIENCE)
            raise interrupt

        with pytest.raises(interrupt):
            stream(slow, graph, chunks(), n_threads=1)
        assert not left_at_work(PATIENCE)  # an interrupt does not wait for what they are in the middle of
        assert not running()
        assert 0 < len(solved) < 900

    def test_streams_with_gaps_are_refused(self) -> None:
        graph = two_by_two()
        cells = Detections.from_points(graph.frame.numpy(), graph.coords.numpy())
        layer = assignment_posterior.AssignmentPosterior("AS")
        with torch.no_grad():
            with pytest.raises(InputError, match="goes from frame 2 to 3; expected one from frame 1"):
                layer.stream(cells, [cut(graph, 0, 1), cut(graph, 2, 3)])
            with pytest.raises(InputError, match="ends at frame 2; expected 4"):
                layer.stream(cells, [cut(graph, 0, 2)])

    def test_links_and_events_of_other_frames_are_refused(self) -> None:
        graph = two_by_two()
        good = cut(graph, 0, 2)
        links = {name: getattr(cut(graph, 1, 3), name) for name in ("mother", "daughter", "score")}
        wrong = LinkChunk(**{**vars(good), **links})
        with pytest.raises(InputError, match="frames 0 to 2 has links to cells 4 to 7; expected 2 to 5"):
            stream(pair_of, graph, iter([wrong]))
        short = LinkChunk(**{**vars(good), "divide": good.divide[:1]})
        with pytest.raises(InputError, match=r"frames 0 to 2 has \[4, 4, 1\] scores"):
            stream(pair_of, graph, iter([short]))

    def test_a_score_that_is_no_number_is_refused(self) -> None:
        graph = two_by_two()
        chunk = cut(graph, 0, 4)
        chunk.score[:] = torch.nan
        cells = Detections.from_points(graph.frame.numpy(), graph.coords.numpy())
        with torch.no_grad(), pytest.raises(InputError, match="frames 0 and 1"):
            assignment_posterior.AssignmentPosterior("AS").stream(cells, [chunk])
