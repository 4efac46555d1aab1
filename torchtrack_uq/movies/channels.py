"""Which of several channels is meant."""

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.options import ReadOptions


def choose_channel(
    n: int, names: tuple[str, ...], options: ReadOptions, name: str, *, colours: bool = False
) -> int:
    """Index of the channel to read.

    Args:
        n: How many there are.
        names: Their names; fewer than `n` where the file does not state them.
        options: `channel` is a number from 1, or a name.
        name: The file, for messages.
        colours: Whether they are the colours of an RGB image.

    Raises:
        InputError: Several and none chosen, or one that is not there.

    >>> choose_channel(3, ("DAPI", "GFP", "RFP"), ReadOptions(channel="gfp"), "movie.tif")
    1
    """
    wanted = options.channel
    if wanted is None:
        if n > 1:
            raise InputError(
                f"{name} has {n}{' colour' if colours else ''} channels ({_listed(n, names)}); choose one with "
                f"{options.channel_option}, by number from 1 or by name, or say with --axes what its axes are"
            )
        return 0
    if isinstance(wanted, str) and not wanted.isdecimal():
        found = [i for i, known in enumerate(names) if known.casefold() == wanted.casefold()]
        if len(found) != 1:
            raise InputError(
                f"{name} has {len(found) or 'no'} channel{'s' if found else ''} called {wanted!r}; "
                f"expected one of {_listed(n, names)}"
            )
        return found[0]
    if not 1 <= int(wanted) <= n:
        raise InputError(
            f"{name} has {n} channel{'s' if n > 1 else ''}, so there is no channel {int(wanted)}; they are counted "
            "from 1"
        )
    return int(wanted) - 1


def _listed(n: int, names: tuple[str, ...]) -> str:
    return ", ".join(f"{i + 1} {names[i] if i < len(names) else ''}".strip() for i in range(n))
