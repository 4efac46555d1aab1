"""Values as people write them on a command line."""

import argparse
import math

from torchtrack_uq.errors import InputError

_FEWEST_AT_ONCE = 1000


def share(text: str) -> float:
    """A share of 1, written as 0.01 or as 1%.

    Raises:
        argparse.ArgumentTypeError: No number, or one outside 0 to 1 (or 0 to 100 with a percent sign).

    >>> share("1%"), share("0.01"), share("2.5 %")
    (0.01, 0.01, 0.025)
    """
    bare = text.strip()
    percent = bare.endswith("%")
    try:
        number = float(bare.removesuffix("%"))
    except ValueError:
        number = math.nan
    value = number / 100 if percent else number
    if not 0 <= value <= 1:
        hint = f"; for {number:g} percent write {number:g}% or {number / 100:g}" if 1 < number <= 100 else ""
        raise argparse.ArgumentTypeError(
            f"{text!r} is no share; expected a number from 0 to 1, such as 0.01, or a percentage such as 1%{hint}"
        )
    return value


def every_nth(text: str) -> int:
    """Which frames to take: every N-th.

    Raises:
        argparse.ArgumentTypeError: No whole number of at least 1.

    >>> every_nth("2")
    2
    """
    try:
        n = int(text)
    except ValueError:
        n = 0
    if n < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no stride; expected 1 for every frame, 2 for every other, and so on"
        )
    return n


def numbers(text: str, what: str) -> tuple[float, ...]:
    """Numbers between commas.

    Args:
        text: Such as "0.5,0.16,0.16"; an x may stand for a comma.
        what: What they are expected to be, for the message.

    Raises:
        argparse.ArgumentTypeError: Something else.

    >>> numbers("512x512", "field")
    (512.0, 512.0)
    """
    try:
        return tuple(float(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no {what}") from None


def length(text: str) -> float | str:
    """A number of pixels, or a length in micrometres, which stays as it is written.

    Raises:
        argparse.ArgumentTypeError: Neither.

    >>> length("7.5"), length("12um")
    (7.5, '12um')
    """
    try:
        return float(text)
    except ValueError:
        pass
    from torchtrack_uq.movies.scale import micrometres  # only where a unit is given: help loads no numpy

    try:
        micrometres(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def workers(text: str) -> int:
    """How many processes.

    >>> workers("2")
    2
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers; expected 1 or more")
    return int(text)


def cells_at_once(text: str) -> int:
    """How many cells of a long movie to hold: 0 for all, else at least 1,000.

    >>> cells_at_once("100000")
    100000
    """
    if text.isascii() and text.isdigit() and (int(text) == 0 or int(text) >= _FEWEST_AT_ONCE):
        return int(text)
    raise argparse.ArgumentTypeError(
        f"{text!r} is no number of cells to hold at a time; expected 0 for all of them, or at least {_FEWEST_AT_ONCE}"
    )
