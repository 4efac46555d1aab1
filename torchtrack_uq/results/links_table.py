"""The table of all candidate links, as `links.csv` has it."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections


def links_table(
    detections: Detections,
    probabilities: LinkProbabilities,
    selected: NDArray[np.bool_],
    chosen_mother: NDArray[np.int64],
    accepted: NDArray[np.bool_] | None,
) -> pd.DataFrame:
    """One row per daughter and candidate mother, and one per daughter for "no mother"; see `TrackingResult.links`.

    Args:
        detections: N cells.
        probabilities: Of their E candidate links, on the CPU.
        selected: (E,) links of the tracks.
        chosen_mother: (N,) mother in the tracks, -1 for none.
        accepted: (N,) daughters whose decision needs no review; None where nothing was promised.
    """
    graph, label = probabilities.graph, detections.label
    mother, daughter = graph.mother.numpy(), graph.daughter.numpy()
    orphan = np.flatnonzero(detections.frame > 0)
    number = detections.frame_number
    no_mother = np.full(len(orphan), -1, np.int64)
    # no mother first, then as labels and frames go; by label, though shown as the user calls them
    rank = np.empty(len(label), np.int64)
    rank[np.lexsort((detections.frame, label))] = np.arange(1, len(label) + 1)
    cell = np.concatenate([daughter, orphan])
    by_label = np.concatenate([rank[mother], np.zeros(len(orphan), np.int64)])
    order = np.argsort(cell * (len(label) + 1) + by_label)  # cells are in the order of frames and labels
    cell = cell[order]

    def ordered(of_link: NDArray[Any], of_orphan: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([of_link, of_orphan])[order]

    parent = ordered(mother, no_mother)
    columns: dict[str, Any] = {
        "frame": number[cell],
        "mother": detections.naming.or_none(label, parent),
        "daughter": detections.name[cell],
        "score": ordered(graph.score.numpy(), graph.appear.numpy()[orphan]),
        "probability": ordered(probabilities.link.numpy(), probabilities.null.numpy()[orphan]),
        "selected": ordered(selected, chosen_mother[orphan] < 0),
    }
    if accepted is not None:
        columns["accepted"] = columns["selected"] & accepted[cell]
    columns["mother_frame"] = pd.Series(number[parent], dtype="Int64").mask(parent < 0)
    return pd.DataFrame(columns)
