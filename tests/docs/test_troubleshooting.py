"""The messages that the troubleshooting page quotes are those of the code."""

import ast
import re

import pytest

from tests.docs.pages import DOCS, ROOT

PAGE = DOCS / "troubleshooting.md"
QUOTED = [
    m for m in re.findall(r"^\| `([^`]+)`", PAGE.read_text(), re.MULTILINE) if "command not found" not in m
]


def template(node: ast.expr) -> str:
    """A message with … for every value in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(template(value) for value in node.values)
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    return "…"


@pytest.fixture(scope="module")
def messages() -> str:
    found = set()
    for file in (ROOT / "torchtrack_uq").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr | ast.BinOp | ast.Constant):
                found.add(template(node))
    return "\n".join(found)


@pytest.mark.parametrize("quoted", QUOTED)
def test_every_quoted_message_is_one_of_the_code(quoted: str, messages: str) -> None:
    parts = [re.escape(part) for part in quoted.split("…")]
    assert re.search("[^\n]*?".join(parts) if quoted.startswith("…") else "…?".join(parts), messages), quoted


def test_there_are_many() -> None:
    assert len(QUOTED) >= 25
