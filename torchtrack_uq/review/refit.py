"""Temperature and event scores anew, from the looks of a review that were drawn at random."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from torchtrack_uq.calibration.event_fit import fit_events
from torchtrack_uq.calibration.gaussian_prior import LOG_TEMPERATURE, GaussianPrior
from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.event_offsets import OFFSETS, EventOffsets
from torchtrack_uq.layers.uncertainty import UncertaintyLayer
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.posterior.map_links import map_links, mothers_of
from torchtrack_uq.results.kept_choices import keep_choices
from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.review.decision_log import Decision
from torchtrack_uq.review.rest import looks_of
from torchtrack_uq.truth.targets import LinkTargets

WIDTHS = {LOG_TEMPERATURE: 0.5} | dict.fromkeys(OFFSETS, 1.0)
"""How far a fit may go from what the result had, where looks are few: widths in log T and in nats."""
FEW = 30
"""Fewer looks than these tell hardly anything."""


@dataclass(frozen=True)
class Refit:
    """What a refit changed.

    Attributes:
        n_looks: Random looks that it rests on.
        temperature: Before and after.
        interval: 95 % interval of the temperature after.
        offsets: What was added to the event scores, in nats.
        expected_errors: Decisions that are expected to be wrong, before and after.
        n_changed: Decisions that are others now.
    """

    n_looks: int
    temperature: tuple[float, float]
    interval: tuple[float, float]
    offsets: dict[str, float]
    expected_errors: tuple[float, float]
    n_changed: int

    def describe(self) -> str:
        """A sentence or two.

        >>> Refit(60, (1.0, 1.3), (1.1, 1.6), {"appear": -0.4}, (31.0, 42.0), 5).describe()
        'Refitted from 60 random looks: temperature 1 -> 1.3 (95 %: 1.1 to 1.6), event scores appear -0.40; expected \
wrong decisions 31.0 -> 42.0; 5 decisions are others now.'
        """
        (old, new), (low, high), (before, after) = self.temperature, self.interval, self.expected_errors
        moved = {name: value for name, value in self.offsets.items() if abs(value) >= 0.005}
        scores = ", ".join(f"{name} {value:+.2f}" for name, value in moved.items()) or "unchanged"
        few = "" if self.n_looks >= FEW else f" {FEW} looks tell a temperature roughly, fewer hardly."
        return (
            f"Refitted from {self.n_looks} random looks: temperature {old:.3g} -> {new:.3g} (95 %: {low:.3g} to "
            f"{high:.3g}), event scores {scores}; expected wrong decisions {before:.1f} -> {after:.1f}; "
            f"{self.n_changed} decisions are others now.{few}"
        )


def refit(start: TrackingResult, decisions: Sequence[Decision]) -> tuple[TrackingResult, Refit]:
    """The result under the temperature and event scores that its random looks suggest.

    Only looks that were drawn count: those that a person chose are the doubtful ones, and would make a tracker look
    worse than it is. Those drawn after the most doubtful were looked at are milder: for a fair fit, draw before.

    Args:
        start: As tracked, before any decision.
        decisions: All rows of the log, in order.

    Returns:
        The result, still before any decision, and what has changed.

    Raises:
        InputError: No random look has a verdict about a mother, or the method sums over no assignments.

    Warns:
        CalibrationWarning: The fit has not converged, or ran to a bound.
    """
    if start.scaled is None:
        raise InputError(
            f"{start.probabilities.method} has no joint likelihood to fit; track with --method auto, exact, AS or bp"
        )
    targets = random_targets(start, decisions)
    n_looks = int(targets.known.sum())
    if not n_looks:
        raise InputError(
            "no look at random has a verdict about a mother yet; take some: thirty tell a temperature roughly"
        )
    old = start.probabilities
    layer = UncertaintyLayer(old.method, events=EventOffsets())
    movie = ScoredMovie("this movie", start.scaled, targets)
    fit = fit_events(layer, [movie], prior=GaussianPrior.around_zero(WIDTHS))
    with torch.no_grad():
        scaled = layer.tempered(start.scaled)
        found = UncertaintyLayer(old.method, events=EventOffsets()).posterior(scaled)
    low, high = (math.exp(end) for end in fit.certainty.interval(LOG_TEMPERATURE))
    result = replace(
        start,
        probabilities=replace(found, graph=old.graph),
        scaled=scaled,
        selected=_selected(start, scaled),
        temperature=start.temperature * fit.temperature,
        acceptance=None,
        known_false=None,
        calibrated=True,
    )
    return result, Refit(
        n_looks=n_looks,
        temperature=(start.temperature, result.temperature),
        interval=(start.temperature * low, start.temperature * high),
        offsets=fit.offsets,
        expected_errors=(float(start.doubts.error.sum()), float(result.doubts.error.sum())),
        n_changed=int((result.mother != start.mother).sum()),
    )


def _selected(start: TrackingResult, scaled: CandidateGraph) -> NDArray[np.bool_]:
    """The likeliest links; of tracks that were given, those stay where the likeliest ones have not changed."""
    selected = map_links(scaled)
    if not start.tracks_given or start.scaled is None:
        return selected
    before, after = (
        mothers_of(graph, links)
        for graph, links in ((start.scaled, map_links(start.scaled)), (scaled, selected))
    )
    kept = keep_choices(start.mother, before, after, np.zeros(len(after), np.bool_))
    return np.asarray(kept[scaled.daughter.numpy()] == scaled.mother.numpy())


def random_targets(start: TrackingResult, decisions: Sequence[Decision]) -> LinkTargets:
    """Mothers of those daughters who were drawn at random and judged; struck out cells are in no relation."""
    looks, judged = looks_of(start, decisions)
    standing = {one.cell: one for one in decisions if one.verdict != "drawn"}
    cells, by_name = start.detections, start.detections.by_name
    mother, known = np.full(len(cells), -1, np.int64), np.zeros(len(cells), np.bool_)
    bad = {by_name[cell] for cell, one in standing.items() if one.verdict == "bad"}
    for cell in judged[looks.cell[looks.drawn & looks.answered]].tolist():
        one = standing[int(cells.frame_number[cell]), int(cells.name[cell])]
        given = -1 if one.mother_frame is None else by_name[one.mother_frame, one.mother]
        if one.verdict != "bad" and given not in bad:
            mother[cell], known[cell] = given, True
    return LinkTargets(
        torch.from_numpy(mother), torch.from_numpy(known), torch.zeros(len(cells), dtype=torch.bool)
    )
