"""The axes that a file states, that a person states in its place, or that are understood where nobody does."""

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.options import ReadOptions


def axes_as_taken(
    stated: str,
    shape: tuple[int, ...],
    stored_in: str,
    name: str,
    options: ReadOptions,
    *,
    one_frame: bool,
    plain: bool = False,
) -> tuple[str, tuple[str, ...]]:
    """One of T, Z, C, S, Y, X for every axis of an array.

    Where nobody states an axis (Q), the first is time, and the next planes; in one frame of a movie it is planes.
    Channels are taken for unstated where they cannot be channels: label masks have none, frames of 3D masks have
    planes, and tifffile stores (3, Y, X) as colours where its caller says nothing.

    Args:
        stated: What the file states, Q for what it does not.
        shape: Length of each axis.
        stored_in: Format, such as "OME-TIFF".
        name: What to call it in messages.
        options: What a person said of it.
        one_frame: Whether it is one frame of a movie; else it is the whole movie.
        plain: Whether the order of unstated axes needs no word, as for numpy arrays.

    Returns:
        The axes, and sentences about what was not stated.

    Raises:
        InputError: Axes that nobody can name, or a movie without time.

    >>> axes_as_taken("QYX", (5, 8, 9), "TIFF", "masks.tif", ReadOptions(), one_frame=False)
    ('TYX', ('the file states no axes: taken for TYX (--axes)',))
    """
    notes: tuple[str, ...] = ()
    if options.axes is not None:
        axes, notes = _asked(options.axes, shape, name, options, one_frame=one_frame), ()
    else:
        doubted = _doubted(stated, shape, stored_in, options, one_frame=one_frame)
        axes = _named(doubted, shape, name, one_frame=one_frame, plain=plain)
        notes = _notes(stated, doubted, axes) if not plain else ()
    for axis, size in zip(axes, shape, strict=True):
        if axis not in "TZCSYX" and size > 1:
            raise InputError(
                f"{name} has {size} images along an axis {axis} (axes {axes}, shape {shape}); expected axes of T, Z, "
                "C, Y and X: say with --axes what it is, or save one of them"
            )
    sizes = dict(zip(axes, shape, strict=True))
    if not one_frame and "T" not in axes:
        if sizes.get("Z", 1) > 1 or sizes.get("C", 1) > 1:
            what, letter = ("planes", "Z") if sizes.get("Z", 1) > 1 else ("channels", "C")
            raise InputError(
                f"{name} has {sizes[letter]} {what} and no time (axes {axes}, shape {shape}); expected a movie: if "
                f"these are time points, say --axes {axes.replace(letter, 'T')}"
            )
        raise InputError(
            f"{name} has shape {shape} (axes {axes}); expected a stack of shape (T, Y, X) or (T, Z, Y, X)"
        )
    return axes, notes


def _doubted(
    stated: str, shape: tuple[int, ...], stored_in: str, options: ReadOptions, *, one_frame: bool
) -> str:
    """What is stated, with Q for channels that cannot be meant."""
    sizes = dict(zip(stated, shape, strict=True))
    colour = next((axis for axis in "CS" if sizes.get(axis, 1) > 1), None)
    planar = colour == "S" and not stated.endswith("S")
    if colour is None or (colour == "S" and not planar) or options.channel is not None or "T" in stated:
        return stated
    if planar and not one_frame and stored_in == "TIFF":
        return stated.replace("S", "Q")
    if options.role == "masks" or options.spatial == 3:
        if not one_frame:
            # ImageJ files in which nobody said what is what: (T, Z, Y, X) is stored as slices and channels.
            return stated.replace(colour, "Q").replace("Z", "Q")
        if sizes.get("Z", 1) == 1:
            return stated.replace(colour, "Q")
    return stated


def _named(axes: str, shape: tuple[int, ...], name: str, *, one_frame: bool, plain: bool) -> str:
    """The unstated axes named by their places."""
    unused = [axis for axis in ("Z" if one_frame else "TZ") if axis not in axes]
    named = ""
    for axis, size in zip(axes, shape, strict=True):
        if axis != "Q":
            named += axis
        elif unused:
            named += unused.pop(0)
        elif size == 1:
            named += "Q"
        elif plain:
            raise InputError(
                f"{name} has shape {shape}; expected (T, Y, X) or (T, Z, Y, X), one channel: select the channel, or "
                "say with axes what each axis is, such as axes='TCYX'"
            )
        else:
            raise InputError(
                f"{name} has shape {shape} and does not state what its axes are; say so with --axes, such as "
                f"{'CZYX' if one_frame else 'TCZYX'}"
            )
    if "Y" not in named or "X" not in named:
        raise InputError(f"{name} has shape {shape}; expected (T, Y, X) or (T, Z, Y, X)")
    return named


def _asked(asked: str, shape: tuple[int, ...], name: str, options: ReadOptions, *, one_frame: bool) -> str:
    """The axes that a person gave, less time where each frame has its file and channels for masks."""
    droppable = ("", *("T" * one_frame), *("C" * (options.role == "masks")))
    for letters in dict.fromkeys([*droppable, "".join(droppable)]):
        axes = "".join(axis for axis in asked if axis not in letters)
        if len(axes) == len(shape):
            return axes
    raise InputError(
        f"axes {asked} are {len(asked)} but {name} has {len(shape)}, of lengths {shape}; expected one letter for each"
    )


def _notes(stated: str, doubted: str, axes: str) -> tuple[str, ...]:
    if doubted != stated:
        return (f"the file states axes {stated}, of which these cannot be: taken for {axes} (--axes)",)
    return (f"the file states no axes: taken for {axes} (--axes)",) if "Q" in stated else ()
