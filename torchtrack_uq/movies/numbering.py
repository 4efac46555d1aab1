"""Which frame each file of a folder is, by the numbers in its name, and which frames are missing."""

import math
import re
from collections.abc import Sequence
from itertools import islice, pairwise

from torchtrack_uq.errors import InputError

_MOST_MISSING = 100_000  # names may hold numbers that count nothing, such as times in nanoseconds
_DIGITS = re.compile(r"(\d+)")
_TIME = re.compile(r"(?:^|[^a-z])(?:t|time|frame|f)[_\-]?$", re.IGNORECASE)

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "min": 60, "s": 1}
"""Letters after the numbers of a time, as microscopes write it into names: 01d06h30m."""


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which runs of digits compare as numbers.

    >>> sorted(["t10.tif", "t9.tif"], key=natural_key)
    ['t9.tif', 't10.tif']
    """
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(name)]


def pattern(name: str) -> str:
    """A name with an asterisk for every number in it, .tiff as .tif.

    >>> pattern("t000_cp_masks.tif")
    't*_cp_masks.tif'
    """
    return re.sub(r"\.tiff$", ".tif", _DIGITS.sub("*", name), flags=re.IGNORECASE)


def frame_numbers(names: Sequence[str], folder: str) -> tuple[int, ...]:
    """The number of the frame in each name, of names of one pattern; empty where they count nothing.

    Of several numbers that differ from name to name it is the one after a "t", else one with a constant step, else
    the last one; it must differ in every name.

    Numbers that are days, hours, minutes or seconds, as 01d06h30m, are one time, in units of the last that changes.

    Raises:
        InputError: Two names have the same number, or only several numbers together tell files apart.

    >>> frame_numbers(["plate1_t000.tif", "plate1_t002.tif"], "folder")
    (0, 2)
    >>> frame_numbers(["A1_00d23h45m.tif", "A1_01d00h00m.tif"], "folder")
    (1425, 1440)
    """
    if len(names) < 2:
        return tuple(int(number) for number in _DIGITS.findall(names[0])[-1:]) if names else ()
    columns = list(zip(*(tuple(map(int, _DIGITS.findall(name))) for name in names), strict=True))
    changing = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    if len(changing) > 1 and (times := _times(names[0], columns, changing)) is not None:
        return times
    telling = [i for i in changing if len(set(columns[i])) == len(names)]
    if telling:
        before = _DIGITS.split(names[0])[::2]

        def rank(i: int) -> tuple[bool, bool, int]:
            steps = {b - a for a, b in pairwise(sorted(columns[i]))}
            return bool(_TIME.search(before[i])), len(steps) == 1, i

        return columns[max(telling, key=rank)]
    if len({tuple(column[k] for column in columns) for k in range(len(names))}) < len(names):
        seen: dict[tuple[int, ...], str] = {}
        for k, name in enumerate(names):
            other = seen.setdefault(tuple(column[k] for column in columns), name)
            if other != name:
                raise InputError(
                    f"{folder} has the same frame twice, {other} and {name}; expected one file a frame"
                )
    raise InputError(
        f"{folder} has files that only several numbers in their names tell apart, such as {names[0]} and {names[-1]}; "
        "expected one file a frame: merge the planes or channels of a frame into one file, or move others elsewhere"
    )


def _times(name: str, columns: Sequence[Sequence[int]], changing: Sequence[int]) -> tuple[int, ...] | None:
    """Times in each name where all numbers that change are days, hours, minutes or seconds, and no two are the same."""
    after = _DIGITS.split(name)[2::2]
    unit = [re.split(r"[^a-z]", text.lower())[0] for text in after]
    units = [unit[i] for i in changing]
    if not set(units) <= _SECONDS.keys() or sorted(units, key=_SECONDS.__getitem__, reverse=True) != units:
        return None
    if len(set(units)) < len(units):
        return None
    parts = [(columns[i], _SECONDS[one]) for i, one in zip(changing, units, strict=True)]
    least = parts[-1][1]
    found = tuple(
        sum(column[k] * (seconds // least) for column, seconds in parts) for k in range(len(columns[0]))
    )
    return found if len(set(found)) == len(found) else None


def missing_numbers(numbers: Sequence[int]) -> tuple[int, ...]:
    """Numbers that a count with a constant step would have and that are not there, at most 100,000; `numbers` ascend.

    >>> missing_numbers((0, 1, 3)), missing_numbers((0, 2, 4)), missing_numbers((0, 2, 6))
    ((2,), (), (4,))
    """
    steps = [b - a for a, b in pairwise(numbers)]
    if len(set(steps)) < 2:
        return ()
    there = set(numbers)
    absent = (n for n in range(numbers[0], numbers[-1], math.gcd(*steps)) if n not in there)
    return tuple(islice(absent, _MOST_MISSING))


def in_words(numbers: Sequence[int]) -> str:
    """Ascending numbers as people write them.

    >>> in_words((2, 5, 6, 7, 9))
    '2, 5-7, 9'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    said = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return ", ".join(said[:8]) + (", ..." if len(said) > 8 else "")
