"""How many threads work is shared by."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from torchtrack_uq.utils.cores import available_cores, beside, in_threads, left_at_work


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


def test_work_beside_is_done_here_outside_of_the_main_thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(threading.get_ident).result()
        assert pool.submit(beside, threading.get_ident).result() == other
    assert beside(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        beside(divmod, 1, 0)


def test_interrupted_work_is_left_and_nothing_more_of_it_begins() -> None:
    begun: list[int] = []
    may_end = threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise KeyboardInterrupt  # as in the main thread, where a signal is answered
        may_end.wait(30)

    with pytest.raises(KeyboardInterrupt):
        list(in_threads(work, range(50), 2))
    assert left_at_work(0.01)
    may_end.set()
    assert not left_at_work(30)
    assert len(begun) < 5


def test_a_thread_that_is_only_just_started_is_left_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = threading.Event()
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            beside(may_end.wait, 30)
    assert left_at_work(0.01)
    may_end.set()
    assert not left_at_work(30)
