"""Solve the first frame pairs of a movie on the CPU while the last ones are still being scored."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.assignment import AssignmentProblem
from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.chunks import LinkChunk
from torchtrack_uq.links.names import GRAPH_TENSORS
from torchtrack_uq.posterior.problems import is_worth_threads, solve_pair, to_host
from torchtrack_uq.utils.cores import available_cores, leaving_pool


@dataclass(frozen=True, eq=False)
class HostCopy:
    """Tensors on their way to the CPU.

    Attributes:
        tensors: Copies by name, in pinned memory if they come from a GPU; not to be read before `wait`.
        ready: CUDA event after which they are filled, or None if they are.
    """

    tensors: dict[str, Tensor]
    ready: torch.cuda.Event | None

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "HostCopy":
        """Start the copies; on a GPU they go behind each other on the current stream, with one event at the end.

        Args:
            tensors: Tensors of one device; gradients are not kept. On the CPU nothing is copied.
        """
        device = next(iter(tensors.values())).device
        if device.type != "cuda":
            return cls({name: source.detach().cpu() for name, source in tensors.items()}, None)
        copies = {}
        for name, source in tensors.items():
            target = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
            copies[name] = target.copy_(source.detach(), non_blocking=True)
        # blocking: the thread that waits sleeps, instead of taking a core from the solvers
        ready = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        ready.record(torch.cuda.current_stream(device))
        return cls(copies, ready)

    def wait(self) -> dict[str, Tensor]:
        """The filled copies; waits for them, and for nothing that was queued on the device later."""
        if self.ready is not None:
            self.ready.synchronize()
        return self.tensors


@dataclass(frozen=True, eq=False)
class GraphCopy:
    """A graph on its way to the CPU.

    Attributes:
        copy: Its tensors.
        source: The graph.
    """

    copy: HostCopy
    source: CandidateGraph

    @classmethod
    def of(cls, graph: CandidateGraph) -> "GraphCopy":
        """Start the copy."""
        return cls(HostCopy.of({name: getattr(graph, name) for name in GRAPH_TENSORS}), graph)

    def graph(self) -> CandidateGraph:
        """The graph on the CPU, as soon as it is there; without gradients."""
        return self.source.with_tensors(**self.copy.wait())


Result = TypeVar("Result")
Offsets = NDArray[np.int64]

_WAITING = 4  # tasks a worker that may wait, each with the copy of its chunk


def solve_stream(
    function: Callable[[AssignmentProblem], Result],
    chunks: Iterable[LinkChunk],
    cell_offsets: Offsets,
    n_threads: int | None = None,
) -> list[Result]:
    """Apply a solver to every frame pair of a movie in threads, while the next chunks are being made.

    Each chunk is copied to the CPU as soon as it is there, with one event behind the copies; the workers wait
    for that event, this thread goes on to the next chunk. It waits for the workers only if they fall behind, so
    that no more than a few copies exist at any time.

    Args:
        function: A solver of one problem, such as `k_best` with a K. It runs in several threads at once.
        chunks: Scored links, in order, on any device; taken in this thread.
        cell_offsets: (n_frames + 1,) cells of frame t are cell_offsets[t] to cell_offsets[t + 1] - 1.
        n_threads: Number of workers; by default the cores that this process may use.

    Returns:
        One result a frame pair, in order, whichever was ready first.

    Raises:
        InputError: A frame pair cannot be solved; the first one in the order of the movie. It, any other error,
            or an interrupt ends all work: no worker starts another frame pair.
    """
    workers = n_threads or available_cores()
    stopped = threading.Event()
    pending: deque[Future[list[Result]]] = deque()
    found: list[Result] = []
    with leaving_pool(workers, "frame-pairs") as pool:
        try:
            for chunk in chunks:
                problems = ChunkProblems(chunk, cell_offsets)
                for pairs in problems.shares():
                    pending.append(pool.submit(_solve, function, problems, pairs, stopped))
                while pending and (pending[0].done() or len(pending) > _WAITING * workers):
                    found += pending.popleft().result()
            while pending:
                found += pending.popleft().result()
        finally:
            stopped.set()
    return found


def _solve(
    function: Callable[[AssignmentProblem], Result],
    problems: "ChunkProblems",
    pairs: Sequence[int],
    stopped: threading.Event,
) -> list[Result]:
    found: list[Result] = []
    for pair in pairs:
        if stopped.is_set():
            break  # nobody asks for the result any more
        where = f"frames {pair} and {pair + 1}"
        found.append(solve_pair(function, lambda pair=pair: problems.build(pair), where))  # type: ignore[misc]
    return found


class ChunkProblems:
    """The frame pairs of a chunk as assignment problems, as soon as its copy is on the CPU.

    Args:
        chunk: Links on any device.
        cell_offsets: (n_frames + 1,) cells of frame t are cell_offsets[t] to cell_offsets[t + 1] - 1.
    """

    def __init__(self, chunk: LinkChunk, cell_offsets: Offsets) -> None:
        self.pairs = range(chunk.first, chunk.last)
        self.n_links = len(chunk.score)
        self._offsets = cell_offsets
        names = ("mother", "daughter", "score", "is_candidate", "appear", "disappear", "divide")
        self._copy: HostCopy | None = HostCopy.of({name: getattr(chunk, name) for name in names})
        self._lock = threading.Lock()
        self._links: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
        self._events: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

    def shares(self) -> list[Sequence[int]]:
        """The frame pairs in shares for one worker each: one by one, or all together if they are small."""
        if is_worth_threads(self.n_links, len(self.pairs)):
            return [[pair] for pair in self.pairs]
        return [self.pairs]

    def build(self, pair: int) -> AssignmentProblem:
        """The frame pair (pair, pair + 1) of the movie; its links in the order of a `CandidateGraph`.

        Raises:
            InputError: The chunk's links or events are not those of its frames.
        """
        with self._lock:
            if self._copy is not None:
                self._read(self._copy)
                self._copy = None
        mother, daughter, score = self._links
        appear, disappear, divide = self._events
        at = self._offsets
        links = slice(*np.searchsorted(daughter, at[pair + 1 : pair + 3]))
        mothers, daughters = at[pair : pair + 2], at[pair + 1 : pair + 3]
        as_mother = slice(*(mothers - at[self.pairs.start]))
        as_daughter = slice(*(daughters - at[self.pairs.start + 1]))
        return AssignmentProblem(
            mother[links] - mothers[0],
            daughter[links] - daughters[0],
            score[links],
            appear[as_daughter],
            disappear[as_mother],
            divide[as_mother],
        )

    def _read(self, copy: HostCopy) -> None:
        """Wait for the copy; choose the candidates, and sort them by daughter and mother."""
        tensors = copy.wait()
        meant = tensors["is_candidate"].numpy()
        mother, daughter = (tensors[name].numpy()[meant] for name in ("mother", "daughter"))
        score = to_host(tensors["score"])[meant]
        first, last = self.pairs.start, self.pairs.stop
        mothers, daughters = (self._offsets[[t, t + last - first]] for t in (first, first + 1))
        if len(daughter) and not (daughters[0] <= daughter.min() and daughter.max() < daughters[1]):
            raise InputError(
                f"the chunk of frames {first} to {last} has links to cells {daughter.min()} to {daughter.max()}; "
                f"expected {daughters[0]} to {daughters[1] - 1}"
            )
        self._events = to_host(tensors["appear"]), to_host(tensors["disappear"]), to_host(tensors["divide"])
        sizes = [len(values) for values in self._events]
        expected = [int(np.diff(cells)[0]) for cells in (daughters, mothers, mothers)]
        if sizes != expected:
            raise InputError(
                f"the chunk of frames {first} to {last} has {sizes} scores of appearing, disappearing and dividing; "
                f"expected {expected}, one a cell"
            )
        order = np.lexsort((mother, daughter))
        self._links = mother[order], daughter[order], score[order]
