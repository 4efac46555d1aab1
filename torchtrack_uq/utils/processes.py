"""A crew of processes of this machine."""

import os
import pickle
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any

from torchtrack_uq.utils.crew import Answer, Common, Result, Task
from torchtrack_uq.utils.crew_member import COMMON, TASK, command, receive, send

LOST_BEFORE_GIVING_UP = 3
"""Workers that may be lost over a task: it may be the task that kills them."""
_PATIENCE = 1.0
"""Seconds for a worker that nobody talks to any more, which ends by itself."""
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Each worker has one core, and sums whose order depends on the threads are the same whatever their number."""


class Processes:
    """Tasks in processes of this machine, which are started when they are first needed; a `Crew`.

    They are started afresh and not forked, import what their work needs and nothing else, write nothing, and end with
    the block, or with this process, however it ends.

    Args:
        n: How many.

    >>> with Processes(2) as crew:
    ...     list(crew.map(divmod, 7, [2, 3]))
    [(3, 1), (2, 1)]
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self._idle: deque[_Member] = deque()
        self._jobs: list[tuple[_Job, list[threading.Thread]]] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job, threads in self._jobs:
            _end(job, threads)
        for member in self._idle:
            member.kill()
        while self._idle:
            self._idle.pop().end()

    def map(
        self, work: Callable[[Common, Task], Result], common: Common, tasks: Sequence[Task]
    ) -> Iterator[Result]:
        """See `Crew`."""
        if not tasks:
            return
        job = _Job(pickle.dumps((work, common), protocol=pickle.HIGHEST_PROTOCOL), tasks)
        threads = [
            threading.Thread(target=self._employ, args=(job,), daemon=True)
            for _ in range(min(self.n, len(tasks)))
        ]
        self._jobs.append((job, threads))
        try:
            for thread in threads:
                thread.start()
            for number in range(len(tasks)):
                yield job.answer(number).open()
        finally:
            _end(job, threads)
            self._jobs.remove((job, threads))

    def _employ(self, job: "_Job") -> None:
        """Let one worker do tasks until there is none left."""
        member: _Member | None = None
        try:
            for number in iter(job.next_task, None):
                if member is None:
                    member = self._idle.pop() if self._idle else _Member()
                    member.told = False
                if not job.watch(member):
                    break
                try:
                    answer = member.ask(job.content, pickle.dumps(job.tasks[number]))
                except (EOFError, OSError):
                    code = member.end()
                    member = None
                    job.lost(number, code)
                else:
                    job.done(number, answer)
        except BaseException as error:  # such as no memory for another process
            job.failed(error)
        finally:
            if member is not None and job.dismiss(member):
                self._idle.append(member)


def _end(job: "_Job", threads: Sequence[threading.Thread]) -> None:
    job.stop()
    for thread in threads:
        if thread.ident is not None:
            thread.join()


class _Job:
    """Tasks of one kind: which are waiting, which are done, and who is at work on them."""

    def __init__(self, content: bytes, tasks: Sequence[Any]) -> None:
        self.content, self.tasks = content, tasks
        self._waiting = deque(range(len(tasks)))
        self._answers: dict[int, Answer] = {}
        self._losses: dict[int, int] = {}
        self._at_work: set[_Member] = set()
        self._under_way = 0
        self._stopped = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()

    def next_task(self) -> int | None:
        """A task for a worker that has none, as soon as there is one; None if there will be none."""
        with self._changed:
            while not self._waiting and self._under_way and not self._stopped:
                self._changed.wait()  # what is under way may be lost, and come back
            if self._stopped or not self._waiting:
                return None
            self._under_way += 1
            return self._waiting.popleft()

    def watch(self, member: "_Member") -> bool:
        """Note who is at work, to be ended if nobody wants the results any more; whether they are wanted."""
        with self._changed:
            self._at_work.add(member)
            member.busy = not self._stopped
            return member.busy

    def dismiss(self, member: "_Member") -> bool:
        """Whether a worker that has answered may do other work."""
        with self._changed:
            self._at_work.discard(member)
            return member.process.poll() is None

    def done(self, number: int, answer: Answer) -> None:
        """A task's answer."""
        with self._changed:
            self._under_way -= 1
            self._answers[number] = answer
            self._changed.notify_all()

    def lost(self, number: int, code: int) -> None:
        """A worker is gone; its task waits for another one, unless it seems to be the task that kills them."""
        with self._changed:
            self._under_way -= 1
            self._losses[number] = self._losses.get(number, 0) + 1
            if self._losses[number] >= LOST_BEFORE_GIVING_UP:
                how = f"killed by signal {-code}" if code < 0 else f"ended with exit status {code}"
                memory = "; perhaps the machine was out of memory: give fewer --workers" if code == -9 else ""
                self._answers[number] = Answer(
                    error=OSError(
                        f"{self._losses[number]} workers were lost over the same work, {how}{memory}"
                    )
                )
            else:
                self._waiting.appendleft(number)
            self._changed.notify_all()

    def failed(self, error: BaseException) -> None:
        """No worker could be had."""
        with self._changed:
            self._failure = error
            self._changed.notify_all()

    def answer(self, number: int) -> Answer:
        """The answer to a task, as soon as it is there."""
        with self._changed:
            while number not in self._answers:
                if self._failure is not None:
                    raise self._failure
                self._changed.wait(1.0)
            return self._answers.pop(number)

    def stop(self) -> None:
        """End workers that are in the middle of something."""
        with self._changed:
            self._stopped = True
            for member in self._at_work:
                if member.busy:
                    member.kill()
            self._changed.notify_all()


class _Member:
    """One process."""

    def __init__(self) -> None:
        environment = os.environ | dict.fromkeys(_ONE_THREAD, "1") | {"OMP_WAIT_POLICY": "passive"}
        self.process = subprocess.Popen(
            command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the process that started it, which ends it
        )
        self.told = False
        self.busy = False

    def ask(self, content: bytes, task: bytes) -> Answer:
        """Send a task, and before the first one what all of them need; wait for the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if not self.told:
            send(self.process.stdin, bytes([COMMON]), content)  # type: ignore[arg-type]
            self.told = True
        send(self.process.stdin, bytes([TASK]), task)  # type: ignore[arg-type]
        answer: Answer = pickle.loads(receive(self.process.stdout))  # type: ignore[arg-type]
        self.busy = False
        return answer

    def kill(self) -> None:
        """At once: it has nothing to clean up."""
        with suppress(OSError):
            self.process.kill()

    def end(self) -> int:
        """Its exit status, once it is gone: what it had before, if it was gone already."""
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(_PATIENCE)
        self.kill()
        return self.process.wait()
