"""Who waits for a compilation is told, and nobody else."""

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
def test_compilations_of_ours_are_said_and_counted(
    module: str, times: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with compile_notice() as notice:
        for _ in range(2):
            compiled = new_kernel(module)
            assert compiled(1) == 2
            assert compiled(2) == 3
    said = capsys.readouterr().err
    assert said.count(NOTICE) == times
    assert notice.compiled == 2 * times
    assert ("2 kernels in" in said, "now add_one" in said) == (times > 0, times > 0)


def test_kernels_that_are_compiled_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    compiled = new_kernel("torchtrack_uq.assignment")
    compiled(1)
    with compile_notice() as notice:
        compiled(2)
    assert capsys.readouterr().err == ""
    assert notice.compiled == 0


def test_who_wants_no_word_gets_the_count(capsys: pytest.CaptureFixture[str]) -> None:
    with compile_notice(show=False) as notice:
        new_kernel("torchtrack_uq.assignment")(1)
    assert capsys.readouterr().err == ""
    assert notice.compiled == 1
