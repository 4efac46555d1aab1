"""A crew of the workers of a dask cluster, and how one is reached."""

import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from uuid import uuid4

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.crew import Common, Result, Task
from torchtrack_uq.utils.crew_member import answered
from torchtrack_uq.utils.optional import import_optional


def connect(address: str) -> Any:
    """A client of a dask scheduler that has workers; to be closed.

    Args:
        address: Of the scheduler, such as tcp://10.0.0.1:8786.

    Raises:
        InputError: distributed is not installed, nobody answers, or the cluster has no worker.
    """
    distributed: Any = import_optional("distributed", "dask", "running on a dask cluster")
    try:
        client = distributed.Client(address, timeout="20s")
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"no dask scheduler answers at {address} ({error}); expected an address such as tcp://10.0.0.1:8786"
        ) from error
    if not client.scheduler_info(n_workers=-1)["workers"]:
        client.close()
        raise InputError(
            f"the dask cluster at {address} has no worker; start some with `dask worker {address}`"
        )
    return client


class Cluster:
    """Tasks on the workers of a dask cluster, which see the same files; a `Crew`, to be used as a context.

    Args:
        address: Of the scheduler.

    Raises:
        InputError: See `connect`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._client = connect(address)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def n(self) -> int:
        """Threads of all workers."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return max(sum(int(worker["nthreads"]) for worker in workers), 1)

    def map(
        self, work: Callable[[Common, Task], Result], common: Common, tasks: Sequence[Task]
    ) -> Iterator[Result]:
        """See `Crew`."""
        name = f"torchtrack-uq-{work.__qualname__}-{uuid4().hex}"
        content = pickle.dumps((work, common), protocol=pickle.HIGHEST_PROTOCOL)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
            # a task and no scattered data: what a lost worker held is made again
            opened = self._client.submit(_opened, content, key=f"{name}-common", pure=False)
            futures = [
                self._client.submit(_there, opened, task, key=f"{name}-{k}", pure=False)
                for k, task in enumerate(tasks)
            ]
        try:
            for future in futures:
                yield self._result(future).open()
        finally:
            self._client.cancel([opened, *futures])

    def _result(self, future: Any) -> Any:
        distributed: Any = import_optional("distributed", "dask", "running on a dask cluster")
        try:
            return future.result()
        except distributed.KilledWorker as error:
            lost = " ".join(str(error).split())
            raise OSError(f"workers of the cluster were lost over the same work: {lost}") from error
        except Exception as error:
            why = " ".join(str(error).split())
            raise OSError(
                f"the dask cluster at {self._address} failed ({type(error).__name__}: {why}); expected workers with "
                "this version of the package, which stay until the work is done"
            ) from error


@dataclass(frozen=True)
class _Opened:
    """A kind of work and what all its tasks need.

    One object, which workers hand each other by pickle: of a tuple distributed takes modules apart by itself, and makes
    the ordered dictionaries in them plain ones.
    """

    work: Callable[[Any, Any], Any]
    common: Any


def _opened(content: bytes) -> _Opened:
    return _Opened(*pickle.loads(content))


def _there(opened: _Opened, task: Any) -> Any:
    return answered(opened.work, opened.common, task)
