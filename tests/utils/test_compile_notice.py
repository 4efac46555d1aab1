"""Who waits for a compilation is told, once, and nobody else."""

from collections.abc import Callable

import numba
import pytest

from torchtrack_uq.utils.compile_notice import NOTICE, compile_notice


def new_kernel(module: str) -> Callable[[int], int]:
    """A function of `module` that nothing has compiled yet, and no cache will hold."""

    def add_one(n: int) -> int:
        return n + 1

    add_one.__module__ = module
    compiled: Callable[[int], int] = numba.njit(add_one)
    return compiled


@pytest.mark.parametrize(
    ("module", "times"),
    [
        ("torchtrack_uq.assignment", 1),
        ("somebody.else", 0),
    ],
)
def test_the_first_compilation_of_ours_is_said(
    module: str, times: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with compile_notice():
        assert new_kernel(module)(1) == 2
        assert new_kernel(module)(2) == 3
    assert capsys.readouterr().err.count(NOTICE) == times


def test_kernels_that_are_compiled_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    compiled = new_kernel("torchtrack_uq.assignment")
    compiled(1)
    with compile_notice():
        compiled(2)
    assert NOTICE not in capsys.readouterr().err
