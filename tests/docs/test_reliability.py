"""The page on reliability says what the fault tests counted."""

import csv

from tests.faults.page import COUNTS, PAGE, page_with, table


def test_the_table_is_made_from_the_counts() -> None:
    assert PAGE.read_text() == page_with(table())


def test_every_command_that_writes_was_killed_often() -> None:
    with COUNTS.open(newline="") as stream:
        kills = [row for row in csv.DictReader(stream) if row["fault"] == "kill -9"]
    assert sum(int(row["trials"]) for row in kills) >= 100
    assert len({row["what"] for row in kills}) >= 14
