"""A movie of moving, dividing points in one call, on the simulator of `torchtrack_uq.datasets.simulation`."""

from collections.abc import Sequence
from dataclasses import replace

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.simulation import Conditions, simulate


def simulate_movie(
    n_frames: int = 20,
    n_cells: int = 100,
    size: Sequence[float] = (400.0, 400.0),
    *,
    motion: float = 5.0,
    divide: float = 0.02,
    disappear: float = 0.01,
    appear: float = 1.0,
    separation: float = 10.0,
    seed: int = 0,
) -> AnnotatedMovie:
    """Simulate points that walk at random, divide, vanish and turn up, with the truth about them.

    Between two frames every cell vanishes with probability `disappear`, divides with probability `divide`, or stays
    itself. Whoever is there moves by independent normal noise along each axis; two daughters start out `separation`
    apart, at either side of their mother in a random direction, and move each for herself. Then a Poisson number of
    new cells turns up, uniformly. A cell that leaves the field of view is gone.

    It is simpler than any real movie: cells do not push each other away, they have no direction and no memory, and
    detection makes no errors; `simulate` does more. What it is good for: the right scores are known. Without division,
    `DistanceTracker(scale=motion)` differs from the log-likelihood of a link by a constant only, so that its fitted
    temperature is about 1, and that of `scale=motion / 2` about 4.

    Args:
        n_frames: Number of frames, at least 2.
        n_cells: Number of cells in the first frame, uniform in the field of view.
        size: Field of view in pixels, (Y, X) or (Z, Y, X).
        motion: Standard deviation of the displacement between frames along each axis, in pixels.
        divide: Probability that a cell divides before the next frame.
        disappear: Probability that it vanishes.
        appear: Expected number of cells that turn up in each frame.
        separation: Distance at which two daughters start, in pixels.
        seed: The same seed makes the same movie.

    Returns:
        The cells without features, labelled by their tracks, and their lineage.

    Raises:
        InputError: A number out of its range.

    >>> movie = simulate_movie(n_frames=5, n_cells=50, divide=0.1)
    >>> movie.name, movie.detections.n_frames, movie.summary()["n_divisions"]
    ('simulation 0', 5, 17)
    """
    conditions = Conditions(
        n_frames,
        n_cells,
        size,
        motion,
        divide=divide,
        disappear=disappear,
        appear=appear,
        separation=separation,
        border="gone",
    )
    movie = simulate(conditions, seed)
    return replace(movie, detections=replace(movie.detections, field_shape=None))
