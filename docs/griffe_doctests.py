"""Shows the examples in docstrings as code: they are doctests, which Markdown would take for quotations."""

import re
from typing import Any

import griffe

_DOCTEST = re.compile(r"(?:^ *>>> .*\n?(?: *\S.*\n?)*)+", re.MULTILINE)


def fenced(text: str) -> str:
    """A docstring with its doctests between code fences."""

    def fence(match: re.Match[str]) -> str:
        lines = match[0].rstrip("\n").splitlines()
        indent = " " * (len(lines[0]) - len(lines[0].lstrip()))
        return "\n".join([f"{indent}```pycon", *lines, f"{indent}```", ""])

    return _DOCTEST.sub(fence, text)


class Doctests(griffe.Extension):
    """Put fences around the doctests of every docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called once for everything that has a docstring."""
        if obj.docstring is not None and ">>>" in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)
