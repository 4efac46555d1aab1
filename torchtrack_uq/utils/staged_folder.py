"""Write folders of results so that no reader ever finds half of them."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.claim import Claim, claimed
from torchtrack_uq.utils.ending_signals import held_signals
from torchtrack_uq.utils.output_checks import check_output_folder
from torchtrack_uq.utils.replace_folder import NEW, finish_replacing, put_in_place, unfinished
from torchtrack_uq.utils.temporary_names import (
    is_left_over,
    remove,
    remove_for_good,
    temporaries,
    temporary_path,
)

_NOTHING = re.compile(r"(?!)")


@contextmanager
def output_folder(folder: Path, *, overwrite: bool = False) -> Iterator[None]:
    """In the block `folder` can be written to, and this run alone does so; to be entered before work starts.

    What dead runs left of earlier attempts is removed or, where they were killed while they replaced results, finished.
    Folders on the way are made, and go again if nothing comes to lie in them.

    Raises:
        InputError: See `check_output_folder`; or another run is writing there.
    """
    with _alone(folder, overwrite):
        yield


@contextmanager
def staged_folder(
    folder: Path, *, overwrite: bool = False, ours: re.Pattern[str] = _NOTHING
) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends without an exception.

    After an exception, Ctrl-C included, the temporary folder is gone and `folder` is as it was. A new or empty
    folder appears in one rename. With `overwrite`, earlier results in it are replaced (those of an earlier run that the
    new one does not have are removed); files that are not ours stay. A run that is killed while it replaces leaves
    what the next run needs to finish that. Links are followed, and a folder that cannot be renamed, such as a mounted
    one, is filled file by file.

    Args:
        folder: Where the files shall be in the end.
        overwrite: Whether a folder that holds files may be written to.
        ours: Names of files that an earlier run may have written and this one need not write again.

    Raises:
        InputError: See `check_output_folder`; or another run writes to the folder or filled it in the meantime.
    """
    with _alone(folder, overwrite) as (claim, place):
        folder = folder.resolve()
        staging = temporary_path(folder, "partial", place)
        try:
            (staging / NEW).mkdir(parents=True)
            yield staging / NEW
            claim.check()
            finish_replacing(folder, alone=True)
            put_in_place(staging, folder, ours, overwrite=overwrite)
        finally:
            with held_signals():
                remove_for_good(staging)


def recover_results(folder: Path) -> None:
    """Finish what a run that was killed while it replaced results left, before somebody reads them.

    Nothing happens where all is well, or where a living run is at work.

    Raises:
        InputError: It cannot be finished here.
    """
    folder = folder.expanduser().resolve()
    if not any(is_left_over(found) for found in unfinished(folder)):
        return
    with claimed(folder, _beside(folder)):
        finish_replacing(folder, alone=True)


@contextmanager
def _alone(folder: Path, overwrite: bool) -> Iterator[tuple[Claim, Path]]:
    check_output_folder(folder, overwrite)
    folder = folder.resolve()
    made = _make_parents(folder)
    try:
        place = _beside(folder)
        with claimed(folder, place) as claim:
            for found in temporaries(folder, "partial", place):
                if is_left_over(found):
                    remove(found)
            if unfinished(folder):
                finish_replacing(folder, alone=True)
                check_output_folder(folder, overwrite)
            yield claim, place
    finally:
        for parent in made:
            with suppress(OSError):
                parent.rmdir()


def _make_parents(folder: Path) -> list[Path]:
    """Make the folders above; returns those that were not there, the lowest first."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"output folder {folder} cannot be made: {error.strerror or error} ({folder.parent}); choose another"
        ) from error
    return missing


def _beside(folder: Path) -> Path:
    """Where temporary folders can lie from which files move to `folder`: its parent, unless it stays where it is."""
    stays = folder.exists() and (os.path.ismount(folder) or not os.access(folder.parent, os.W_OK))
    return folder if stays else folder.parent
