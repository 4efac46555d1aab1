"""Processes do tasks as one would, whatever happens to them, and none outlives who started it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.crews import die_at, modules_of, refuse_from, threads_of, work_slowly
from torchtrack_uq import InputError
from torchtrack_uq.utils.crew import Alone, spans
from torchtrack_uq.utils.processes import Processes


@pytest.mark.parametrize("n", [1, 2, 3])
def test_results_come_in_the_order_of_the_tasks(n: int) -> None:
    with Processes(n) as crew:
        for _ in range(2):
            assert list(crew.map(divmod, 100, [7, 8, 9, 10])) == list(Alone().map(divmod, 100, [7, 8, 9, 10]))
        assert list(crew.map(divmod, 100, [])) == []


def test_a_killed_worker_costs_its_task_only_which_is_done_again(tmp_path: Path) -> None:
    with Processes(2) as crew:
        assert list(crew.map(die_at, (3, str(tmp_path / "killed")), list(range(8)))) == list(range(8))
        assert (tmp_path / "killed").exists()
        assert list(crew.map(divmod, 7, [2])) == [(3, 1)]


def test_a_task_that_kills_every_worker_ends_in_a_sentence_after_what_stands_before_it() -> None:
    with Processes(2) as crew:
        results = crew.map(die_at, (2, None), list(range(8)))
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(OSError, match="3 workers were lost over the same work, killed by signal 9"):
            next(results)


def test_the_first_error_in_the_order_of_the_tasks_arrives_as_it_was_raised() -> None:
    with Processes(2) as crew:
        results = crew.map(refuse_from, 1, list(range(6)))
        with pytest.warns(UserWarning, match="task 0 looks odd"):
            assert next(results) == 0
        with pytest.raises(InputError) as error:
            next(results)
        assert str(error.value) == "task 1 is bad"
        assert "refuse_from" in "".join(error.value.__notes__)
        with pytest.warns(UserWarning, match="looks odd"):
            assert list(crew.map(refuse_from, 9, [1, 2])) == [1, 2]


def test_a_loop_that_is_left_ends_what_is_under_way() -> None:
    begun = time.monotonic()
    with Processes(2) as crew:
        results = crew.map(work_slowly, 600.0, list(range(4)))
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            next(results)
        assert list(crew.map(divmod, 7, [2])) == [(3, 1)]
    assert time.monotonic() - begun < 60


def test_workers_end_when_who_started_them_is_killed() -> None:
    code = (
        "import os, sys; from tests.support.crews import work_slowly\n"
        "from torchtrack_uq.utils.processes import Processes\n"
        "crew = Processes(2); list(crew.map(work_slowly, 0.0, [0, 1]))\n"
        "print(*[one.process.pid for one in crew._idle], flush=True)\n"
        "list(crew.map(work_slowly, 600.0, [0, 1]))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [int(number) for number in parent.stdout.readline().split()]
    assert workers
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while any(_runs(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # which nobody has asked for its end


def test_workers_import_what_their_work_needs_and_have_one_thread() -> None:
    with Processes(1) as crew:
        assert not next(crew.map(modules_of, None, [0])) & {"torch", "pandas", "numba", "scipy", "pytest"}
        assert next(crew.map(threads_of, None, [0])) == "1"


def test_spans_are_all_numbers_once() -> None:
    for n in range(12):
        for pieces in range(1, 6):
            for least in range(1, 4):
                found = spans(n, pieces, least)
                assert [k for span in found for k in span] == list(range(n))
                assert len(found) <= pieces
                assert len(found) <= 1 or min(map(len, found)) >= least
