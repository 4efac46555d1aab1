"""What a few frames of masks look like: numbers that tell label masks from other pictures."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.movies.pieces import connected_pieces

_LARGE = 0.1  # of a label's largest piece: smaller ones are specks, which drawn masks have as well
_MOST_PIXELS = 1 << 24  # of a frame that are looked at


@dataclass(frozen=True)
class MaskLook:
    """Every label of every frame that was looked at, n in all.

    Attributes:
        frame: (n,) int64, which frame, counted among all of the movie.
        label: (n,) int64.
        area: (n,) int64, pixels.
        n_pieces: (n,) int64, connected pieces.
        n_large: (n,) int64, pieces of at least a tenth of the label's largest.
        n_single: (n,) int64, pieces of a single pixel.
        n_pixels: Pixels of all frames together.
        n_frames: Frames that were looked at.
    """

    frame: NDArray[np.int64]
    label: NDArray[np.int64]
    area: NDArray[np.int64]
    n_pieces: NDArray[np.int64]
    n_large: NDArray[np.int64]
    n_single: NDArray[np.int64]
    n_pixels: int
    n_frames: int

    @classmethod
    def of(cls, frames: Iterable[tuple[int, NDArray[np.integer]]]) -> "MaskLook":
        """Look at some frames; of very large ones at a window around the middle of the foreground.

        Args:
            frames: Number and mask of each.

        >>> look = MaskLook.of([(0, np.array([[7, 7, 0, 7], [0, 0, 3, 0]]))])
        >>> look.label, look.area, look.n_large
        (array([3, 7]), array([1, 3]), array([1, 2]))
        """
        columns = [np.zeros((6, 0), np.int64)]
        n_pixels = n_frames = 0
        for t, whole in frames:
            mask = _window(whole)
            n_pixels, n_frames = n_pixels + mask.size, n_frames + 1
            label, size = connected_pieces(mask)
            if not len(label):
                continue
            start = np.flatnonzero(np.diff(label, prepend=-1))
            n_pieces = np.diff(start, append=len(label))
            large = size >= _LARGE * np.repeat(np.maximum.reduceat(size, start), n_pieces)
            numbers = (size, np.ones_like(size), large.astype(np.int64), (size == 1).astype(np.int64))
            sums = [np.add.reduceat(each, start) for each in numbers]
            columns.append(np.stack([np.full(len(start), t), label[start], *sums]))
        frame, labels, area, n_in, n_large, n_single = np.concatenate(columns, axis=1)
        return cls(frame, labels, area, n_in, n_large, n_single, n_pixels, n_frames)

    @property
    def n(self) -> int:
        """Labels of all frames together."""
        return len(self.label)

    @property
    def foreground(self) -> float:
        """Share of the pixels that are labelled."""
        return float(self.area.sum() / max(self.n_pixels, 1))

    @property
    def one_pixel(self) -> float:
        """Share of the labels that are one pixel."""
        return float((self.area == 1).mean()) if self.n else 0.0

    @property
    def crumbs(self) -> float:
        """Share of the labelled pixels that are a piece each."""
        return float(self.n_single.sum() / max(self.area.sum(), 1))

    @property
    def in_pieces(self) -> float:
        """Share of the labels that are in several large pieces."""
        return float((self.n_large > 1).mean()) if self.n else 0.0

    @property
    def pieces_per_label(self) -> float:
        """Large pieces a label."""
        return float(self.n_large.mean()) if self.n else 0.0

    @property
    def surplus(self) -> int:
        """Large pieces more than labels: what there is of evidence that labels are not cells."""
        return int(self.n_large.sum()) - self.n

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels that occur, each once."""
        return np.unique(self.label)


def _window(mask: NDArray[np.integer]) -> NDArray[np.integer]:
    """A part of a very large mask, whole in z, around the median of its foreground."""
    if mask.size <= _MOST_PIXELS:
        return mask
    share = (_MOST_PIXELS / mask.size) ** 0.5
    coarse = mask[..., ::8, ::8] != 0
    window: list[slice] = [slice(None)] * (mask.ndim - 2)
    for axis in (-2, -1):
        found, size = np.nonzero(coarse)[axis], mask.shape[axis]
        length = max(int(size * share), 1)
        middle = int(np.median(found)) * 8 if len(found) else size // 2
        begin = min(max(middle - length // 2, 0), size - length)
        window.append(slice(begin, begin + length))
    return mask[tuple(window)]
