"""Functions that torch's compiler leaves alone, without being loaded for it."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from torchtrack_uq.layers.uncompiled import uncompiled


class Middle(nn.Module):
    """Three sums, of which the second is none of the compiler's business."""

    def forward(self, x: Tensor) -> Tensor:
        return self.hidden(x + 1) + 3

    @uncompiled
    def hidden(self, x: Tensor) -> Tensor:
        """Its own sum, and what it calls."""
        return self.deeper(x) * 5

    def deeper(self, x: Tensor) -> Tensor:
        return x.sin()


def compiled_operations(module: nn.Module) -> tuple[Tensor, list[str]]:
    """Its value at 2, compiled, and the operations that the compiler saw."""
    seen: list[str] = []

    def backend(graph: torch.fx.GraphModule, inputs: object) -> object:
        seen.extend(node.name for node in graph.graph.nodes if node.op in ("call_function", "call_method"))
        return graph.forward

    torch.compiler.reset()
    return torch.compile(module, backend=backend)(torch.tensor(2.0)), seen


@pytest.mark.filterwarnings("default")  # torch's own, of its compiler
def test_the_compiler_sees_what_stands_around_and_nothing_inside() -> None:
    value, seen = compiled_operations(Middle())
    torch.testing.assert_close(value, Middle()(torch.tensor(2.0)))
    assert [name.rstrip("_0123456789") for name in seen] == ["add", "add"]


@pytest.mark.filterwarnings("default")
def test_it_sees_no_less_than_with_torchs_own_decorator() -> None:
    class Theirs(Middle):
        hidden = torch.compiler.disable(Middle.hidden.__wrapped__)

    assert compiled_operations(Middle())[1] == compiled_operations(Theirs())[1]


def test_gradients_names_and_docstrings_pass_through() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    Middle()(x).backward()
    torch.testing.assert_close(x.grad, 5 * torch.tensor(3.0).cos())
    assert (Middle.hidden.__name__, Middle.hidden.__doc__) == ("hidden", "Its own sum, and what it calls.")


def test_computing_loads_no_compiler() -> None:
    code = """
import sys, torch, numpy as np
from torchtrack_uq import AssignmentPosterior, CandidateGraph, Detections, UncertaintyLayer
cells = Detections.from_points(np.array([0, 0, 1, 1]), np.zeros((4, 2)))
def graph():
    return CandidateGraph.from_links(cells, [0, 0, 1], [2, 3, 3], torch.zeros(3, requires_grad=True))
for method in ("SM", "AS", "exact"):
    UncertaintyLayer(method)(graph()).link.sum().backward()
AssignmentPosterior("exact").log_prob(graph(), torch.tensor([-1, -1, 0, 1])).sum().backward()
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
