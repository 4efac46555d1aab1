"""What looks odd about a movie: a sentence each, which refuses the movie or is a warning."""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

from torchtrack_uq.errors import InputError


class MovieWarning(UserWarning):
    """Something in a movie looks odd, so that results may be of no use; work goes on."""


class Finding(NamedTuple):
    """Something that does not look like a movie of label masks.

    Attributes:
        sentence: What was seen, what was expected and what to do.
        refused: Whether no sense can be made of the movie, so that work should not start.
    """

    sentence: str
    refused: bool = False


def say(found: Iterable[Finding], *, trust_masks: bool = False) -> None:
    """Warn of what was found, or refuse the movie.

    Args:
        found: Findings, in the order in which they are said.
        trust_masks: Warn only.

    Raises:
        InputError: The first finding that is `refused`, unless masks are trusted.

    Warns:
        MovieWarning: Every other finding.
    """
    for finding in found:
        if finding.refused and not trust_masks:
            raise InputError(
                f"{finding.sentence}; if this is what you mean, go on with --trust-masks (in Python trust_masks=True)"
            )
        warnings.warn(finding.sentence, MovieWarning, stacklevel=3)


def listed(numbers: Iterable[int], most: int = 5) -> str:
    """Numbers in words, not all of them where they are many.

    >>> listed([3]), listed([3, 4]), listed(range(9))
    ('3', '3 and 4', '0, 1, 2, 3, 4 and 4 more')
    """
    words = [str(number) for number in numbers]
    if len(words) > most:
        words[most:] = [f"{len(words) - most} more"]
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
