"""Read JSON that a stranger may have written."""

import json
from typing import Any

_LARGEST = 1 << 63


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text, with every way to be unusable as one kind of error.

    Raises:
        ValueError: It is no JSON, is nested too deep to be meant, or holds a whole number beyond 64 bits.

    >>> parse_json('{"window": 4}')
    {'window': 4}
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: it is nested too deep
    """
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -_LARGEST <= int(digits) < 2 * _LARGEST:
        raise ValueError(f"it holds a whole number of {len(digits.lstrip('-'))} digits, beyond 64 bits")
    return int(digits)
