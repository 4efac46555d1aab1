"""The truth about detections: which are made up, several cells in one, or one of the parts of a cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.tensor_fields import TensorFields
from torchtrack_uq.truth.judged import JudgedEvents

DETECTION_EVENTS = ("false", "merged", "split")
"""Kinds of errors of a detection that `judge_detections` can hold probabilities against."""


@dataclass(frozen=True, eq=False)
class DetectionTruth(TensorFields):
    """What each of a movie's N detections truly is.

    Attributes:
        false: (N,) bool, whether it is no cell: it matches nothing that is annotated.
        merged: (N,) bool, whether it is several cells.
        split: (N,) bool, whether it is a part of a cell of which another part is a detection as well.
        known: (N,) bool, the detections of which that is known.

    Raises:
        InputError: Shapes or dtypes that do not fit.
    """

    false: Tensor
    merged: Tensor
    split: Tensor
    known: Tensor

    def __post_init__(self) -> None:
        for name in (*DETECTION_EVENTS, "known"):
            tensor = getattr(self, name)
            if tensor.shape != (len(self.false),) or tensor.dtype != torch.bool:
                raise InputError(
                    f"{name} is {tuple(tensor.shape)} of {tensor.dtype}; expected ({len(self.false)},) of torch.bool"
                )

    @classmethod
    def batch(cls, movies: "Sequence[DetectionTruth | None]") -> "DetectionTruth | None":
        """Those of several movies behind each other; None where nothing is known of one of them."""
        known = [movie for movie in movies if movie is not None]
        if not known or len(known) < len(movies):
            return None
        return cls(*(torch.cat([getattr(movie, item.name) for movie in known]) for item in fields(cls)))


def judge_detections(
    probabilities: Mapping[str, Tensor], truth: DetectionTruth, frame: Tensor
) -> dict[str, JudgedEvents]:
    """Hold the probabilities that detections are false, merged or split against the truth.

    Args:
        probabilities: (N,) floats by kind, "false", "merged" or "split"; NaN where one is not known.
        truth: What the detections are.
        frame: (N,) int64, frame of each.

    Returns:
        By kind, every detection of which truth and probability are known.

    Raises:
        InputError: Another kind, another number of cells, or numbers outside 0 to 1.

    >>> no = torch.tensor([False, False])
    >>> truth = DetectionTruth(torch.tensor([True, False]), no, no, ~no)
    >>> p = {"false": torch.tensor([0.75, 0.25])}
    >>> judge_detections(p, truth, torch.tensor([0, 1]))["false"].happened
    tensor([ True, False])
    """
    found = {}
    for kind, p in probabilities.items():
        if kind not in DETECTION_EVENTS:
            raise InputError(
                f"event {kind!r} of a detection is unknown; expected one of {', '.join(DETECTION_EVENTS)}"
            )
        if p.shape != truth.false.shape or frame.shape != truth.false.shape:
            raise InputError(
                f"probabilities of {kind!r} are {tuple(p.shape)} and frames {tuple(frame.shape)}; expected "
                f"({len(truth.false)},), one a detection"
            )
        number = p.detach().double()
        known = truth.known.to(p.device) & ~number.isnan()
        # rounding may leave a marginal a little outside
        if bool(((number[known] < -1e-6) | (number[known] > 1 + 1e-6)).any()):
            raise InputError(f"probabilities of {kind!r} lie outside 0 to 1")
        happened = getattr(truth, kind).to(p.device)
        found[kind] = JudgedEvents(number[known].clamp(0, 1), happened[known], frame.to(p.device)[known])
    return found
