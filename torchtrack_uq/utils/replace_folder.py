"""Put complete results in the place of earlier ones so that a run killed on the way can be finished by the next.

Complete results are called "replacing" with one rename, and from then on are never given up: they lie in `new` of
such a folder until they are in their place, with a plan of what goes. Whoever finds the folder goes on with it.
"""

import json
import os
import re
import shutil
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.ending_signals import held_signals
from torchtrack_uq.utils.placed import count_placed
from torchtrack_uq.utils.temporary_names import (
    is_left_over,
    is_temporary,
    remove,
    temporaries,
    temporary_path,
)

NEW, _OLD, _PLAN = "new", "old", "plan.json"


class HalfReplacedError(OSError):
    """Results that could neither be replaced nor be put back; the next command that uses them tries again."""


def others_in(folder: Path) -> bool:
    """Whether a folder exists and holds anything but temporary files of this package."""
    return folder.exists() and any(not is_temporary(item.name) for item in folder.iterdir())


def put_in_place(staging: Path, folder: Path, ours: re.Pattern[str], *, overwrite: bool) -> None:
    """Make what lies in `new` of a staging folder the content of `folder`; Ctrl-C and the like wait meanwhile.

    A new or empty folder appears in one rename, and so does one that holds nothing but earlier results. Beside files
    that are not ours, which are not touched, results are moved one by one. After an error all is as it was.

    Args:
        staging: Beside `folder` or in it; it is used up.
        folder: Where the files shall be in the end.
        ours: Names of files that an earlier run may have written and this one need not write again.
        overwrite: Whether earlier results may be there.

    Raises:
        InputError: Something has appeared in `folder` although `overwrite` is False.
        HalfReplacedError: After an error earlier results could not be put back.
    """
    with held_signals():
        if not overwrite and others_in(folder):
            raise InputError(
                f"another run wrote to {folder} in the meantime, so nothing of this one is kept; choose another output "
                "folder, or replace results with --overwrite (in Python overwrite=True)"
            )
        if staging.parent != folder and not others_in(folder):
            if folder.exists():
                _empty_out(folder)  # a rename onto an empty folder works on some systems only
            os.rename(staging / NEW, folder)
        else:
            _replace(staging, folder, ours)
        count_placed()


def finish_replacing(folder: Path, *, alone: bool) -> bool:
    """Finish what a run that was killed while it replaced results left, and say so in a warning.

    Args:
        folder: Results.
        alone: Whether it is known that no other run writes there, so that all that is found is a dead one's.

    Returns:
        Whether there was anything to finish.

    Raises:
        InputError: It cannot be finished here.
    """
    found = False
    for staging in unfinished(folder):
        if not (alone or is_left_over(staging)):
            continue
        found = True
        try:
            with held_signals():
                _finish(staging, folder)
                _clear(staging, folder)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"a run was killed while it replaced the results in {folder}, and they cannot be completed from "
                f"{staging} ({error}); run the command where it may write to both"
            ) from error
        warnings.warn(
            f"a run was killed while it replaced the results in {folder}; they are complete now", stacklevel=2
        )
    return found


def unfinished(folder: Path) -> list[Path]:
    """What replacing `folder` began and is not done with."""
    return [found for place in (folder.parent, folder) for found in temporaries(folder, "replacing", place)]


def _replace(staging: Path, folder: Path, ours: re.Pattern[str]) -> None:
    new = set(os.listdir(staging / NEW))
    there = {name for name in os.listdir(folder) if not is_temporary(name)}
    outdated = {name for name in there - new if ours.fullmatch(name)}
    (staging / _OLD).mkdir(exist_ok=True)
    (staging / _PLAN).write_text(json.dumps({"new": sorted(new), "outdated": sorted(outdated)}))
    replacing = temporary_path(folder, "replacing", staging.parent)
    os.rename(staging, replacing)
    try:
        if there - new - outdated or not _may_swap(replacing, folder):
            _move(replacing, folder, outdated, new)
        else:
            _swap(replacing, folder)
    except BaseException as error:
        try:
            _put_back(replacing, folder, new)
        except OSError as second:
            raise HalfReplacedError(
                f"{error}; earlier results in {folder} could not be put back ({second}): the next command that uses "
                f"them goes on from {replacing}"
            ) from error
        raise
    with suppress(OSError):  # all is in place; the next run clears up
        _clear(replacing, folder)


