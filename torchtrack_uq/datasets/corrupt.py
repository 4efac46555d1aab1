"""A corrupter: masks with the errors of an imperfect segmentation, at given rates and on record."""

import os
import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import tifffile

from torchtrack_uq.datasets.corrupt_frame import Corruption, Wanted, check_labels, corrupt_frame
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.features import index_regions
from torchtrack_uq.movies.frames import Frame, FramesLike, FrameSource, open_frames
from torchtrack_uq.utils.progress import with_progress

KINDS = Wanted._fields
"""Kinds of errors, in the order of their rates."""


@dataclass(frozen=True)
class CorruptionRates:
    """How many errors to make, each as a share of the cells of a frame.

    Attributes:
        missed: Cells that are deleted.
        merged: Pairs that become one detection, for each cell of the frame: a rate of .01 involves .02 of the cells.
        split: Cells that are cut in two.
        false: Made-up detections.
        boundary: Standard deviation of the noise on every outline, in diameters of the cell. Repeated segmentation of
            real movies differs by .007 (`torchtrack_uq.perturb.noise.NoiseSizes`).

    Raises:
        InputError: A rate outside 0 to 1, or negative or infinite noise.
    """

    missed: float = 0.0
    merged: float = 0.0
    split: float = 0.0
    false: float = 0.0
    boundary: float = 0.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value, most = getattr(self, item.name), np.inf if item.name == "boundary" else 1
            if not (0 <= value <= most and value < np.inf):
                raise InputError(
                    f"{item.name} is {value}; expected "
                    + ("a finite number of at least 0" if item.name == "boundary" else "a share of 0 to 1")
                )

    def draw(self, n_cells: int, rng: np.random.Generator) -> Wanted:
        """How many errors a frame of so many cells gets: its share, rounded up or down at random.

        >>> CorruptionRates(missed=0.25).draw(8, np.random.default_rng(0))
        Wanted(missed=2, merged=0, split=0, false=0)
        """
        shares = np.array([getattr(self, kind) for kind in KINDS]) * n_cells
        # 0.07 * 100 is above 7
        return Wanted(*(int(n) for n in np.floor(np.round(shares, 9) + rng.random(len(shares)))))


class _FrameRecord(NamedTuple):
    """What was wanted and done in a frame."""

    wanted: Wanted
    done: list[Corruption]


