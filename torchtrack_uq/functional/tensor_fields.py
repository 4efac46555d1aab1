"""Dataclasses of tensors that move, copy and read as a single tensor does."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.errors import InputError

Arrays = dict[str, "NDArray[Any] | Arrays"]
"""Arrays by field; a field that holds tensors of its own is a dictionary again."""


class TensorFields:
    """`to`, `cpu`, `detach`, `pin_memory` and `numpy` for a dataclass whose fields are tensors, or such dataclasses.

    So that Lightning moves it to the trainer's device, a `DataLoader` pins its memory, and a worker process hands it
    over. Fields of other types are kept as they are. Nothing is checked again: the numbers stay the same.

    Attributes:
        float_fields: Fields that `to` casts to another dtype; all others keep theirs.
        host_caches: Cached properties that lie on the CPU and that no score changes; copies keep them.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Spot(TensorFields):
    ...     float_fields = ("height",)
    ...     height: Tensor
    ...     frame: Tensor
    >>> spot = Spot(torch.ones(1, requires_grad=True), torch.tensor([3]))
    >>> spot.to(torch.float64)
    Spot(height=tensor([1.], dtype=torch.float64, grad_fn=<ToCopyBackward0>), frame=tensor([3]))
    >>> spot.numpy()
    {'height': array([1.], dtype=float32), 'frame': array([3])}
    """

    float_fields: ClassVar[tuple[str, ...]] = ()
    host_caches: ClassVar[tuple[str, ...]] = ()

    def to(
        self,
        device: torch.device | str | int | torch.dtype | None = None,
        dtype: torch.dtype | None = None,
        non_blocking: bool = False,
    ) -> Self:
        """The same on another device, or with scores and probabilities of another dtype.

        Args:
            device: Where to; None stays. A dtype here is taken for the next argument, as `Tensor.to` does.
            dtype: Of the floating-point fields named in `float_fields`; None keeps them.
            non_blocking: Do not wait for copies from pinned memory to a GPU.

        Returns:
            Itself where nothing changes.

        Raises:
            InputError: A dtype that is neither float32 nor float64.
        """
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        if dtype not in (None, torch.float32, torch.float64):
            raise InputError(
                f"dtype {dtype} has too few digits for scores; expected float32 or float64: convert with .float()"
            )

        def move(name: str, tensor: Tensor) -> Tensor:
            cast = dtype if name in self.float_fields and tensor.is_floating_point() else None
            target = tensor.device if device is None else torch.device(device)
            return tensor.to(device=target, dtype=cast or tensor.dtype, non_blocking=non_blocking)

        def inner(name: str, value: "TensorFields") -> "TensorFields":
            return value.to(device, dtype if name in self.float_fields else None, non_blocking)

        return self._changed(move, inner)

    def cpu(self) -> Self:
        """The same on the CPU."""
        return self.to("cpu")

    def detach(self) -> Self:
        """The same without gradients."""
        return self._changed(lambda _, tensor: tensor.detach(), lambda _, value: value.detach())

    def pin_memory(self) -> Self:
        """A copy in page-locked memory, from which `to(..., non_blocking=True)` copies while the CPU goes on.

        Raises:
            RuntimeError: As `Tensor.pin_memory`, where there is no GPU.
        """
        return self._changed(lambda _, tensor: tensor.pin_memory(), lambda _, value: value.pin_memory())

    def numpy(self) -> Arrays:
        """All tensors as arrays on the CPU, without gradients, by name of the field."""
        found: Arrays = {}
        for name, value in self._values().items():
            if isinstance(value, TensorFields):
                found[name] = value.numpy()
            elif isinstance(value, Tensor):
                array: NDArray[np.generic] = value.detach().cpu().numpy()
                found[name] = array
        return found

    def with_tensors(self, **values: Any) -> Self:
        """The same with other values of some fields, unchecked: for copies, and for what was checked already."""
        changed = object.__new__(type(self))
        known = vars(self)
        kept = {name: known[name] for name in self.host_caches if name in known}
        vars(changed).update({**self._values(), **kept, **values})
        return changed

    def _values(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]

    def _changed(
        self,
        change: Callable[[str, Tensor], Tensor],
        inner: Callable[[str, "TensorFields"], "TensorFields"],
    ) -> Self:
        values = self._values()
        changed: dict[str, Any] = {}
        for name, value in values.items():
            if isinstance(value, TensorFields):
                changed[name] = inner(name, value)
            elif isinstance(value, Tensor):
                changed[name] = change(name, value)
        same = all(changed[name] is values[name] for name in changed)
        return self if same else self.with_tensors(**changed)
