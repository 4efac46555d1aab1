"""One copy of a movie's candidate graph to the CPU, without making the device wait."""

from dataclasses import dataclass

import torch
from torch import Tensor

from torchtrack_uq.candidates import CandidateGraph

_TENSORS = ("mother", "daughter", "score", "appear", "disappear", "divide", "frame", "label", "coords")


@dataclass(frozen=True)
class HostCopy:
    """A graph on its way to the CPU.

    Attributes:
        tensors: The graph's tensors on the CPU, in pinned memory if they come from a GPU.
        n_frames: As in the graph.
        ready: CUDA event after which the tensors are filled, or None if they are.
    """

    tensors: dict[str, Tensor]
    n_frames: int
    ready: torch.cuda.Event | None

    @classmethod
    def of(cls, graph: CandidateGraph) -> "HostCopy":
        """Start the copy; all tensors go behind each other on the current stream."""
        if graph.device.type != "cuda":
            return cls({name: getattr(graph, name).detach().cpu() for name in _TENSORS}, graph.n_frames, None)
        copies = {}
        for name in _TENSORS:
            source = getattr(graph, name).detach()
            target = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
            copies[name] = target.copy_(source, non_blocking=True)
        ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
        ready.record()
        return cls(copies, graph.n_frames, ready)

    def graph(self) -> CandidateGraph:
        """The graph on the CPU; waits for the copy, and for nothing else on the device."""
        if self.ready is not None:
            self.ready.synchronize()
        return CandidateGraph(**self.tensors, n_frames=self.n_frames)
