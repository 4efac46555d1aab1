"""What is proved about probabilities, said to the person who uses them."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.links.probabilities import LinkProbabilities

CERTAIN_TO = 1e-3
"""Largest proved error of a probability that is called exact."""
COVERED = 0.5
"""Share of the posterior mass below which a list of assignments is called short."""


class CoverageWarning(UserWarning):
    """Listed assignments are not proved to hold most of the posterior: their probabilities may be far too sure."""


def proved_exact(probabilities: LinkProbabilities) -> NDArray[np.bool_] | None:
    """(N,) bool, cells whose probabilities as a daughter are proved right to 0.001; None for methods without proof."""
    error = probabilities.cell_error
    return None if error is None else (error <= CERTAIN_TO).numpy()


def proof_columns(probabilities: LinkProbabilities) -> dict[str, Any]:
    """What is proved about each of N cells: columns `exact`, `error_bound` and `covered_mass` (of its problem).

    Empty where a method proves nothing, and in the first frame.
    """
    graph = probabilities.graph
    exact = proved_exact(probabilities)
    error, covered = probabilities.cell_error, probabilities.covered_mass
    first = ~graph.is_daughter.numpy()
    if exact is None or error is None or covered is None:
        nothing = np.full(graph.n_cells, np.nan)
        unknown = pd.Series(pd.NA, index=range(graph.n_cells), dtype="boolean")
        return {"exact": unknown, "error_bound": nothing, "covered_mass": nothing}
    of_problem = covered.numpy() if len(covered) else np.full(1, np.nan)
    return {
        "exact": pd.Series(exact, dtype="boolean").mask(first),
        "error_bound": np.where(first, np.nan, error.numpy()),
        "covered_mass": np.where(first, np.nan, of_problem[np.maximum(graph.problem_of_daughter.numpy(), 0)]),
    }


def proof_sentence(n_exact: int, n_decisions: int, options: Mapping[str, Any]) -> str:
    """How many decisions have probabilities that are proved, in one sentence."""
    if options.get("null_class") is False:
        return "nothing is proved of the probabilities, which are normalised over mothers as in the paper"
    if n_exact == 0:
        return "no probability is proved right to 0.001: all are estimates"
    others = ", the others are estimates" if n_exact < n_decisions else ""
    return f"{n_exact} of {n_decisions} are proved to have probabilities right to 0.001{others}"


def warn_of_short_lists(probabilities: LinkProbabilities) -> None:
    """Say once, in one sentence with the way out, where the K best assignments hold little of the posterior.

    Warns:
        CoverageWarning: Method "AS", and some frame pair in which less than half of the mass is proved to be listed.
    """
    sentence = short_lists(probabilities)
    if sentence is not None:
        warnings.warn(sentence, CoverageWarning, stacklevel=3)


def short_lists(probabilities: LinkProbabilities) -> str | None:
    """The sentence of `warn_of_short_lists`, or None where there is nothing to say."""
    covered = probabilities.covered_mass
    if probabilities.method != "AS" or covered is None:
        return None
    short = int((covered < COVERED).sum())
    if not short:
        return None
    if probabilities.graph.max_gap > 1:
        return (
            f"the assignments that AS lists are not proved to hold half of the movie's probability "
            f"({float(covered.min()):.1g}), so it may be far too sure: use --method auto"
        )
    return (
        f"in {short} of {len(covered)} frame pairs the assignments that AS lists are not proved to hold half of the "
        f"probability (the least: {float(covered.min()):.1g}), so it may be far too sure there: use --method auto"
    )
