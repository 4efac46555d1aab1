"""Cell Tracking Challenge folders: where a sequence's images, masks and lineage are, and how to read them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.datasets.match import match_movie
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import FramesLike, open_frames
from torchtrack_uq.movies.movie import Movie


@dataclass(frozen=True)
class CtcSequence:
    """One annotated sequence of a Cell Tracking Challenge data set, found but not read.

    Attributes:
        name: Data set and sequence, such as "Fluo-N2DL-HeLa/01".
        images: Folder of the images, or None where there are none.
        masks: Folder of the annotated masks, `NAME/01_GT/TRA`.
        lineage: The file `man_track.txt` in it.
    """

    name: str
    images: Path | None
    masks: Path
    lineage: Path

    @classmethod
    def find(cls, folder: str | os.PathLike[str]) -> "CtcSequence":
        """Find a sequence from its folder `NAME/01`, which need not exist where a movie has no images.

        Raises:
            InputError: There is no `NAME/01_GT/TRA` with masks and a `man_track.txt`.
        """
        images = Path(folder).expanduser().resolve()
        masks = images.with_name(images.name + "_GT") / "TRA"
        if not masks.is_dir():
            raise InputError(
                f"{masks} does not exist; expected a sequence folder such as Fluo-N2DL-HeLa/01 "
                "with its annotation in Fluo-N2DL-HeLa/01_GT/TRA beside it"
            )
        lineage = masks / "man_track.txt"
        if not lineage.is_file():
            raise InputError(f"{lineage} does not exist; the annotation of a sequence needs it")
        has_images = images.is_dir() and any(
            file.suffix.lower() in (".tif", ".tiff") for file in images.iterdir()
        )
        return cls(f"{images.parent.name}/{images.name}", images if has_images else None, masks, lineage)

    def open_movie(
        self,
        stride: int = 1,
        *,
        use_images: bool = True,
        segmentation: FramesLike | None = None,
        voxel_size: Sequence[float] | None = None,
        missing_frames: str = "refuse",
    ) -> Movie:
        """Images (where there are any) and masks as a movie; no pixel is read yet.

        Args:
            stride: Take every `stride`-th frame.
            use_images: False leaves the images out.
            segmentation: Masks to use instead of the annotated ones.
            voxel_size: As for `Movie.open`.
            missing_frames: As for `Movie.open`, but "skip", which would count frames in another way than the lineage.

        Raises:
            InputError: As `Movie.open`, or frames to be skipped.
        """
        if missing_frames == "skip":
            raise InputError(
                f"{self.name} is annotated by the numbers of frames, so none can be skipped; choose empty, or add the "
                "missing ones"
            )
        return Movie.open(
            self.images if use_images else None,
            self.masks if segmentation is None else segmentation,
            stride,
            voxel_size=voxel_size,
            missing_frames=missing_frames,
        )

    def annotate(
        self,
        movie: Movie,
        *,
        segmentation: FramesLike | None = None,
        complete: bool = True,
        progress: bool = True,
    ) -> AnnotatedMovie:
        """The truth for a movie that `open_movie` opened; arguments as for `read_ctc_sequence`."""
        lineage = Lineage.read(self.lineage)
        if segmentation is not None:
            annotation = open_frames(self.masks, role="masks")
            return match_movie(self.name, movie, annotation, lineage, complete=complete, progress=progress)
        cells = Detections.from_movie(movie, progress=progress)
        return AnnotatedMovie(self.name, cells, lineage, complete=complete, movie=movie)


def read_ctc_sequence(
    folder: str | os.PathLike[str],
    stride: int = 1,
    *,
    use_images: bool = True,
    segmentation: FramesLike | None = None,
    complete: bool = True,
    voxel_size: Sequence[float] | None = None,
    missing_frames: str = "refuse",
    progress: bool = True,
) -> AnnotatedMovie:
    """Measure the cells of an annotated sequence and read their lineage.

    Args:
        folder: `NAME/01`; masks are read from `NAME/01_GT/TRA`, images from `NAME/01` where there are any.
        stride: Take every `stride`-th frame.
        use_images: False ignores the images: intensities are then 0, as for a movie that has none.
        segmentation: Masks of all frames of the sequence, such as the folder `NAME/01_ERR_SEG`, whose cells are
            to be tracked instead of the annotated ones; each gets the truth of the annotated cell that it covers.
        complete: False where only some cells are annotated, see `AnnotatedMovie`.
        voxel_size: As for `Movie.open`.
        missing_frames: "refuse" or "empty", see `Movie.open`.
        progress: Show a progress bar.

    Raises:
        InputError: Something is missing or contradictory: see `CtcSequence.find`, `Movie.open`,
            `Lineage.read`, `AnnotatedMovie` and `match_movie`.
    """
    sequence = CtcSequence.find(folder)
    movie = sequence.open_movie(
        stride,
        use_images=use_images,
        segmentation=segmentation,
        voxel_size=voxel_size,
        missing_frames=missing_frames,
    )
    return sequence.annotate(movie, segmentation=segmentation, complete=complete, progress=progress)
