"""Tables written by column are, byte for byte, those that pandas writes row by row."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrack_uq.results import csv_file
from torchtrack_uq.results.csv_file import write_csv
from torchtrack_uq.results.number_text import number_text, number_texts, whole_texts

near_ties = st.builds(
    lambda digits, power, ulps: (digits + 0.5) * 10.0**power * (1 + ulps * 2.0**-52),
    st.integers(99_999, 1_000_000),
    st.integers(-30, 20),
    st.integers(-3, 3),
)
numbers = st.one_of(
    st.floats(),
    st.floats(-2, 2),
    near_ties,
    near_ties.map(lambda x: -x),
    st.integers(-(10**17), 10**17).map(lambda k: k / 1000),
    st.integers(-320, 308).map(lambda k: float(f"1e{k}")),
)


def texts(rows: np.ndarray) -> list[str]:
    """Without the zeros."""
    return [bytes(row[row > 0]).decode() for row in rows]


@given(st.lists(numbers, max_size=50))
def test_numbers_are_written_as_one_by_one(values: list[float]) -> None:
    expected = ["" if math.isnan(value) else number_text(value) for value in values]
    assert texts(number_texts(np.array(values, np.float64))) == expected


@given(st.lists(st.floats(width=32), max_size=50))
def test_single_precision_is_written_as_one_by_one(values: list[float]) -> None:
    column = np.array(values, np.float32)
    expected = ["" if math.isnan(value) else number_text(value) for value in column.tolist()]
    assert texts(number_texts(column)) == expected


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64])
def test_integers_are_written_whole_up_to_their_limits(kind: type[np.integer]) -> None:
    limits = np.iinfo(kind)
    values = np.array([limits.min, limits.min + 1, 0, 1, 9, 10, 99, 100, limits.max - 1, limits.max], kind)
    assert texts(whole_texts(values)) == [str(value) for value in values.tolist()]


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 8])
def test_a_table_of_every_kind_is_what_pandas_writes(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "_ROWS", 3)
    table = pd.DataFrame(
        {
            "whole": np.arange(7) * 1001 - 3003,
            "nullable": pd.array([1, None, 3, None, 5, 6, -7], "Int64"),
            "flag": np.arange(7) % 2 == 0,
            "perhaps": pd.array([True, None, False, None, True, True, False], "boolean"),
            "share": [0.5, np.nan, 1e-12, -0.0, 1.0, 12345.6785, np.inf],
            "small": np.linspace(0, 1, 7, dtype=np.float32),
            'with "quotes", comma': ["a", "", "b,c", 'd"e', "line\nbreak", "ä", "x=1+1"],
            "mixed": [1, "x", None, 2.5, "", True, "0"],
        }
    )
    table = pd.concat([table, table.tail(1)], ignore_index=True).head(rows)
    write_csv(tmp_path / "ours.csv", table)
    table.to_csv(tmp_path / "theirs.csv", index=False, float_format=number_text, lineterminator="\n")
    assert (tmp_path / "ours.csv").read_text() == (tmp_path / "theirs.csv").read_text()
