"""Which area of the package a test is of, how long each area takes, and where failures are: printed after the tests.

Hooks of pytest, for `tests/conftest.py` to import.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pytest

NIGHTLY = "nightly"


@dataclass
class Area:
    """What the tests of one area did."""

    tests: int = 0
    failed: int = 0
    seconds: float = 0.0


_areas: defaultdict[str, Area] = defaultdict(Area)
_left_out: set[str] = set()


def area_of(test: str) -> str:
    """The room that a test is of, from its id; "whole" where it is of the package as a whole.

    >>> area_of("tests/links/test_chunks.py::test_x"), area_of("torchtrack_uq/links/chunks.py::f")
    ('links', 'links')
    >>> area_of("tests/test_golden.py::test_x"), area_of("torchtrack_uq/uncertain_tracker.py::f")
    ('whole', 'whole')
    """
    parts = test.partition("::")[0].split("/")
    return parts[1] if len(parts) > 2 else "whole"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Set-up and teardown count as time of the area, and fail as tests do."""
    area = _areas[area_of(report.nodeid)]
    area.seconds += report.duration
    area.tests += report.when == "call" or (report.when == "setup" and report.outcome != "passed")
    area.failed += report.outcome == "failed"


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be imported is a failure of its area."""
    if report.outcome == "failed":
        _areas[area_of(report.nodeid)].failed += 1


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Those that only `make nightly` runs."""
    _left_out.update(item.nodeid for item in items if item.get_closest_marker(NIGHTLY))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist says what it left out; all leave out the same."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = sorted(_left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker said."""
    _left_out.update(getattr(node, "workeroutput", {}).get("left_out", ()))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A line an area, slowest first; those that failed stand out, and are named again at the end."""
    terminalreporter.section("areas")
    for name, area in sorted(_areas.items(), key=lambda item: -item[1].seconds):
        failed = f"  {area.failed} FAILED" if area.failed else ""
        terminalreporter.line(
            f"{name:16}{area.tests:6} tests {area.seconds:7.0f} s{failed}", red=bool(failed)
        )
    if _left_out:
        terminalreporter.line(f"{len(_left_out)} nightly tests left out: make nightly")
    if bad := [name for name, area in _areas.items() if area.failed]:
        terminalreporter.line(f"areas that failed: {', '.join(sorted(bad))}", red=True)
