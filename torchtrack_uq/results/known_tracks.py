"""The table of a result's tracks; what cannot be known is left empty, with a sentence that says why."""

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.naming import Naming
from torchtrack_uq.posterior.histories import draw_histories
from torchtrack_uq.results.left_out import NOTHING, LeftOut
from torchtrack_uq.results.track_probabilities import tracks_table
from torchtrack_uq.results.tracklets import Tracklets


class UnknownTracksWarning(UserWarning):
    """Histories of a movie cannot be drawn, so that nothing is known of whole tracks."""


def tracks_of(
    mother: NDArray[np.int64],
    tracks: Tracklets,
    scaled: CandidateGraph | None,
    n: int | None = None,
    *,
    seed: int = 0,
    naming: Naming | None = None,
    probabilities: LinkProbabilities | None = None,
) -> pd.DataFrame:
    """`tracks_table` from draws of a movie's posterior; see `draw_histories`.

    Args:
        mother: (N,) index of the chosen mother of each cell, -1 for none.
        tracks: Tracks of the chosen links.
        scaled: Candidate links with the scores that the probabilities are of; None for methods that do not sum
            over assignments: then all probabilities are empty.
        n: Number of draws.
        seed: Of the draws.
        naming: The user's own frame numbers, for `begin` and `end`; None counts from 0.
        probabilities: Of the same scores: the movie is not summed over again then, and links that are too improbable to
            be drawn count (`LeftOut`).

    Warns:
        UnknownTracksWarning: The histories of this movie cannot be drawn; the table is empty there.

    >>> from torchtrack_uq.results.tracklets import tracklets
    >>> mother = np.array([-1, 0])
    >>> tracks_of(mother, tracklets(np.array([0, 1]), mother), None)[["track", "n_cells", "p_track"]]
       track  n_cells  p_track
    0      1        2      NaN
    """
    histories, left_out = None, NOTHING
    if scaled is not None:
        try:
            sums = None if probabilities is None else probabilities.sums
            histories = draw_histories(scaled, n, seed=seed, sums=sums)
        except InputError as error:
            warnings.warn(f"tracks have no probabilities: {error}", UnknownTracksWarning, stacklevel=2)
        else:
            if probabilities is not None:
                left_out = LeftOut.of(histories, probabilities)
    table = tracks_table(mother, tracks, histories, left_out)
    return table if naming is None else with_names(table, naming)


def with_names(table: pd.DataFrame, naming: Naming) -> pd.DataFrame:
    """A table of tracks with the user's own frame numbers."""
    return table.assign(**{name: naming.frames(table[name].to_numpy()) for name in ("begin", "end")})
