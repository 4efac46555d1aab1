"""Lineages: the tracks of an annotated recording, when each begins and ends and what it descends from."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError


@dataclass(frozen=True)
class Lineage:
    """The K tracks of a recording, sorted by label, as in the Cell Tracking Challenge's `man_track.txt`.

    Attributes:
        label: (K,) int64, positive, ascending.
        begin: (K,) int64, first frame of each track.
        end: (K,) int64, last frame of each track.
        parent: (K,) int64, label of the track it descends from, 0 for none.

    Raises:
        InputError: A label stands twice or is not positive, a track ends before it begins, or a parent
            has no row or does not begin before its child.

    >>> Lineage.from_rows([(1, 0, 3, 0), (2, 4, 9, 1), (3, 4, 8, 1)]).parent
    array([0, 1, 1])
    """

    label: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    parent: NDArray[np.int64]

    def __post_init__(self) -> None:
        if (self.label <= 0).any():
            raise InputError(f"labels of tracks must be positive, got {int(self.label.min())}")
        if (steps := np.diff(self.label)).size and (steps <= 0).any():
            twice = int(self.label[1:][steps <= 0][0])
            raise InputError(
                f"tracks must be sorted and listed once, got label {twice} twice or out of order"
            )
        for i in np.flatnonzero((self.end < self.begin) | (self.begin < 0)):
            raise InputError(
                f"track {self.label[i]} runs from frame {self.begin[i]} to {self.end[i]}; "
                "expected a first frame of at least 0 and not after the last"
            )
        row = self.rows_of(self.parent)
        for i in np.flatnonzero((self.parent != 0) & (row < 0)):
            raise InputError(f"track {self.label[i]} descends from {self.parent[i]}, which is not listed")
        for i in np.flatnonzero((row >= 0) & (self.begin[row] >= self.begin)):
            raise InputError(
                f"track {self.label[i]} begins in frame {self.begin[i]}, not after its parent "
                f"{self.parent[i]} (frame {self.begin[row[i]]})"
            )

    @classmethod
    def from_rows(cls, rows: NDArray[np.integer] | list[tuple[int, int, int, int]]) -> "Lineage":
        """A lineage from rows of label, begin, end, parent in any order."""
        try:
            table = np.asarray(rows, dtype=np.int64).reshape(-1, 4)
        except OverflowError as error:
            raise InputError(
                "labels and frames of tracks must be whole numbers of at most 18 digits; one has more"
            ) from error
        table = table[np.argsort(table[:, 0], kind="stable")]
        return cls(*(np.ascontiguousarray(column) for column in table.T))

    @classmethod
    def read(cls, file: str | os.PathLike[str]) -> "Lineage":
        """Read `man_track.txt` or `res_track.txt`: one row of label, begin, end, parent a track.

        Raises:
            InputError: The file is missing, or a row is not four whole numbers.
        """
        path = Path(file)
        try:
            lines = path.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        rows: list[tuple[int, int, int, int]] = []
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                label, begin, end, parent = (int(word) for word in line.split())
            except ValueError as error:
                raise InputError(
                    f"{path}, line {number}: expected four whole numbers "
                    f"(label, begin, end, parent), got {line!r}"
                ) from error
            rows.append((label, begin, end, parent))
        try:
            return cls.from_rows(rows)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def __len__(self) -> int:
        return len(self.label)

    def alive(self, frame: int) -> NDArray[np.int64]:
        """Labels of the tracks that exist in a frame of the recording."""
        return self.label[(self.begin <= frame) & (frame <= self.end)]

    def rows_of(self, label: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of each label (any shape), -1 where there is none."""
        if not len(self.label):
            return np.full(np.shape(label), -1, dtype=np.int64)
        row = np.minimum(np.searchsorted(self.label, label), len(self.label) - 1)
        return np.where(self.label[row] == label, row, -1).astype(np.int64)

    def ancestor(self, label: NDArray[np.int64], frame: NDArray[np.int64]) -> NDArray[np.int64]:
        """The track that each track was in an earlier frame: itself, its parent, its parent's parent, ...

        Args:
            label: (N,) int64, labels of tracks.
            frame: (N,) int64, an earlier frame for each.

        Returns:
            (N,) int64: the label of the youngest track of the line that has begun by that frame; 0 where the
            line begins later. Where a line has a gap in that frame, no cell of that label need be visible.

        >>> lineage = Lineage.from_rows([(1, 0, 3, 0), (2, 4, 5, 1), (3, 6, 9, 2)])
        >>> lineage.ancestor(np.array([3, 3, 3]), np.array([7, 4, 1]))
        array([3, 2, 1])
        """
        if not len(self):
            return np.zeros(np.shape(label), dtype=np.int64)
        row = self.rows_of(np.asarray(label, dtype=np.int64))
        parent_row = self.rows_of(self.parent)
        while True:
            too_young = (row >= 0) & (self.begin[row] > frame)
            if not too_young.any():
                return np.where(row >= 0, self.label[row], 0).astype(np.int64)
            row = np.where(too_young, parent_row[row], row)
