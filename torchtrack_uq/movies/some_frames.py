"""Some consecutive frames of a movie, as a movie of their own."""

from dataclasses import replace

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.naming import Naming


def some_frames(detections: Detections, begin: int, end: int) -> Detections:
    """The cells of frames `begin` to `end` (excluded), which keep their names and the numbers that users know them by.

    Cell k of them is cell `detections.offsets[begin]` + k of the movie, frame t is frame `begin` + t.

    Args:
        detections: The movie's cells.
        begin: First frame.
        end: Last frame, excluded.

    Raises:
        InputError: There are no such frames.

    >>> import numpy as np
    >>> cells = Detections.from_points(np.array([0, 1, 2]), np.zeros((3, 2)))
    >>> found = some_frames(cells, 1, 3)
    >>> found.frame, found.frame_number
    (array([0, 1]), array([1, 2]))
    """
    if not 0 <= begin <= end <= detections.n_frames:
        raise InputError(f"frames {begin} to {end} are asked for of a movie of {detections.n_frames} frames")
    cells = slice(int(detections.offsets[begin]), int(detections.offsets[end]))
    naming = detections.naming
    names = None if naming.names is None else naming.names[cells]
    return replace(
        detections,
        frame=detections.frame[cells] - begin,
        label=detections.label[cells],
        coords=detections.coords[cells],
        n_frames=end - begin,
        features={name: values[cells] for name, values in detections.features.items()},
        row=detections.row[cells],
        naming=Naming(naming.first_frame + begin * naming.frame_step, naming.frame_step, names),
    )
