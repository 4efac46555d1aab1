"""A list of daughters to annotate, from the tables of a tracked movie."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees.annotation_sample import RANDOM, AnnotationSample, usefulness

VERDICT = ("verdict", "mother_frame", "mother")
"""Columns for a person to fill in."""
_CELLS = ("frame", "label")
_LINKS = ("frame", "mother", "daughter", "probability", "selected", "mother_frame")


def decisions_of(cells: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """What was decided for each daughter: one row a cell after the first frame, in the order of cells.

    Args:
        cells: As `TrackingResult.cells`, or `cells.csv`.
        links: As `TrackingResult.links`, or `links.csv`.

    Returns:
        Columns `cell` (row in `cells`), `frame`, `label`, `tracked_mother_frame`, `tracked_mother` (0 for none,
        or empty, as in `links`), `probability` (of the decision, to six digits, so that files and results in memory
        give the same), centroid.

    Raises:
        InputError: Tables without these columns, or not of one movie.
    """
    for name, table, columns in (("cells", cells, _CELLS), ("links", links, _LINKS)):
        missing = [column for column in columns if column not in table]
        if missing:
            raise InputError(
                f"the table of {name} has no column {', '.join(missing)}; expected what `track` writes"
            )
    chosen = links.loc[
        links["selected"].astype(bool), ["frame", "daughter", "mother", "mother_frame", "probability"]
    ]
    chosen = chosen.rename(
        columns={"daughter": "label", "mother": "tracked_mother", "mother_frame": "tracked_mother_frame"}
    )
    chosen["tracked_mother_frame"] = chosen["tracked_mother_frame"].astype("Int64")
    chosen["probability"] = [float(f"{p:.6g}") for p in chosen["probability"]]
    axes = [axis for axis in "zyx" if axis in cells]
    daughters = cells[[*_CELLS, *axes]].assign(cell=np.arange(len(cells)))
    daughters = daughters[~is_first(cells, links)]
    found = daughters.merge(chosen, on=["frame", "label"], how="left")
    if len(found) != len(chosen) or bool(found["probability"].isna().any()):
        raise InputError(
            f"{len(chosen)} decisions for {len(daughters)} daughters: the tables of cells and links are not of one "
            "movie; track again"
        )
    names = ["cell", "frame", "label", "tracked_mother_frame", "tracked_mother", "probability", *axes]
    return found[names]


def is_first(cells: pd.DataFrame, links: pd.DataFrame) -> NDArray[np.bool_]:
    """(N,) cells of the first frame, which are nobody's daughters: those of frame 0, or of points that begin later.

    Args:
        cells: As `TrackingResult.cells`.
        links: As `TrackingResult.links`.
    """
    frame = cells["frame"].to_numpy()
    starts = links["frame"].min() if len(links) else np.inf
    before = frame < starts
    # more than one frame without decisions is no first frame, but a table of another movie
    return before & (frame == frame.min()) if len(frame) else before


def sample_of_result(
    cells: pd.DataFrame, links: pd.DataFrame, n: int, *, seed: int = 0, random: float = RANDOM
) -> AnnotationSample:
    """The sample behind `to_annotate` with the same arguments, drawn from the cells after frame 0 in their order.

    Raises:
        InputError: As `decisions_of` and `AnnotationSample.draw`.
    """
    decided = decisions_of(cells, links)
    return AnnotationSample.draw(usefulness(decided["probability"]), n, random=random, seed=seed)


def to_annotate(
    cells: pd.DataFrame, links: pd.DataFrame, n: int, *, seed: int = 0, random: float = RANDOM
) -> pd.DataFrame:
    """Draw daughters to annotate: more of the doubtful ones, each with its weight, in random order.

    A mean over the list with these weights estimates that over the movie. Whoever stops after the first k has a sample
    as well, with n / k times these weights.

    Args:
        cells: As `TrackingResult.cells`, or `cells.csv`.
        links: As `TrackingResult.links`, or `links.csv`.
        n: How many.
        seed: Of the draw.
        random: Share that is spread evenly, the rest where decisions are doubtful.

    Returns:
        Columns `frame` and `label` of the daughter; `verdict`, `mother_frame` and `mother`, empty, for the person's
        answer; `weight` and `inclusion_probability` (one is 1 over the other); `cell` (index among the detections),
        `tracked_mother_frame`, `tracked_mother` (0 for none) and `probability` of the decision; the centroid.

    Raises:
        InputError: As `decisions_of` and `AnnotationSample.draw`.
    """
    decided = decisions_of(cells, links)
    sample = AnnotationSample.draw(usefulness(decided["probability"]), n, random=random, seed=seed)
    table = decided.iloc[sample.cell].reset_index(drop=True)
    table.insert(3, "weight", sample.weight)
    table.insert(4, "inclusion_probability", sample.inclusion[sample.cell])
    for i, name in enumerate(VERDICT):
        empty = pd.Series(pd.NA, index=table.index, dtype="string" if name == "verdict" else "Int64")
        table.insert(3 + i, name, empty)
    first = ["frame", "label", *VERDICT, "weight", "inclusion_probability"]
    return table[[*first, *(name for name in table if name not in first)]]