class CorruptedMasks(FrameSource):
    """The masks of a movie with errors made in them, a frame at a time as it is read.

    A frame's errors depend on its mask, the rates, the seed and its number in the recording, and on nothing else: they
    are the same however often and in whatever order frames are read, and at every stride.

    Args:
        masks: A folder of TIFFs, a TIFF, an array (T, (Z,) Y, X), or a `FrameSource`.
        rates: How many errors of each kind.
        seed: A non-negative integer.
        numbers: Number of each frame in the recording; 0, 1, 2, ... by default.
        voxel_size: Edge lengths of a voxel in micrometres, for the noise on outlines; by default what the masks state.

    Raises:
        InputError: Masks that cannot be opened, are no integers, or have another number of frames than `numbers`.

    >>> masks = CorruptedMasks(np.ones((2, 4, 4), np.uint8), CorruptionRates(missed=1))
    >>> int(masks.read(0).max()), masks.table()
    (0,    frame    kind before after
    0      0  missed      1
    1      1  missed      1      )
    """

    def __init__(
        self,
        masks: FramesLike,
        rates: CorruptionRates,
        seed: int = 0,
        numbers: range | None = None,
        voxel_size: tuple[float, ...] | None = None,
    ) -> None:
        self._source = open_frames(masks, "masks")
        if self._source.dtype.kind not in "iu":
            raise InputError(
                f"{self._source.name} has pixels of type {self._source.dtype}; expected integer labels"
            )
        if seed < 0:
            raise InputError(f"seed is {seed}; expected a whole number of at least 0")
        self.name, self.n_frames = f"{self._source.name} with errors", self._source.n_frames
        self.frame_shape, self.dtype = self._source.frame_shape, np.dtype(np.int64)
        self.voxel_size = self._source.voxel_size if voxel_size is None else voxel_size
        self.interval = self._source.interval
        self.rates, self.seed = rates, seed
        self._numbers = range(self.n_frames) if numbers is None else numbers
        if len(self._numbers) != self.n_frames:
            raise InputError(
                f"{self._source.name} has {self.n_frames} frames but {len(self._numbers)} numbers were given"
            )
        self._records: dict[int, _FrameRecord] = {}

    def read(self, t: int) -> Frame:
        """Read and corrupt frame `t`."""
        mask = self._source.read(t)
        rng = np.random.default_rng([self.seed, self._numbers[t]])
        try:
            check_labels(mask)
            wanted = self.rates.draw(len(index_regions(mask)[1]), rng)
            found, done = corrupt_frame(mask, wanted, rng, self.rates.boundary, self.voxel_size)
        except InputError as error:
            raise InputError(f"{self._source.name}, frame {t}: {error}") from error
        self._records[t] = _FrameRecord(wanted, done)
        return found

    def table(self, *, progress: bool = False) -> pd.DataFrame:
        """What was done to which cells: `frame`, `kind`, and labels `before` and `after`, several with a space between.

        Frames that have not been read yet are read, one at a time. Noise on outlines is not listed.
        """
        self._read_all(progress)
        rows = [
            (t, each.kind, " ".join(map(str, each.before)), " ".join(map(str, each.after)))
            for t in range(self.n_frames)
            for each in self._records[t].done
        ]
        return pd.DataFrame(rows, columns=["frame", "kind", "before", "after"])

    def counts(self, *, progress: bool = False) -> dict[str, tuple[int, int]]:
        """By kind, how many errors were made and how many the rates asked for."""
        self._read_all(progress)
        kinds = [each.kind for record in self._records.values() for each in record.done]
        wanted = np.array([record.wanted for record in self._records.values()]).sum(axis=0)
        return {kind: (kinds.count(kind), int(n)) for kind, n in zip(KINDS, wanted, strict=True)}

    def warn_of_shortfall(self) -> None:
        """Warn where a movie has too few cells, pairs or gaps to make as many errors of it as were asked for."""
        short = [
            f"{kind} {done} of {wanted}" for kind, (done, wanted) in self.counts().items() if done < wanted
        ]
        if short:
            warnings.warn(
                f"{self._source.name} gave no room for all errors that were asked for; made were {', '.join(short)}",
                stacklevel=3,
            )

    def _read_all(self, progress: bool) -> None:
        unread = [t for t in range(self.n_frames) if t not in self._records]
        for t in with_progress(unread, "Making errors", show=progress):
            self.read(t)


def write_corrupted(
    masks: FramesLike,
    folder: str | os.PathLike[str],
    rates: CorruptionRates,
    seed: int = 0,
    *,
    progress: bool = True,
) -> CorruptedMasks:
    """Write masks with errors as one TIFF a frame, and `corruptions.csv` (`CorruptedMasks.table`) beside them.

    What `torchtrack-uq evaluate NAME/01 --segmentation FOLDER` takes, with `NAME/01_GT/TRA` for `masks`.

    Args:
        masks: As for `CorruptedMasks`.
        folder: Gets the files; is made if need be.
        rates: How many errors of each kind.
        seed: The same seed makes the same errors.
        progress: Show a progress bar.

    Returns:
        The masks that were written, with their counts. Warns where fewer errors were made than asked for.

    Raises:
        InputError: The folder holds files already, or as `CorruptedMasks`.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} exists and is not an empty folder; expected a new or an empty one")
    source = CorruptedMasks(masks, rates, seed)
    target.mkdir(parents=True, exist_ok=True)
    for t in with_progress(range(source.n_frames), "Making errors", show=progress):
        mask = source.read(t)
        smallest = np.uint16 if mask.max(initial=0) <= np.iinfo(np.uint16).max else np.uint32
        if mask.max(initial=0) > np.iinfo(np.uint32).max:
            raise InputError(
                f"{source.name} has label {mask.max()} in frame {t}, which fits no TIFF of labels"
            )
        tifffile.imwrite(target / f"mask{t:04d}.tif", mask.astype(smallest), compression="zlib")
    source.table().to_csv(target / "corruptions.csv", index=False)
    source.warn_of_shortfall()
    return source
