"""How likely it is that a whole track, its division, and all that descends from it are right."""

import numpy as np
import pandas as pd

from torchtrack_uq.errors import InputError
from torchtrack_uq.posterior.histories import Histories
from torchtrack_uq.results.as_decided import AsDecided
from torchtrack_uq.results.decided_draws import DecidedDraws
from torchtrack_uq.results.left_out import NOTHING, LeftOut, WithoutLeftOut
from torchtrack_uq.results.track_decisions import Ints, TrackDecisions
from torchtrack_uq.results.tracklets import Tracklets

COLUMNS = (
    "track", "begin", "end", "parent", "n_cells", "p_track", "p_division", "p_lineage", "expected_errors", "mc_error",
    "exact",
)  # fmt: skip


def tracks_table(
    mother: Ints,
    tracks: Tracklets,
    histories: Histories | DecidedDraws | None,
    left_out: LeftOut = NOTHING,
) -> pd.DataFrame:
    """One row a track: the probability that it is right, from draws of whole histories.

    The posterior is the product over components (cells that compete, directly or over others). Within a component the
    probability that all is as decided is the share of draws in which it is; never a product of marginals. Over
    components it is the product of these shares, which is exact: so a track of thousands of frames has a probability
    although no draw may hold all of it.

    Args:
        mother: (N,) index of the chosen mother of each cell, -1 for none.
        tracks: Tracks of the chosen links.
        histories: Draws of the same cells, or what was asked of them; None where there is no posterior to draw from.
        left_out: Links that the draws cannot hold.

    Returns:
        Columns `track`, `begin`, `end`, `parent` as in `Tracklets`, `n_cells`, `p_track` (all of it is right, see
        `TrackDecisions`), `p_division` (both daughters are; NaN for tracks that do not divide), `p_lineage` (it and all
        its descendants are), `expected_errors` (number of wrong decisions along it: mothers of its cells, cells that
        divide in its midst, how it begins and ends), `mc_error` (standard error of `p_track` from the number of draws;
        for `exact` False from how much Markov chains differ) and `exact` (whether its draws are independent). NaN
        without histories.

    >>> from torchtrack_uq.results.tracklets import tracklets
    >>> mother = np.array([-1, 0, 1])
    >>> drawn = Histories(np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, -1], [-1, -1, 1]]), np.arange(3),
    ...     np.array([1, 2, 3]), np.full(4, True), np.zeros(4, int))
    >>> tracks_table(mother, tracklets(np.arange(3), mother), drawn)[["p_track", "p_lineage", "expected_errors"]]
       p_track  p_lineage  expected_errors
    0   0.5625     0.5625              0.5
    """
    decided = TrackDecisions(mother, tracks)
    table = tracks.table.copy()
    n_tracks = len(table)
    table["n_cells"] = np.bincount(tracks.track, minlength=n_tracks + 1)[1:]
    if histories is None or not n_tracks:
        for name in COLUMNS[5:]:
            table[name] = False if name == "exact" else np.nan
        return table[list(COLUMNS)]
    if histories.n_cells != len(mother):
        raise InputError(
            f"histories are of {histories.n_cells} cells, tracks of {len(mother)}; expected draws of the same "
            "cells"
        )
    if isinstance(histories, Histories):
        histories = DecidedDraws.of(histories, mother, decided.load)
    as_decided = AsDecided(decided, histories)
    track, cell, of_mother = decided.conditions()
    p, error = as_decided.shares(track, cell, of_mother, n_tracks)
    without = WithoutLeftOut(decided, left_out)
    table["p_track"] = p * without.track
    dividing, daughter = decided.divisions()
    both = as_decided.shares(dividing, daughter, np.ones(len(daughter), np.bool_), n_tracks)[0]
    divides = np.zeros(n_tracks, np.bool_)
    divides[dividing] = True
    table["p_division"] = np.where(divides, both * without.division, np.nan)
    table["p_lineage"] = as_decided.shares_below(track, cell, of_mother, decided) * without.lineage
    table["expected_errors"] = as_decided.errors() + without.errors
    table["mc_error"] = error
    rough = ~np.where(of_mother, *(histories.exact[c[cell]] for c in as_decided.components))
    table["exact"] = np.bincount(track[rough], minlength=n_tracks) == 0
    return table[list(COLUMNS)]
