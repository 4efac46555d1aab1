"""The one decorator under which every kernel of the assignment engine is compiled."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def kernel(function: AnyFunction) -> AnyFunction:
    """Compile `function` to machine code that is cached on disk and runs without the GIL.

    `error_model="numpy"` keeps the inner loops free of division checks: a division by zero gives inf or
    NaN.
    """
    return cast(AnyFunction, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
