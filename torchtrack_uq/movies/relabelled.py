"""Label masks with other labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import Frame, FrameSource


class RelabelledFrames(FrameSource):
    """Masks of another source in which labels are replaced, frame by frame.

    Args:
        source: Label masks.
        old: For each frame, the n labels that it holds, in any order.
        new: For each frame, (n,) what takes their place; 0 strikes a cell out.
        dtype: Of the frames; by default the smallest that holds all labels.

    Raises:
        InputError: Lists that do not fit; on reading, a label that is not among those of its frame.

    >>> from torchtrack_uq.movies.frames import open_frames
    >>> masks = open_frames(np.array([[[0, 7], [5, 5]]]))
    >>> RelabelledFrames(masks, [np.array([5, 7])], [np.array([0, 300])]).read(0).tolist()
    [[0, 300], [0, 0]]
    """

    def __init__(
        self,
        source: FrameSource,
        old: Sequence[NDArray[np.int64]],
        new: Sequence[NDArray[np.int64]],
        dtype: type[np.integer[Any]] | None = None,
    ) -> None:
        if not len(old) == len(new) == source.n_frames or any(
            a.shape != b.shape for a, b in zip(old, new, strict=True)
        ):
            raise InputError(
                f"{source.name} has {source.n_frames} frames; expected as many lists of labels, old and new ones of "
                f"equal lengths, got {len(old)} and {len(new)}"
            )
        order = [np.argsort(labels) for labels in old]
        self._source = source
        self._old = [labels[at] for labels, at in zip(old, order, strict=True)]
        self._new = [labels[at] for labels, at in zip(new, order, strict=True)]
        self.name, self.frame_shape = source.name, source.frame_shape
        self.n_frames, self.voxel_size, self.interval = source.n_frames, source.voxel_size, source.interval
        largest = max((int(labels.max(initial=0)) for labels in new), default=0)
        self.dtype = np.min_scalar_type(largest) if dtype is None else np.dtype(dtype)

    @classmethod
    def of_cells(
        cls,
        source: FrameSource,
        detections: Detections,
        old: NDArray[np.int64],
        new: NDArray[np.int64],
        dtype: type[np.integer[Any]] | None = None,
    ) -> "RelabelledFrames":
        """Masks in which cells have other labels.

        Args:
            source: Label masks.
            detections: Their N cells.
            old: (N,) what each cell is called in `source`.
            new: (N,) what takes its place; 0 strikes it out.
            dtype: As for the class.

        Raises:
            InputError: As the class.
        """
        ends = detections.offsets[1:-1]
        return cls(source, np.split(old, ends), np.split(new, ends), dtype)

    def read(self, t: int) -> Frame:
        """Frame `t` with its new labels."""
        mask = self._source.read(t)
        old, new = self._old[t], self._new[t]
        where = np.flatnonzero(mask.ravel())
        found = mask.ravel()[where]
        at = np.searchsorted(old, found)
        known = at < len(old)
        known[known] = old[at[known]] == found[known]
        if not known.all():
            raise InputError(
                f"{self.name} holds label {found[~known][0]} in frame {t}, which is no cell of this result; have the "
                f"masks changed since?"
            )
        relabelled = np.zeros(mask.size, self.dtype)
        relabelled[where] = new[at]
        return relabelled.reshape(mask.shape)
