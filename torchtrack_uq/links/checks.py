"""What a `CandidateGraph` must satisfy, checked once when it is made."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.names import COVARIATES, INDICES, SCORES
from torchtrack_uq.utils.device import refuse_without_float64


def as_positions(name: str, values: Tensor) -> Tensor:
    """Numbers of cells as int64; nothing that would have to be rounded, and no mask.

    >>> as_positions("mother", torch.tensor([0, 2], dtype=torch.int32))
    tensor([0, 2])
    """
    whole = not (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool)
    if values.numel() and not whole:
        raise InputError(f"{name} has dtype {values.dtype}; expected integers, the positions of cells")
    return values.to(torch.int64)


def check_shapes(tensors: Mapping[str, Tensor]) -> None:
    """Shapes, dtypes and devices of a graph's tensors fit each other."""
    n_cells, n_links, score = len(tensors["frame"]), len(tensors["mother"]), tensors["score"]
    refuse_without_float64(score.device)
    expected = {
        "mother": (n_links,),
        "daughter": (n_links,),
        "score": (n_links,),
        **dict.fromkeys(("appear", "disappear", "divide", "frame", "label"), (n_cells,)),
    }
    for name, shape in expected.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape:
            raise InputError(f"{name} has shape {tuple(tensor.shape)}; expected {shape}")
        if name in INDICES and tensor.dtype != torch.int64:
            raise InputError(f"{name} has dtype {tensor.dtype}; expected torch.int64")
        if name in SCORES and tensor.dtype not in (torch.float32, torch.float64):
            raise InputError(
                f"{name} has dtype {tensor.dtype}; expected float32 or float64: convert with .float()"
            )
        if name in SCORES and tensor.dtype != score.dtype:
            raise InputError(f"{name} is {tensor.dtype} but score is {score.dtype}; expected one dtype")
        if tensor.device != score.device:
            raise InputError(f"{name} is on {tensor.device} but score on {score.device}; expected one device")
    coords = tensors["coords"]
    if coords.ndim != 2 or len(coords) != n_cells:
        raise InputError(f"coords has shape {tuple(coords.shape)}; expected ({n_cells}, D)")
    if coords.device != score.device:
        raise InputError(f"coords is on {coords.device} but score on {score.device}")


def check_covariates(covariates: Tensor | None, score: Tensor, n_cells: int) -> None:
    """Covariates of all cells on the scores' device, all of them finite.

    Raises:
        InputError: They are not.
    """
    if covariates is None:
        return
    shape = (n_cells, len(COVARIATES))
    if tuple(covariates.shape) != shape or not covariates.is_floating_point():
        raise InputError(
            f"covariates are {tuple(covariates.shape)} of {covariates.dtype}; expected {shape} floats, "
            f"{', '.join(COVARIATES)} of each cell"
        )
    if covariates.device != score.device:
        raise InputError(f"covariates are on {covariates.device} but score on {score.device}")
    if not bool(torch.isfinite(covariates).all()):
        raise InputError("covariates hold NaN or infinity; expected finite numbers")


LARGEST_GAP = 1000
"""Frames; more is a slip of the pen."""


def check_max_gap(max_gap: int) -> None:
    """A number of frames that a link may span.

    Raises:
        InputError: Not a whole number from 1 to `LARGEST_GAP`.
    """
    whole = isinstance(max_gap, int | np.integer) and not isinstance(max_gap, bool)
    if not whole or not 1 <= max_gap <= LARGEST_GAP:
        raise InputError(
            f"max_gap is {max_gap!r}; expected a whole number of frames, 1 for links between consecutive frames only, "
            f"{LARGEST_GAP} at most"
        )


def check_links(frame: Tensor, mother: Tensor, daughter: Tensor, n_frames: int, max_gap: int = 1) -> None:
    """Links are sorted, unique, in range and lead 1 to `max_gap` frames ahead; cells are sorted by frame."""
    n_cells = len(frame)
    if n_cells:
        if bool((frame[1:] < frame[:-1]).any()):
            raise InputError("cells must be sorted by frame")
        if int(frame[0]) < 0 or int(frame[-1]) >= n_frames:
            raise InputError(
                f"cells lie in frames {int(frame[0])} to {int(frame[-1])} but n_frames is {n_frames}"
            )
    if not len(mother):
        return
    ends = torch.stack([mother.min(), mother.max(), daughter.min(), daughter.max()]).tolist()
    if min(ends) < 0 or max(ends) >= n_cells:
        raise InputError(f"links name cells {min(ends)} to {max(ends)}; expected 0 to {n_cells - 1}")
    gap = frame[daughter] - frame[mother]
    skips = (gap < 1) | (gap > max_gap)
    if bool(skips.any()):
        k = int(skips.nonzero()[0])
        expected = "consecutive frames" if max_gap == 1 else f"a daughter 1 to {max_gap} frames later"
        allowed = "; max_gap allows links over more frames" if int(gap[k]) > max_gap else ""
        raise InputError(
            f"the link from cell {int(mother[k])} to cell {int(daughter[k])} goes from frame "
            f"{int(frame[mother[k]])} to frame {int(frame[daughter[k]])}; expected {expected}{allowed}"
        )
    key = daughter * n_cells + mother
    if bool((key[1:] < key[:-1]).any()):
        raise InputError("links must be sorted by daughter, then mother: use CandidateGraph.from_links")
    repeated = key[1:] == key[:-1]
    if bool(repeated.any()):
        k = int(repeated.nonzero()[0])
        raise InputError(f"the link from cell {int(mother[k])} to cell {int(daughter[k])} is given twice")


def check_scores(scores: Mapping[str, Tensor]) -> None:
    """No NaN and no +inf among the scores; -inf forbids a link or an event. Waits for the device once."""
    fine = [(scores[name].detach() < torch.inf).all() for name in SCORES]
    if bool(torch.stack(fine).all()):
        return
    name = next(name for name, good in zip(SCORES, fine, strict=True) if not bool(good))
    values = scores[name].detach()
    k = int((~(values < torch.inf)).nonzero()[0])
    raise InputError(
        f"{name} holds {float(values[k])} at position {k}; expected finite scores, or -inf to forbid"
    )
