"""The table at the end of the tests names the areas that failed."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Literal

import pytest

from tests.support import areas


class Printed(list[str]):
    """Stands in for pytest's reporter."""

    def section(self, title: str) -> None:
        self.append(title)

    def line(self, text: str, **_: bool) -> None:
        self.append(" ".join(text.split()))


@contextmanager
def fresh() -> Iterator[Printed]:
    """Nothing counted yet; what is counted meanwhile is forgotten, as these tests are in the table themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(areas, "_areas", defaultdict(areas.Area))
        patch.setattr(areas, "_left_out", set())
        yield Printed()


def report(
    test: str, when: Literal["setup", "call"], outcome: Literal["passed", "failed", "skipped"], seconds: float
) -> None:
    areas.pytest_runtest_logreport(
        pytest.TestReport(test, ("", 0, ""), {}, outcome, None, when, duration=seconds)
    )


def test_times_and_failures_are_of_the_area() -> None:
    with fresh() as printed:
        report("tests/links/test_a.py::test_x", "setup", "passed", 1.0)
        report("tests/links/test_a.py::test_x", "call", "failed", 2.0)
        report("torchtrack_uq/links/a.py::torchtrack_uq.links.a", "call", "passed", 4.0)
        report("tests/movies/test_b.py::test_y", "setup", "failed", 9.0)
        report("tests/movies/test_b.py::test_z", "setup", "skipped", 0.0)
        report("tests/test_c.py::test_v", "call", "passed", 0.0)
        areas.pytest_terminal_summary(printed)
        assert printed == [
            "areas",
            "movies 2 tests 9 s 1 FAILED",
            "links 2 tests 7 s 1 FAILED",
            "whole 1 tests 0 s",
            "areas that failed: links, movies",
        ]


def test_what_workers_left_out_is_counted_once() -> None:
    with fresh() as printed:
        for _ in range(2):
            areas.pytest_testnodedown(SimpleNamespace(workeroutput={"left_out": ["a", "b"]}))
        areas.pytest_testnodedown(SimpleNamespace())  # one that crashed says nothing
        areas.pytest_terminal_summary(printed)
        assert printed == ["areas", "2 nightly tests left out: make nightly"]
