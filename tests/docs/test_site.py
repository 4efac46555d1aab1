"""The site builds without a warning, holds all public names and commands, and needs no network."""

import importlib
import os
import re
import runpy
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT
from tests.test_architecture import ROOMS as ORDER
from torchtrack_uq.cli.main import build_parser

ROOMS = [path.name for path in (ROOT / "torchtrack_uq").iterdir() if (path / "__init__.py").is_file()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for module in ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers.python"):
        pytest.importorskip(module, reason="the site's tools are not installed: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, "\n".join(line for line in done.stderr.splitlines() if "INFO" not in line)
    return folder


def test_every_public_name_has_its_place(site: Path) -> None:
    inventory = zlib.decompress((site / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode()
    known = {line.split(" ")[0] for line in inventory.splitlines()}
    modules = ["torchtrack_uq", *(f"torchtrack_uq.{room}" for room in ROOMS if room not in ("cli", "utils"))]
    for module in modules:
        names = importlib.import_module(module).__all__
        missing = {f"{module}.{name}" for name in names if name != "__version__"} - known
        assert not missing


def test_every_room_but_the_command_line_has_a_page(site: Path) -> None:
    pages = {file.stem for file in (site / "api").glob("*.html")}
    assert pages == {*ROOMS, "index"} - {"cli"}


def test_rooms_stand_in_their_order(site: Path) -> None:
    listed = re.findall(r"^\| \[?`(\w+)`", (DOCS / "architecture.md").read_text(), re.MULTILINE)
    assert tuple(listed) == ORDER
    hooks = runpy.run_path(str(DOCS / "site_hooks.py"))
    assert hooks["ROOMS"] == tuple(room for room in ORDER if room not in ("uncertain_tracker", "cli"))


def test_every_command_is_shown_with_its_help(site: Path) -> None:
    page = (site / "command_line.html").read_text()
    for name, command in build_parser()._subparsers._group_actions[0].choices.items():
        assert f'id="{name}"' in page
        for option in re.findall(r"--[a-z-]+", command.format_help()):
            assert option in page, f"{name} {option}"


def test_reading_it_needs_no_network(site: Path) -> None:
    loaded = re.compile(
        r"<(?:script|img|iframe)[^>]*\ssrc=\"?https?:|<link[^>]*stylesheet[^>]*https?:|@import"
    )
    for page in site.rglob("*.html"):
        assert not loaded.search(page.read_text()), page


def test_the_picture_is_what_its_script_draws() -> None:
    drawn = runpy.run_path(str(DOCS / "images" / "pixels_to_files.py"))["draw"]()
    assert (DOCS / "images" / "pixels_to_files.svg").read_text() == drawn
