"""What `torch.compile` leaves alone, at no cost to who does not compile."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def uncompiled(function: AnyFunction) -> AnyFunction:
    """`torch.compiler.disable` that loads torch's compiler, two seconds of imports, only where something is compiled.

    For functions that call solvers which numba compiled, or take a movie's graph, which is no tensor to trace.

    >>> @uncompiled
    ... def double(x: torch.Tensor) -> torch.Tensor:
    ...     return 2 * x
    >>> double(torch.tensor(2.0)), torch.compile(double, backend="eager")(torch.tensor(2.0))
    (tensor(4.), tensor(4.))
    """

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if "torch._dynamo" not in sys.modules:  # so nothing can have been compiled
            return function(*args, **kwargs)
        return torch.compiler.disable(function)(*args, **kwargs)  # type: ignore[no-untyped-call]

    return cast(AnyFunction, run)
