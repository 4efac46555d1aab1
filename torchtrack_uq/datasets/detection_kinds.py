"""What each detection of a segmentation is, as an annotation of the same frames shows."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class DetectionKinds:
    """What is wrong with each of N detections, by the rule of `match_frame`; several can be true of one.

    Attributes:
        false: (N,) bool, covers no annotated cell: made up, a fragment of a cell, or one that nobody annotated.
        merged: (N,) bool, covers several.
        split: (N,) bool, lies in an annotated cell together with another detection, each with more than half of its
            own pixels. The larger part often covers that cell and is its detection; the other ones are `false` as well.

    Raises:
        InputError: Shapes or dtypes that do not fit.
    """

    false: Bools
    merged: Bools
    split: Bools

    def __post_init__(self) -> None:
        for item in fields(self):
            column = getattr(self, item.name)
            if column.shape != self.false.shape or column.ndim != 1 or column.dtype != np.bool_:
                raise InputError(
                    f"{item.name} is {column.shape} of {column.dtype}; expected {self.false.shape} bool, one a cell"
                )

    def __len__(self) -> int:
        return len(self.false)

    @classmethod
    def concatenate(cls, parts: "list[DetectionKinds]") -> "DetectionKinds":
        """Those of several frames, at least one, behind each other."""
        return cls(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(cls)))

    def where(self, chosen: NDArray[np.int64]) -> "DetectionKinds":
        """Those of some detections, by indices."""
        return DetectionKinds(*(getattr(self, item.name)[chosen] for item in fields(self)))
