"""An annotated movie with errors made in it, and the truth about what is left."""

from dataclasses import replace

import numpy as np

from torchtrack_uq.datasets.corrupt import CorruptedMasks, CorruptionRates
from torchtrack_uq.datasets.corrupt_points import corrupt_points
from torchtrack_uq.datasets.detection_kinds import DetectionKinds
from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.match import match_movie
from torchtrack_uq.errors import InputError


def corrupt(
    movie: AnnotatedMovie, rates: CorruptionRates, seed: int = 0, *, progress: bool = False
) -> AnnotatedMovie:
    """Make errors in an annotated movie's masks, or in its points where it has no masks, and find the truth anew.

    Masks are corrupted as they are read, a frame at a time (`CorruptedMasks`), measured again and matched to those they
    were made of (`match_movie`); images stay. With all rates 0 the cells and their truth are the same.

    Args:
        movie: Whose labels are its tracks: as annotated, not a segmentation of its own.
        rates: How many errors of each kind. Warns where a movie has no room for as many.
        seed: The same seed makes the same errors in the same frame of the recording, at every stride.
        progress: Show progress bars.

    Returns:
        The movie with `kinds`, so that it is known which detections are false, merged or split.

    Raises:
        InputError: A movie that is a segmentation of its own, or errors that points cannot have.

    >>> from torchtrack_uq.datasets.simulator import simulate_movie
    >>> movie = simulate_movie(n_frames=5, n_cells=100)
    >>> corrupt(movie, CorruptionRates(missed=0.05)).summary()["n_missed_mothers"]
    19
    """
    if movie.track is not None:
        raise InputError(
            f"{movie.name} is a segmentation matched to an annotation already; expected the annotated movie itself"
        )
    if movie.movie is None:
        return _corrupt_points(movie, rates, seed)
    cells = movie.detections
    numbers = range(movie.first_frame, movie.first_frame + cells.n_frames * cells.stride, cells.stride)
    masks = CorruptedMasks(movie.movie.masks, rates, seed, numbers, movie.movie.voxel_size)
    found = match_movie(
        movie.name,
        replace(movie.movie, masks=masks),
        movie.movie.masks,
        movie.lineage,
        complete=movie.complete,
        first_frame=movie.first_frame,
        progress=progress,
    )
    masks.warn_of_shortfall()
    return found


def _corrupt_points(movie: AnnotatedMovie, rates: CorruptionRates, seed: int) -> AnnotatedMovie:
    cells, source = corrupt_points(movie.detections, rates, seed, first_frame=movie.first_frame)
    track = np.where(source >= 0, movie.tracks[source], 0)
    no = np.zeros(len(cells), dtype=np.bool_)
    annotated = None
    if movie.annotated is not None:
        annotated = np.where(source >= 0, movie.annotated[source], True)
    return AnnotatedMovie(
        movie.name,
        cells,
        movie.lineage,
        first_frame=movie.first_frame,
        track=track,
        annotated=annotated,
        complete=movie.complete,
        kinds=DetectionKinds(false=source < 0, merged=no, split=no),
    )
