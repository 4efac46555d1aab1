"""Every page's code runs, its commands parse, its links lead somewhere."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.pages import (
    DOCS,
    GENERATED,
    PAGES,
    ROOT,
    code_of,
    commands,
    first_column,
    links,
    name_of,
    prose,
)
from torchtrack_uq.cli.main import build_parser
from torchtrack_uq.layers.registry import METHODS
from torchtrack_uq.metrics.registry import METRICS
from torchtrack_uq.trackers.registry import TRACKERS

OWN_TESTS = {"README.md", "CONTRIBUTING.md", "docs/training_loop.md"}


@pytest.mark.parametrize(
    "page", [p for p in PAGES if code_of(p).strip() and name_of(p) not in OWN_TESTS], ids=name_of
)
@pytest.mark.usefixtures("small_example")
def test_every_python_block_runs(page: Path, run_page: Callable[[str, str], object]) -> None:
    run_page(code_of(page), str(page))


@pytest.mark.parametrize(
    "command", sorted({command for page in PAGES for command in commands(page)} - {"torchtrack-uq --version"})
)
def test_every_command_has_arguments_that_exist(command: str) -> None:
    arguments = shlex.split(command, comments=True)[1:]
    assert callable(build_parser().parse_args(arguments).run)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_option_in_the_text_exists(page: Path) -> None:
    commands_of_parser = build_parser()._subparsers._group_actions[0].choices
    usage = " ".join(command.format_help() for command in commands_of_parser.values())
    for option in re.findall(r"`(--[a-z-]+)", prose(page)):
        assert option in {*re.findall(r"--[a-z-]+", usage), "--help", "--list"}, option


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_in_the_repository(page: Path) -> None:
    """Anchors are checked when the site is built."""
    for link in links(page):
        path = (page.parent / link.partition("#")[0]).resolve()
        assert path.is_relative_to(ROOT), link
        assert path.is_file() or link.startswith("#"), link


def test_tables_name_what_the_registries_hold() -> None:
    assert set(first_column(DOCS / "methods.md", "name")) == set(METHODS)
    assert set(first_column(DOCS / "guides" / "own_tracker.md", "name")) == set(TRACKERS)
    assert set(first_column(DOCS / "guides" / "calibrate.md", "name")) == set(METRICS)


def test_every_notebook_is_listed() -> None:
    listed = {Path(link).name for link in links(DOCS / "guides" / "notebooks.md")}
    assert {file.name for file in (ROOT / "notebooks").glob("*.ipynb")} == listed


def test_no_page_and_no_docstring_cites_what_is_not_there() -> None:
    files = [*PAGES, *(ROOT / "torchtrack_uq").rglob("*.py")]
    assert not [name_of(file) for file in files if "DESIGN" in file.read_text()]
    for file in files:
        for cited in re.findall(r"\bdocs/[\w/]+\.md", file.read_text()):
            assert (ROOT / cited).exists() or GENERATED.search(cited), f"{name_of(file)}: {cited}"
