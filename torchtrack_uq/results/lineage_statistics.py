"""Credible intervals for what is counted of lineages."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.posterior.histories import Histories, draw_histories
from torchtrack_uq.results.lineage_draws import lineage_draws

_IN_HOURS = {"division_rate": -1, "cycle_length": 1, "cycle_length_completed": 1}
"""Quantities whose unit holds frames, and to which power."""
_UNITS = {"division_rate": "1/{}", "cycle_length": "{}s", "cycle_length_completed": "{}s"}


@dataclass(frozen=True, eq=False)
class LineageStatistics:
    """What is counted of a movie's lineages, with how sure that is.

    The intervals are about the movie's own history: how many divisions there were among its cells, not how many
    there are to be expected of others. They hold what the links leave open; cells that the segmentation
    missed or made up are not in them.

    Attributes:
        table: One row a quantity, or a quantity and frame: `quantity`, `unit`, `frame` (the user's
            number, empty for the whole movie), `mean`, `low`, `high`. An infinite number is a median that more than
            half of the cells survive.
        draws: (n,) rows, a column for each quantity of the whole movie, frames as unit of time.
        per_frame: By quantity, (n, T) float64 of the same draws.
        level: Of the intervals.
        exact: Share of the cells whose links are drawn exactly; the others are from Markov chains, an estimate.
    """

    table: pd.DataFrame
    draws: pd.DataFrame
    per_frame: Mapping[str, NDArray[np.float64]]
    level: float
    exact: float


def lineage_statistics(
    detections: Detections,
    scaled: CandidateGraph | None,
    n: int | None = None,
    level: float = 0.9,
    *,
    seed: int = 0,
    histories: Histories | None = None,
) -> LineageStatistics:
    """Counts over time, division rate, cycle length and generations with credible intervals, see `PER_FRAME`, `WHOLE`.

    An interval goes from the (1 - level) / 2 to the (1 + level) / 2 quantile of the draws, both among the values drawn,
    so that of whole numbers it holds at least `level`.

    Args:
        detections: The movie's N cells.
        scaled: Candidate links with the scores that the probabilities are of.
        n: Number of draws; see `draw_histories`.
        level: Probability that each interval holds, between 0 and 1.
        seed: Of the draws.
        histories: Draws that are there already.

    Raises:
        InputError: A level outside 0 to 1, no posterior to draw from, or what `draw_histories` refuses.

    >>> cells = Detections.from_points(np.array([0, 1, 1]), np.zeros((3, 2)), interval=1800.0)
    >>> graph = CandidateGraph.from_links(cells, [0, 0], [1, 2], [9.0, 9.0])
    >>> found = lineage_statistics(cells, graph, 100).table
    >>> found.query("quantity == 'division_rate'").head(2)[["unit", "mean", "low", "high"]]
          unit  mean  low  high
    4  1/frame   1.0  1.0   1.0
    5   1/hour   2.0  2.0   2.0
    """
    if not 0 < level < 1:
        raise InputError(f"level is {level}; expected a probability between 0 and 1, such as 0.9")
    if scaled is None:
        raise InputError(
            "lineages are drawn from a posterior over assignments, which this method has not; track with --method "
            "auto, exact, AS or bp"
        )
    drawn = draw_histories(scaled, n, seed=seed) if histories is None else histories
    found = lineage_draws(drawn.mother, detections.frame, detections.n_frames)
    rows: list[dict[str, object]] = []
    numbers = detections.naming.frames(np.arange(detections.n_frames)).tolist()
    for name, values in found.whole.items():
        for unit, factor in _scales(name, detections.interval):
            rows.append({"quantity": name, "unit": unit, "frame": None, **_interval(values * factor, level)})
    for name, of_frames in found.per_frame.items():
        unit = "1/frame" if name == "division_rate" else "count"
        for t, number in enumerate(numbers):
            rows.append(
                {"quantity": name, "unit": unit, "frame": number, **_interval(of_frames[:, t], level)}
            )
    table = pd.DataFrame(rows).astype({"frame": "Int64"})
    exact = float(drawn.cell_exact.mean()) if len(detections) else 1.0
    return LineageStatistics(table, pd.DataFrame(found.whole), found.per_frame, level, exact)


def _scales(name: str, interval: float | None) -> list[tuple[str, float]]:
    """Units of a quantity, and what frames are multiplied with."""
    if name not in _IN_HOURS:
        return [("count", 1.0)]
    found = [(_UNITS[name].format("frame"), 1.0)]
    if interval is not None:
        found.append((_UNITS[name].format("hour"), (interval / 3600) ** _IN_HOURS[name]))
    return found


def _interval(values: NDArray[np.float64], level: float) -> dict[str, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return {"mean": np.nan, "low": np.nan, "high": np.nan}
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return {"mean": float(known.mean()), "low": float(low), "high": float(high)}
