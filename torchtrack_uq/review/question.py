"""All that a person needs to decide about one cell."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.review.decision_log import Decision

FOLLOWED = "followed from yours"
"""Reason of a cell whose mother is another since a decision about others, and whom nobody looked at."""
_SHOWN_CANDIDATES = 9
"""As many as there are digits to choose by."""


def question_of(
    result: TrackingResult, frame: int, label: int, decision: Decision | None, followed: NDArray[np.bool_]
) -> dict[str, Any]:
    """Who may be the mother of a cell, and how likely that is.

    Args:
        result: After the decisions so far, in which the cell is missing if it was struck out.
        frame: Number of its frame.
        label: Its label there.
        decision: What was decided about it, if anything.
        followed: (N,) bool, cells of `result` with the reason `FOLLOWED`.

    Returns:
        Plain values by name, fit for JSON.
    """
    cells, graph = result.detections, result.candidates
    said = None if decision is None else dict(vars(decision))
    found = np.flatnonzero((cells.frame_number == frame) & (cells.name == label))
    if not len(found):
        return {"frame": frame, "label": label, "struck_out": True, "candidates": [], "decision": said}
    cell = int(found[0])
    links = np.flatnonzero(graph.daughter.numpy() == cell)
    p = result.probabilities.link.double().numpy()[links]
    order = links[np.argsort(-p, kind="stable")][:_SHOWN_CANDIDATES]
    mothers = graph.mother.numpy()[order]
    chosen = int(result.mother[cell])
    return {
        "frame": frame,
        "label": label,
        "place": cells.coords[cell].tolist(),
        "struck_out": False,
        "reason": FOLLOWED if followed[cell] else str(result.doubts.reason_of(np.array([cell]))[0]),
        "none": float(result.probabilities.null.double()[cell]),
        "chosen": None if chosen < 0 else [int(cells.frame_number[chosen]), int(cells.name[chosen])],
        "candidates": [
            {
                "frame": int(cells.frame_number[mother]),
                "label": int(cells.name[mother]),
                "place": cells.coords[mother].tolist(),
                "probability": float(result.probabilities.link[link]),
            }
            for mother, link in zip(mothers.tolist(), order.tolist(), strict=True)
        ],
        "decision": said,
    }
