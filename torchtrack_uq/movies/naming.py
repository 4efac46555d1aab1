"""What a user calls frames and cells: the numbers and names that outputs have, where these are not ours."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError


@dataclass(frozen=True)
class Naming:
    """The user's own frame numbers and names of cells.

    Attributes:
        first_frame: Number of our frame 0.
        frame_step: By how much the number grows from frame to frame.
        names: (N,) int64 or text, what each cell is called; None where that is its label.

    >>> Naming(first_frame=480, frame_step=2).frames(np.array([0, 1, 3]))
    array([480, 482, 486])
    """

    first_frame: int = 0
    frame_step: int = 1
    names: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if self.frame_step < 1 or self.first_frame < 0:
            raise InputError(
                f"frames are numbered from {self.first_frame} in steps of {self.frame_step}; expected a first number "
                "of at least 0 and a step of at least 1"
            )

    def frames(self, frame: NDArray[np.int64]) -> NDArray[np.int64]:
        """The user's numbers of frames that count from 0."""
        return self.first_frame + frame * self.frame_step

    def last(self, n_frames: int) -> int:
        """The user's number of the last of `n_frames` frames."""
        return self.first_frame + (n_frames - 1) * self.frame_step

    def per_number(self, interval: float | None) -> float | None:
        """Seconds from a number to the next one, which may be no frame, from those between frames."""
        return None if interval is None else interval / self.frame_step

    def or_none(self, label: NDArray[np.int64], cell: NDArray[np.int64]) -> "pd.Series[Any]":
        """What cells are called, as a column of a table, where some rows are of no cell.

        Args:
            label: (N,) label of each cell of the movie.
            cell: (R,) cells, -1 for none.

        Returns:
            (R,): labels and 0 for none; or names and nothing (NA) for none, since 0 may be a name.
        """
        none = cell < 0
        if self.names is None:
            own = label[cell] if len(label) else np.zeros(len(cell), np.int64)
            return pd.Series(np.where(none, 0, own))
        whole = self.names.dtype.kind == "i"
        own = self.names[cell] if len(self.names) else np.full(len(cell), None)
        return pd.Series(own, dtype="Int64" if whole else "string").mask(none)

    def where(self, kept: NDArray[np.bool_]) -> "Naming":
        """The same for some of the cells."""
        names = None if self.names is None else self.names[kept]
        return Naming(self.first_frame, self.frame_step, names)
