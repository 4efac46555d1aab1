"""The "one in a million" sequences of microbial colonies (Seiffarth et al., Zenodo record 7260137).

What the record holds is known from public documents, not from the record itself, which could not be opened here:
its archive `ctc_format.zip` has `NN/tTTTT.tif`, `NN_GT/SEG/man_segTTTT.tif`, `NN_GT/TRA/man_trackTTTT.tif` and
`NN_GT/TRA/man_track.txt` at its root, sequences counted from 00 and frames from 0000, four digits (the paper,
arXiv:2411.00552; the loader `toiam` of torch_em, which reads that archive; the exporter in acia-core, the authors'
library, which writes this layout; rows of the first sequence's lineage published by the rhodyn project). That is the
layout of the Cell Tracking Challenge.

One thing is not: acia-core draws the masks from outlines and adds their labels up, so that pixels in which two
outlines overlap bear the sum of two labels. Labels that are no track of their frame are such slivers, and are
cleared here with a warning.
"""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from torchtrack_uq.datasets.ctc import CtcSequence
from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import Frame, FrameSource, open_frames
from torchtrack_uq.movies.movie import Movie

_LARGEST_SHARE = (
    0.01  # of a movie's cell pixels; slivers where outlines touch are far below, other errors are not
)


class ListedLabels(FrameSource):
    """Masks without the labels that are no track of their frame.

    Args:
        source: Masks whose labels are tracks of `lineage`, frame t of them being frame t of the recording.
        lineage: The tracks.

    Attributes:
        n_cleared: Pixels cleared so far, by frame read.
        n_labelled: Labelled pixels seen so far, by frame read.
    """

    def __init__(self, source: FrameSource, lineage: Lineage) -> None:
        self._source, self.lineage = source, lineage
        self.name, self.n_frames = source.name, source.n_frames
        self.frame_shape, self.dtype = source.frame_shape, source.dtype
        self.n_cleared: dict[int, int] = {}
        self.n_labelled: dict[int, int] = {}

    def read(self, t: int) -> Frame:
        """Read frame `t` without unlisted labels."""
        mask = self._source.read(t)
        foreign = (mask != 0) & ~np.isin(mask, self.lineage.alive(t))
        self.n_cleared[t] = int(foreign.sum())
        self.n_labelled[t] = int(np.count_nonzero(mask))
        return np.where(foreign, 0, mask).astype(mask.dtype) if self.n_cleared[t] else mask


def find_sequences(folder: str | os.PathLike[str]) -> list[Path]:
    """The sequence folders of the unpacked archive: `FOLDER/00`, `FOLDER/01`, ...

    Raises:
        InputError: There is no `NN_GT/TRA` in the folder.
    """
    root = Path(folder).expanduser()
    found = sorted(tra.parent for tra in root.glob("[0-9][0-9]_GT/TRA"))
    if not found:
        raise InputError(
            f"{root} holds no 00_GT/TRA; expected the folder that ctc_format.zip was unpacked to"
        )
    return [path.with_name(path.name.removesuffix("_GT")) for path in found]


def is_one_in_a_million(folder: Path) -> bool:
    """Whether a sequence folder is of this record: its sequences count from 00."""
    return folder.with_name("00_GT").is_dir()


def open_one_in_a_million(
    folder: str | os.PathLike[str],
    stride: int = 1,
    *,
    use_images: bool = True,
    voxel_size: Sequence[float] | None = None,
) -> tuple[CtcSequence, Movie, ListedLabels]:
    """Find one sequence, `FOLDER/00`, and open it without slivers; no pixel is read yet.

    Raises:
        InputError: See `CtcSequence.find`, `Lineage.read` and `Movie.open`.
    """
    sequence = CtcSequence.find(folder)
    masks = ListedLabels(open_frames(sequence.masks, role="masks"), Lineage.read(sequence.lineage))
    return (
        sequence,
        sequence.open_movie(stride, use_images=use_images, segmentation=masks, voxel_size=voxel_size),
        masks,
    )


def annotate_one_in_a_million(
    sequence: CtcSequence, movie: Movie, masks: ListedLabels, *, progress: bool = True
) -> AnnotatedMovie:
    """Measure the cells of an opened sequence and give them their lineage.

    Raises:
        InputError: More than 1 % of the labelled pixels belong to no track, which slivers do not explain.
    """
    cells = Detections.from_movie(movie, progress=progress)
    cleared, labelled = sum(masks.n_cleared.values()), sum(masks.n_labelled.values())
    if cleared > _LARGEST_SHARE * labelled:
        raise InputError(
            f"{cleared} of {labelled} labelled pixels of {masks.name} belong to no track of their frame in "
            f"{sequence.lineage.name}; expected masks and lineage of the same sequence"
        )
    if cleared:
        n_frames = sum(n > 0 for n in masks.n_cleared.values())
        warnings.warn(
            f"{sequence.name}: {cleared} pixels in {n_frames} frames bear labels that are no track, as where two "
            "outlines overlap; they count as background",
            stacklevel=3,
        )
    return AnnotatedMovie(sequence.name, cells, masks.lineage, movie=movie)


def read_one_in_a_million(
    folder: str | os.PathLike[str],
    stride: int = 1,
    *,
    use_images: bool = True,
    voxel_size: Sequence[float] | None = None,
    progress: bool = True,
) -> AnnotatedMovie:
    """Measure the cells of one sequence and read their lineage.

    Args:
        folder: `FOLDER/00` of the unpacked archive; masks are read from `FOLDER/00_GT/TRA`.
        stride: Take every `stride`-th frame.
        use_images: False ignores the images.
        voxel_size: As for `Movie.open`.
        progress: Show a progress bar.

    Raises:
        InputError: Something is missing or contradictory, see `read_ctc_sequence`; or more than 1 % of the
            labelled pixels belong to no track.
    """
    opened = open_one_in_a_million(folder, stride, use_images=use_images, voxel_size=voxel_size)
    return annotate_one_in_a_million(*opened, progress=progress)
