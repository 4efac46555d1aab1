"""Frames that were read last, so that the views of one frame read it once."""

import threading
from dataclasses import replace

from torchtrack_uq.movies.frames import Frame, FrameSource
from torchtrack_uq.movies.movie import Movie

_MOST_BYTES = 128 << 20


class KeptFrames(FrameSource):
    """Frames of another source, the last ones from memory; for several threads at once.

    Args:
        source: Frames; its files do not change meanwhile.
        most_bytes: What is kept; the frame that was asked for longest ago goes first, and one is always kept.

    >>> import numpy as np
    >>> from torchtrack_uq.movies.frames import open_frames
    >>> kept = KeptFrames(open_frames(np.zeros((2, 4, 4))))
    >>> kept.read(1) is kept.read(1)
    True
    """

    def __init__(self, source: FrameSource, most_bytes: int = _MOST_BYTES) -> None:
        self._source, self._most_bytes = source, most_bytes
        self.name, self.frame_shape, self.dtype = source.name, source.frame_shape, source.dtype
        self.n_frames, self.voxel_size, self.interval = source.n_frames, source.voxel_size, source.interval
        self._kept: dict[int, Frame] = {}
        self._lock = threading.Lock()

    @classmethod
    def of_movie(cls, movie: Movie) -> Movie:
        """The same movie, whose images and masks are kept."""
        images = None if movie.images is None else cls(movie.images)
        return replace(movie, masks=cls(movie.masks), images=images)

    def read(self, t: int) -> Frame:
        """Frame `t`."""
        with self._lock:
            frame = self._kept.pop(t, None)
            if frame is None:
                frame = self._source.read(t)
            self._kept[t] = frame
            while len(self._kept) > 1 and sum(one.nbytes for one in self._kept.values()) > self._most_bytes:
                self._kept.pop(next(iter(self._kept)))
            return frame
