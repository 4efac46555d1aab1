"""Files that grow with the number of links, written reel by reel and put together at the end."""

import importlib.util
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.results.csv_file import write_csv
from torchtrack_uq.results.parquet import LARGE, write_large_table, write_parquet
from torchtrack_uq.results.stored_fields import OnDisk
from torchtrack_uq.utils.ending_signals import held_signals
from torchtrack_uq.utils.optional import import_optional

Columns = Mapping[str, NDArray[Any]]


class LinkFiles:
    """Links of all reels, in a folder; written by a thread while the next reel is worked on.

    Args:
        folder: Empty.
        n_reels: How many there are.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, LinkFiles(Path(folder), 2) as files:
    ...     files.add(1, pd.DataFrame({"frame": [7]}), {"score": np.array([2.0])})
    ...     files.add(0, pd.DataFrame({"frame": [3]}), {"score": np.array([1.0])})
    ...     files.done()
    ...     files.write_table(Path(folder))
    ...     print((Path(folder) / "links.csv").read_text().split(), len(files.column("score")))
    ['frame', '3', '7'] 2
    """

    def __init__(self, folder: Path, n_reels: int) -> None:
        self.folder, self.n_reels = folder, n_reels
        self._rows, self._types = 0, dict[str, np.dtype[Any]]()
        self._parquet = importlib.util.find_spec("pyarrow") is not None

    def __enter__(self) -> "LinkFiles":
        self._pool, self._jobs = ThreadPoolExecutor(1, thread_name_prefix="links"), list[Future[None]]()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with held_signals():  # nobody may take the folder away from under a job
            self._pool.shutdown(cancel_futures=kind is not None)

    def add(
        self,
        number: int,
        table: pd.DataFrame,
        columns: Columns,
        then: Callable[[Columns], None] = lambda _: None,
    ) -> None:
        """Rows of `links.csv` and columns of `state.npz`, of a reel; `then` is told what was written."""
        self.done()  # at most one reel waits
        self.know(len(table), columns)
        self._jobs.append(self._pool.submit(self._write, number, table, columns, then))

    def go_on(self, number: int, n_rows: int, columns: Columns, sizes: Columns) -> None:
        """Take over a reel that an earlier run has added: how many rows, any of its numbers, and what `then` was told.

        Raises:
            ValueError: Its files are not what they were.
        """
        there = self._sizes(number, columns)
        if any(not np.array_equal(there[name], sizes[name]) for name in there):
            raise ValueError(f"files of reel {number} in {self.folder} are damaged")
        self.know(n_rows, columns)

    def _sizes(self, number: int, columns: Columns) -> Columns:
        """Names of a reel's files, and their bytes; -1 for those that are not there."""
        names = [
            f"{number}.csv",
            *[f"{number}.parquet"] * self._parquet,
            *(f"{number}.{name}" for name in columns),
        ]
        files = [self.folder / name for name in names]
        sizes = [file.stat().st_size if file.is_file() else -1 for file in files]
        return {"files": np.array(names), "sizes": np.array(sizes)}

    def know(self, n_rows: int, columns: Columns) -> None:
        """How many rows, and any of its numbers, of a reel that is added."""
        self._rows += n_rows
        self._types = {name: values.dtype for name, values in columns.items()}

    def forget(self) -> None:
        """Nothing was added."""
        self._rows = 0

    def done(self) -> None:
        """Wait for what was added; raise what went wrong."""
        while self._jobs:
            self._jobs.pop().result()

    def _write(
        self, number: int, table: pd.DataFrame, columns: Columns, then: Callable[[Columns], None]
    ) -> None:
        write_csv(self.folder / f"{number}.csv", table, header=number == 0)
        if self._parquet:
            write_parquet(self.folder / f"{number}.parquet", table)
        for name, values in columns.items():
            values.tofile(self.folder / f"{number}.{name}")
        then(self._sizes(number, columns))

    def column(self, name: str) -> OnDisk:
        """One of the columns, of all reels."""
        return OnDisk([self.folder / f"{k}.{name}" for k in range(self.n_reels)], self._types[name])

    def write_table(self, folder: Path) -> None:
        """`links.csv`, and `links.parquet` where that is large."""
        with (folder / "links.csv").open("wb") as stream:
            for k in range(self.n_reels):
                part = self.folder / f"{k}.csv"
                with part.open("rb") as lines:
                    shutil.copyfileobj(lines, stream, 1 << 20)
        if self._rows < LARGE:
            return
        if not self._parquet:
            write_large_table(folder / "links.parquet", pd.DataFrame(index=range(self._rows)))
            return
        parquet = import_optional("pyarrow.parquet", "parquet", "writing links.parquet")
        writer = None
        for k in range(self.n_reels):
            rows = parquet.read_table(self.folder / f"{k}.parquet")
            writer = writer or parquet.ParquetWriter(
                folder / "links.parquet", rows.schema, compression="zstd"
            )
            writer.write_table(rows)
        if writer is not None:
            writer.close()
