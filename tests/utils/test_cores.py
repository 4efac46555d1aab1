"""How many threads work is shared by."""

import os
from collections.abc import Iterator

import pytest

from torchtrack_uq.utils.cores import available_cores, in_threads


@pytest.mark.parametrize(
    ("limit", "most"), [("1", 1), ("0", None), ("many", None), ("100000", None), (None, None)]
)
def test_a_batch_may_leave_a_run_fewer_threads_than_there_are_cores(
    monkeypatch: pytest.MonkeyPatch, limit: str | None, most: int | None
) -> None:
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    every = available_cores()
    assert 1 <= every <= (os.cpu_count() or 1)
    if limit is not None:
        monkeypatch.setenv("NUMBA_NUM_THREADS", limit)
    assert available_cores() == (every if most is None else min(every, most))


def test_the_first_error_in_order_is_raised_and_nothing_is_out_of_order() -> None:
    def inverse(value: int) -> float:
        return 1 / value

    def items() -> Iterator[int]:
        yield from [1, 2, 0, 4]

    found = in_threads(inverse, items())
    assert [next(found), next(found)] == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(found)