def _may_swap(replacing: Path, folder: Path) -> bool:
    """Whether a rename of the whole folder changes nothing but its content."""
    if replacing.parent == folder:
        return False
    made, was = (replacing / NEW).stat(), folder.stat()
    return (made.st_uid, made.st_gid, made.st_dev) == (was.st_uid, was.st_gid, was.st_dev)


def _swap(replacing: Path, folder: Path) -> None:
    with suppress(OSError):
        shutil.copystat(folder, replacing / NEW)  # permissions
    (replacing / _OLD).rmdir()
    os.rename(folder, replacing / _OLD)
    os.rename(replacing / NEW, folder)


def _move(replacing: Path, folder: Path, outdated: Iterable[str], new: Iterable[str]) -> None:
    for name in sorted(outdated):
        if os.path.lexists(folder / name):
            _set_aside(folder / name, replacing)
    for name in sorted(new):
        if os.path.lexists(folder / name):
            _set_aside(folder / name, replacing)
        os.rename(replacing / NEW / name, folder / name)


def _set_aside(path: Path, replacing: Path) -> None:
    aside = replacing / _OLD / path.name
    os.rename(path, temporary_path(path, "partial", aside.parent) if os.path.lexists(aside) else aside)


def _put_back(replacing: Path, folder: Path, new: Iterable[str]) -> None:
    """Undo what `_swap` or `_move` did so far."""
    if not folder.exists():
        os.rename(replacing / _OLD, folder)
    else:
        (replacing / NEW).mkdir(exist_ok=True)
        left = set(os.listdir(replacing / NEW))
        for name in sorted(set(new) - left):
            os.rename(folder / name, replacing / NEW / name)
        for name in os.listdir(replacing / _OLD) if (replacing / _OLD).exists() else ():
            os.rename(replacing / _OLD / name, folder / name)
    _give_up(replacing, folder)


def _finish(replacing: Path, folder: Path) -> None:
    """Go on from wherever a killed run stopped: each new file is either still in `new` or in its place."""
    if not (replacing / NEW).exists() or not os.listdir(replacing / NEW):
        return
    if not folder.exists():
        os.rename(replacing / NEW, folder)
        return
    (replacing / _OLD).mkdir(exist_ok=True)
    plan = json.loads((replacing / _PLAN).read_text())
    _move(replacing, folder, plan["outdated"], os.listdir(replacing / NEW))


def _clear(replacing: Path, folder: Path) -> None:
    """Remove what was replaced, after putting back what somebody else laid there while whole folders were swapped."""
    if (replacing / _OLD).exists() and (replacing / _PLAN).exists():
        plan = json.loads((replacing / _PLAN).read_text())
        known = {*plan["new"], *plan["outdated"]}
        for name in os.listdir(replacing / _OLD):
            if name not in known and not is_temporary(name):
                free = f"{name}.before" if os.path.lexists(folder / name) else name
                os.rename(replacing / _OLD / name, folder / free)
    _give_up(replacing, folder)


def _give_up(replacing: Path, folder: Path) -> None:
    """Remove what is of no use any more; a run that is killed meanwhile leaves nothing that looks unfinished."""
    left = temporary_path(folder, "partial", replacing.parent)
    with suppress(OSError):
        os.rename(replacing, left)
    remove(left)
    remove(replacing)


def _empty_out(folder: Path) -> None:
    for item in folder.iterdir():
        if is_temporary(item.name):
            remove(item)
    folder.rmdir()
