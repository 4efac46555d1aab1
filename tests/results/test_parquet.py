"""Tables beside the CSV, where they are large."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from torchtrack_uq.results.parquet import ParquetWarning, write_large_table

TABLE = pd.DataFrame(
    {"frame": [1, 2], "probability": [0.25, 0.5], "mother_frame": pd.array([None, 1], "Int64")}
)


def test_small_tables_are_not_written_twice(tmp_path: Path) -> None:
    assert not write_large_table(tmp_path / "t.parquet", TABLE)
    assert not list(tmp_path.iterdir())


def test_large_ones_come_back_with_their_types(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'torchtrack-uq[parquet]'")
    assert write_large_table(tmp_path / "t.parquet", TABLE, rows=2)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), TABLE)


def test_without_pyarrow_a_note_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.warns(ParquetWarning, match=r"2 rows are written as CSV only.*torchtrack-uq\[parquet\]"):
        assert not write_large_table(tmp_path / "t.parquet", TABLE, rows=2)
