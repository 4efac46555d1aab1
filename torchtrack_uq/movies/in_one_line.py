"""What was read, in one line."""

from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.numbering import in_words
from torchtrack_uq.movies.scale import by_axis
from torchtrack_uq.movies.source import FrameSource, Reading


def describe_frames(
    source: FrameSource, voxel_size: tuple[float, ...] | None = None, interval: float | None = None
) -> str:
    """Such as "6 frames of 28 planes of 512 x 512, voxels 0.5 x 0.16 x 0.16 µm, 30 s a frame, channel 2 of 3 (GFP)".

    Args:
        source: Images or masks.
        voxel_size: In place of what the source states, ((z,) y, x) in micrometres.
        interval: In place of what the source states, in seconds.
    """
    said = [size_of(source), *scale_in_words(voxel_size or source.voxel_size, interval or source.interval)]
    said += _reading_in_words(source.reading)
    return ", ".join(said)


def describe_movie(movie: Movie) -> str:
    """One line about a movie; scale as the movie has it, channels and notes of its images, then its masks.

    >>> import numpy as np
    >>> describe_movie(Movie.open(None, np.zeros((6, 28, 64, 32), np.uint8), voxel_size=(0.5, 0.16, 0.16), interval=30))
    '6 frames of 28 planes of 64 x 32, voxels 0.5 x 0.16 x 0.16 µm, 30 s a frame'
    """
    said = [size_of(movie.masks), *scale_in_words(movie.voxel_size, movie.interval)]
    for source in (movie.images, movie.masks):
        if source is not None:
            said += [words for words in _reading_in_words(source.reading) if words not in said]
    return ", ".join(said)


def size_of(source: FrameSource) -> str:
    """Such as "6 frames of 28 planes of 512 x 512"."""
    *planes, height, width = source.frame_shape
    depth = f"{planes[0]} planes of " if planes else ""
    return f"{source.n_frames} frames of {depth}{height} x {width}"


def scale_in_words(voxel_size: tuple[float, ...] | None, interval: float | None) -> list[str]:
    """Such as "voxels 0.5 x 0.16 x 0.16 µm" and "30 s a frame"."""
    said = []
    if voxel_size is not None:
        said.append(f"{'voxels' if len(voxel_size) == 3 else 'pixels'} {by_axis(voxel_size)} µm")
    if interval is not None:
        said.append(f"{interval:g} s a frame")
    return said


def _reading_in_words(reading: Reading) -> list[str]:
    said = []
    if len(reading.channels) > 1:
        name = reading.channels[reading.channel]
        said.append(
            f"channel {reading.channel + 1} of {len(reading.channels)}" + (f" ({name})" if name else "")
        )
    if reading.missing:
        kept = "empty" if set(reading.missing) <= set(reading.numbers) else "left out"
        said.append(f"missing frames {in_words(reading.missing)} {kept}")
    return said + list(reading.notes)
