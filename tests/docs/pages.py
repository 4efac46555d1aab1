"""What the pages of the documentation hold: code, commands, links."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(DOCS.rglob("*.md")),
]
GENERATED = re.compile(r"(api/\w+|command_line)\.md")
"""Pages that the site's build writes."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return [code for kind, code in _FENCE.findall(page.read_text()) if kind == language]


def code_of(page: Path) -> str:
    """All Python of a page, in order, each line where it stands in the page, for readable tracebacks."""
    text = page.read_text()
    lines = [""] * len(text.splitlines())
    for match in _FENCE.finditer(text):
        if match[1] == "python":
            first = text[: match.start(2)].count("\n")
            code = match[2].splitlines()
            lines[first : first + len(code)] = code
    return "\n".join(lines)


def commands(page: Path) -> list[str]:
    """Every `torchtrack-uq ...` of a page's code blocks."""
    return re.findall(r"^torchtrack-uq .*", "\n".join(blocks(page, "bash")), re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """Where a page's links and pictures lead to, those into the network aside."""
    found = re.findall(r"\]\(([^)\s]+)\)|\b(?:src|srcset|href)=\"([^\"\s]+)\"", prose(page))
    return [one or other for one, other in found if ":" not in (one or other)]


def first_column(page: Path, heading: str) -> Iterator[str]:
    """What stands in backticks in the first column of the table that begins with a heading."""
    table = page.read_text().partition(f"| {heading} |")[2].split("\n\n")[0]
    for row in table.splitlines()[2:]:
        found = re.match(r"\| `([^`]+)`", row)
        if found:
            yield found[1]
