"""Where the CPU would have to wait for a device, counted on tensors of the CPU."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_WAITING = {
    "aten._local_scalar_dense",  # .item(), bool(), int(), .tolist() of a scalar
    "aten.nonzero",  # and indexing by a mask
    "aten.masked_select",
    "aten.bincount",
    "aten.unique_dim",
    "aten._unique2",
    "aten.unique_consecutive",
    "aten.equal",
    "aten.is_nonzero",
}


class Waits(TorchDispatchMode):
    """Counts operations whose result's shape or value the CPU needs before it goes on.

    Attributes:
        names: Of these operations, in order. Copies to the CPU (`cpu`, `numpy`, `tolist`) are counted as well: they
            are no operations where tensors lie there already, so methods of `Tensor` are watched.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self._own: dict[str, Any] = {}

    def __enter__(self) -> "Waits":
        for name in ("cpu", "numpy", "tolist"):
            self._own[name] = getattr(Tensor, name)
            setattr(Tensor, name, self._watched(name))
        return super().__enter__()  # type: ignore[no-any-return]

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for name, function in self._own.items():
            setattr(Tensor, name, function)

    def _watched(self, name: str) -> Any:
        own = self._own[name]

        def method(tensor: Tensor, *arguments: Any, **options: Any) -> Any:
            self.names.append(name)
            return own(tensor, *arguments, **options)

        return method

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(function).rsplit(".", 1)[0]
        by_mask = name.startswith("aten.index") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool
            for part in args
            if isinstance(part, list | tuple)
            for index in part
        )
        if name in _WAITING or by_mask:
            self.names.append(name)
        return function(*args, **(kwargs or {}))
