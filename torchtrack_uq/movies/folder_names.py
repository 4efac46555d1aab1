"""Which files of a folder are images, which are masks, and which are neither, by their names.

Known are the names that these write: Cellpose (`t000_cp_masks.tif`, `t000_seg.npy` beside `t000.tif`; also
`_flows.tif`, `_cp_outlines`), StarDist (`.stardist.tif`, `_labels.tif`), Trackastra (`_img.tif`, `_mask.tif`), and the
Cell Tracking Challenge (`man_track000.tif`, `man_seg000.tif`, `mask000.tif` beside `t000.tif`).
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.numbering import natural_key, pattern
from torchtrack_uq.movies.options import Role

SUFFIXES = (".tif", ".tiff", ".png", ".npy")
"""Of files that hold a frame; of several kinds in one folder, an earlier one is taken."""
_START, _END = r"(?:^|[_\-. ])", r"(?=\d|[_\-. ]|$)"
_MASK = re.compile(
    _START + r"(?:cp_masks?|masks?|labels?|stardist|seg|man_track|man_seg)" + _END, re.IGNORECASE
)
_NEITHER = re.compile(
    r"_(?:flows|dP|cellprob|cp_flows|cp_outlines|outlines|cp_output|probs?|probabilities|overlay)" + _END,
    re.IGNORECASE,
)
_OURS = ("doubts.png", "calibration.png", "reliability.png")


def files_of(folder: Path, role: Role | None) -> list[Path]:
    """Files of a folder that hold the frames of its images or of its masks, in natural order of their names.

    Args:
        folder: Holds one file a frame.
        role: Decides where a folder holds both.

    Raises:
        InputError: There is none, or several kinds of files of which nobody can say which are meant.
    """
    found = [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES
        and file.is_file()
        and not file.name.startswith(".")
        and file.name not in _OURS
        and not _NEITHER.search(file.stem)
    ]
    lost = [file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and not file.exists()]
    if lost:
        raise InputError(
            f"{min(lost)} is a link to a file that is not there; expected every frame: mend the link, or take it away"
        )
    if not found:
        below = next((file for depth in ("*", "*/*") for file in sorted(folder.glob(f"{depth}/*.tif"))), None)
        there = "" if below is None else f"; {below.parent} holds some"
        raise InputError(
            f"{folder} holds no .tif, .tiff, .png or .npy file; expected one TIFF (or PNG, or array) a frame{there}"
        )
    masks = [file for file in found if is_mask(file)]
    others = [file for file in found if not is_mask(file)]
    if masks and others:
        if role is None:
            raise InputError(
                f"{folder} holds {_kinds(found)}; expected images or masks, not both: move one kind elsewhere"
            )
        found = masks if role == "masks" else others
    return sorted(_one_kind(found, folder), key=lambda file: natural_key(file.name))


def holds_both(folder: Path) -> bool:
    """Whether a folder holds images and masks, told apart by their names."""
    kinds = {
        is_mask(file)
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and file.is_file() and file.name not in _OURS
    }
    return len(kinds) == 2


def is_mask(file: Path) -> bool:
    """Whether a file is named as masks are.

    >>> [is_mask(Path(name)) for name in ("t000_cp_masks.png", "man_track000.tif", "t000.tif", "unmasked0.tif")]
    [True, True, False, False]
    """
    return bool(_MASK.search(file.stem))


def _one_kind(files: Sequence[Path], folder: Path) -> list[Path]:
    """Files of one pattern of names: the only one, or one of several copies of the same frames."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        groups[pattern(file.name).lower()].append(file)
    if len(groups) == 1:
        return list(files)
    if all("*" not in kind for kind in groups) and len({file.suffix.lower() for file in files}) == 1:
        return list(files)  # names without numbers, one each, in alphabetical order
    # Cellpose writes the same masks as TIFF, PNG and _seg.npy, and people keep PNGs of their TIFFs to look at
    for suffix in SUFFIXES:
        kept = [kind for kind in groups if kind.endswith(suffix)]
        if kept:
            break
    numbers = {kind: sorted(re.findall(r"\d+", file.name) for file in of) for kind, of in groups.items()}
    if len(kept) == 1 and all(numbers[kind] == numbers[kept[0]] for kind in groups):
        return groups[kept[0]]
    raise InputError(
        f"{folder} holds {_kinds(files)}; expected one kind, one file a frame: move the others elsewhere"
    )


def _kinds(files: Sequence[Path]) -> str:
    """Such as "t*.tif (5) and t*_cp_masks.tif (5)"."""
    counts: dict[str, int] = defaultdict(int)
    for file in sorted(files, key=lambda file: natural_key(file.name)):
        counts[pattern(file.name)] += 1
    said = [f"{kind} ({count})" for kind, count in list(counts.items())[:5]]
    if len(counts) > 5:
        return ", ".join(said) + f" and {len(counts) - 5} more kinds"
    return " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
