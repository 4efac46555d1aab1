"""What the annotation of each movie says of temperature and event scores, kept on disk."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from common.results import kept
from experiments.prior.pool import Likelihood
from experiments.prior.units import Item, score_item
from torchtrack_uq.calibration.event_fit import _minimise, objective_of
from torchtrack_uq.calibration.first_look import first_look
from torchtrack_uq.calibration.fit_certainty import FitCertainty, mean_gradient
from torchtrack_uq.calibration.gaussian_prior import LOG_TEMPERATURE
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers import EventOffsets, UncertaintyLayer

NAMES = (LOG_TEMPERATURE, "appear", "disappear", "divide", "miss")
START = (0.4, 0.5, -1.5, -2.0, 0.0)
KNOW_EVENTS = ("Transformer", "Transformer 3D")
"""Trackers whose own scores say what each cell is likely to do: fits start there, and constants are drawn to them."""
TEMPERATURE_WIDTH, OFFSET_WIDTH = 1.0, 4.0
"""Of the weak prior that keeps single fits finite, and that pooling takes out again."""
MOST_STEPS = 15
LOOK_AT = {
    "Distance": (1.5, {"appear": 0.0, "disappear": -1.3, "divide": -1.8}),
    "Overlap": (1.2, {"appear": 0.0, "disappear": -1.0, "divide": -1.0}),
    "Activity": (1.2, {"appear": 0.0, "disappear": -1.0, "divide": -1.5}),
    "Transformer": (1.2, {"appear": 0.0, "disappear": -1.0, "divide": -1.0}),
    "Transformer 3D": (1.0, {}),
}
"""Temperature and offsets that a movie is first looked at with: about what single movies ask for."""


def start_of(tracker: str) -> tuple[float, ...]:
    """Of `NAMES`, where fits begin and what means are drawn to."""
    return (0.0,) * len(START) if tracker in KNOW_EVENTS else START


def fit_item(item: Item, cache: Path, max_gap: int) -> Likelihood | None:
    """The likelihood of a movie's annotation by parameters, None where nothing can be fitted."""
    content = kept(cache / f"{item.key}_{max_gap}.json", lambda: _fitted(item, cache, max_gap))
    if not content:
        return None
    value, gradient, information, look = (np.array(content[key]) for key in content)
    return Likelihood(item.kind, value, gradient, information, look)


def _fitted(item: Item, cache: Path, max_gap: int) -> dict[str, Any]:
    """Fields of its `Likelihood` but the kind; none where nothing can be fitted."""
    movie = score_item(item, cache, max_gap=max_gap)
    layer = UncertaintyLayer("auto", events=EventOffsets())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            objective = objective_of(layer, [movie], TEMPERATURE_WIDTH, OFFSET_WIDTH, None)
        except InputError:
            return {}
        objective.set(start_of(item.unit.tracker)[: len(objective.parameters)])
        _minimise(list(objective.parameters.values()), objective.loss, MOST_STEPS)
        found = FitCertainty.of(objective)
        slope = mean_gradient(objective, found.value) * objective.n_daughters
    temperature, offsets = LOOK_AT[item.unit.tracker]
    return {
        "value": found.value.tolist(),
        "gradient": slope.tolist(),
        "information": (found.information * objective.n_daughters).tolist(),
        "look": first_look(movie.graph, temperature, offsets).tolist(),
    }
