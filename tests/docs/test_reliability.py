"""The page on reliability says what the fault tests counted."""

import csv
from pathlib import Path

from tests.faults.page import COUNTS, PAGE, page_with, table
from tests.fuzz import page as fuzzing
from tests.fuzz.counts import Tried, add_counts, cases_counted, counts_in
from tests.fuzz.targets import TARGETS


def test_the_table_is_made_from_the_counts() -> None:
    assert PAGE.read_text() == page_with(table())


def test_every_command_that_writes_was_killed_often() -> None:
    with COUNTS.open(newline="") as stream:
        kills = [row for row in csv.DictReader(stream) if row["fault"] == "kill -9"]
    assert sum(int(row["trials"]) for row in kills) >= 100
    assert len({row["what"] for row in kills}) >= 14


def test_the_tables_of_fuzzing_are_made_from_its_counts() -> None:
    assert PAGE.read_text() == page_with(fuzzing.table(), fuzzing.START)


def test_most_readers_and_every_solver_were_fuzzed() -> None:
    counts = counts_in(fuzzing.COUNTS)
    assert sum(cases_counted(counts, target.name) > 0 for target in TARGETS) >= 0.8 * len(TARGETS)
    for name in fuzzing.SOLVERS:
        assert cases_counted(counts, name) > 1000, name


def test_counts_of_fuzzing_add_up_and_stay(tmp_path: Path) -> None:
    file, found = tmp_path / "fuzzing.csv", Tried({("a", "read"): 2, ("a: b", "right"): 7})
    add_counts(file, found)
    add_counts(file, Tried({("a", "read"): 1, ("a", "refused"): 4}))
    assert counts_in(file) == Tried({("a", "read"): 3, ("a", "refused"): 4, ("a: b", "right"): 7})
    assert cases_counted(counts_in(file), "a") == 7
    assert counts_in(tmp_path / "none.csv") == Tried()
