"""The paper to the letter: which options make the four methods what the paper writes down."""

from typing import Any

from torchtrack_uq.errors import InputError

PAPER: dict[str, dict[str, Any]] = {
    "SM": {"null_class": False},
    "FP": {"null_class": False},
    "FP+A": {"eps": 0.0, "null_class": False},
    "AS": {"leftover": False, "null_class": False},
}
"""Options of the methods of "Reliable Cell Trackers Say 'I dunno!'", equations 3 to 5."""


def paper_options(method: str) -> dict[str, Any]:
    """Options that make a method the paper's.

    Raises:
        InputError: The paper has no such method.

    >>> paper_options("AS")
    {'leftover': False, 'null_class': False}
    """
    if method not in PAPER:
        raise InputError(
            f"method {method} has no paper version; choose one of the paper's methods: {', '.join(PAPER)} (--method AS)"
        )
    return dict(PAPER[method])
