"""The table of all candidate links, as `links.csv` has it."""

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
    cell = np.concatenate([daughter, orphan])
    table = pd.DataFrame(
        {
            "frame": number[cell],
            "mother": np.concatenate([label[mother], np.zeros(len(orphan), np.int64)]),
            "daughter": label[cell],
            "score": np.concatenate([graph.score.numpy(), graph.appear.numpy()[orphan]]),
            "probability": np.concatenate([probabilities.link.numpy(), probabilities.null.numpy()[orphan]]),
            "selected": np.concatenate([selected, chosen_mother[orphan] < 0]),
        }
    )
    if accepted is not None:
        table["accepted"] = table["selected"] & accepted[cell]
    frames = np.concatenate([number[mother], np.zeros(len(orphan), np.int64)])
    none = np.arange(len(cell)) >= len(daughter)
    table["mother_frame"] = pd.Series(frames, dtype="Int64").mask(none)
    # no mother first, then as labels and frames go
    order = table.assign(at=np.where(none, -1, frames)).sort_values(
        ["frame", "daughter", "mother", "at"], kind="stable"
    )
    # sorted by label, but shown as the user calls them
    no_mother = np.full(len(orphan), -1, np.int64)
    table["mother"] = detections.naming.or_none(label, np.concatenate([mother, no_mother]))
    table["daughter"] = detections.name[cell]
    return table.loc[order.index].reset_index(drop=True)
