"""Copies to the CPU that do not make the device wait, nor the thread that asks for them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from torchtrack_uq.candidates import CandidateGraph

_TENSORS = ("mother", "daughter", "score", "appear", "disappear", "divide", "frame", "label", "coords")


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
        n_frames: As in the graph.
    """

    copy: HostCopy
    n_frames: int

    @classmethod
    def of(cls, graph: CandidateGraph) -> "GraphCopy":
        """Start the copy."""
        return cls(HostCopy.of({name: getattr(graph, name) for name in _TENSORS}), graph.n_frames)

    def graph(self) -> CandidateGraph:
        """The graph on the CPU, as soon as it is there."""
        return CandidateGraph(**self.copy.wait(), n_frames=self.n_frames)
