"""Licence, citation, changelog and hooks are there and say what is so."""

import re
import tomllib
from importlib.util import find_spec

import pytest
import yaml

from tests.docs.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MOVED = re.findall(
    r"^  \| `(torchtrack_uq[\w.]*)` \| `(torchtrack_uq[\w.]*)` \|",
    (ROOT / "CHANGELOG.md").read_text(),
    re.MULTILINE,
)


def test_the_citation_is_complete() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] in (ROOT / "LICENSE").read_text()
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert "2503.09244" in paper["url"]


def test_moved_modules_were_moved_to_where_the_changelog_says() -> None:
    assert len(MOVED) > 40
    for before, now in MOVED:
        assert find_spec(now) is not None, now
        try:
            still = find_spec(before)
        except ModuleNotFoundError:
            still = None
        assert still is None or still.submodule_search_locations is not None, before


@pytest.mark.parametrize("name", ["ruff-check", "ruff-format", "mypy"])
def test_hooks_name_no_host(name: str) -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    assert name in {hook["id"] for hook in config["repos"][0]["hooks"]}
