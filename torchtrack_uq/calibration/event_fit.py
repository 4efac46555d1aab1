"""Fit temperature and event scores together, by the joint log-likelihood of the annotated assignments."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchtrack_uq.calibration.event_objective import EventObjective, KnownTruth
from torchtrack_uq.calibration.objective import LARGEST, PRIOR_WIDTH, SMALLEST, CalibrationWarning
from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers import EventModel, UncertaintyLayer
from torchtrack_uq.layers.event_offsets import OFFSETS

LARGEST_OFFSET = 20.0  # nats; beyond it an event is impossible or certain
COEFFICIENT_WIDTH = 1.0
"""Nats, and nats a doubling. On movies left out (distance tracker, links to two frames) the NLL is .022 lower than with
constants on average and in 26 of 36 cases, but higher on Fluo-N2DH-SIM+ (experiments/results/event_model.md). Other
widths were not measured enough to choose by."""
BORDER_WIDTH_WIDTH = 0.5  # of the logarithm of what is 1 reach


@dataclass(frozen=True)
class EventFit:
    """A temperature and event offsets, fitted together.

    Attributes:
        temperature: T.
        offsets: Fitted offsets of appear, disappear, divide and, with gaps, miss (nats, at temperature 1).
        coefficients: The other parameters of an `EventModel`; None where the layer has constants.
        log_likelihood_before: Joint log-likelihood per daughter at T = 1 without offsets.
        log_likelihood_after: The same with them.
        n_daughters: Daughters in the frame pairs, or movies, that were used.
        n_unreachable: See `FeasibleTruth`.
        n_crowded: See `FeasibleTruth`.
        prior_width: Width of the prior on log T, or None.
    """

    temperature: float
    offsets: dict[str, float]
    coefficients: dict[str, float] | None
    log_likelihood_before: float
    log_likelihood_after: float
    n_daughters: int
    n_unreachable: int
    n_crowded: int
    prior_width: float | None


def fit_events(
    layer: UncertaintyLayer,
    movies: Sequence[ScoredMovie],
    *,
    prior_width: float | None = PRIOR_WIDTH,
    offset_width: float | None = 10.0,
    coefficient_width: float | None = COEFFICIENT_WIDTH,
    max_steps: int = 60,
) -> EventFit:
    """Fit T and the offsets of appear, disappear, divide and (where links skip frames) miss by L(A_true)/T - log Z.

    LBFGS on these numbers; the gradient is the annotated assignment's counts minus the expected ones.
    Assignments tell only two of the first three offsets apart: every link less is one more cell without mother and one
    daughter less for a mother, so only appear + disappear and disappear + divide change the posterior. Gaussian priors
    on the offsets pick the smallest that fit, and keep finite what too few events leave open. A movie whose links skip
    frames is one assignment; where not all of its daughters are annotated, the likelihood is that of those that are,
    whatever the others do (`log_prob_partial`).

    Args:
        layer: With method "AS", "exact", "auto" or "bp" and `events`; log Z is always that of "auto".
        movies: Annotated movies. Frame pairs with daughters that are not annotated are left out; in movies whose links
            skip frames such daughters are summed over.
        prior_width: Width of the prior on log T; None for none.
        offset_width: Width in nats of the priors on the offsets; None for none.
        coefficient_width: Width of the priors that draw the other parameters of an `EventModel` to 0, where it is a
            model of constants; None for none.
        max_steps: Most iterations.

    Warns:
        CalibrationWarning: The fit has not converged, ran to a bound, or an event was never annotated.

    Raises:
        InputError: The layer has no offsets or no joint likelihood, or no frame pair is annotated completely.
    """
    objective = objective_of(layer, movies, prior_width, offset_width, coefficient_width)
    parameters = [objective.log_temperature, *objective.parameters.values()]
    before = [p.detach().clone() for p in parameters]
    try:
        converged = _minimise(parameters, objective.loss, max_steps)
        return finish_events(objective, converged)
    except BaseException:  # an interrupted fit leaves the layer as it was
        with torch.no_grad():
            for p, value in zip(parameters, before, strict=True):
                p.copy_(value)
        raise


def objective_of(
    layer: UncertaintyLayer,
    movies: Sequence[ScoredMovie],
    prior_width: float | None,
    offset_width: float | None,
    coefficient_width: float | None,
) -> EventObjective:
    """What `fit_events` makes small, with its priors.

    Warns:
        CalibrationWarning: An event was never annotated.

    Raises:
        InputError: As `fit_events`.
    """
    names = [] if layer.events is None else [name for name, _ in layer.events.named_parameters()]
    widths = {name: offset_width if name in OFFSETS else coefficient_width for name in names}
    if "log_border_width" in widths and coefficient_width is not None:
        widths["log_border_width"] = BORDER_WIDTH_WIDTH
    objective = EventObjective(layer, movies, prior_width, widths)
    _warn_of_missing_events(movies, objective.truths)
    return objective


@torch.no_grad()
def finish_events(objective: EventObjective, converged: bool) -> EventFit:
    """Mark the layer as fitted, and report.

    Warns:
        CalibrationWarning: The fit has not converged, or ran to a bound.
    """
    layer, events = objective.layer, objective.events
    parameters = [objective.log_temperature, *objective.parameters.values()]
    final = float(objective.log_likelihood())
    fitted = [p.clone() for p in parameters]
    try:
        for p in parameters:  # the temperature's is log T
            p.zero_()
        initial = float(objective.log_likelihood())
    finally:
        for p, value in zip(parameters, fitted, strict=True):
            p.copy_(value)
    layer.scaler.fitted.fill_(True)
    temperature = float(layer.scaler.temperature)
    largest = max(abs(float(p)) for p in objective.parameters.values())
    if not converged or not SMALLEST < temperature < LARGEST or largest > LARGEST_OFFSET:
        warnings.warn(
            f"fitting event scores ended at T = {temperature:.3g} and offsets {events.values}"
            f"{'' if converged else ', without converging'}: check them, or fit the temperature alone",
            CalibrationWarning,
            stacklevel=3,
        )
    return EventFit(
        temperature,
        events.values,
        events.coefficients if isinstance(events, EventModel) else None,
        initial,
        final,
        objective.n_daughters,
        objective.n_unreachable,
        objective.n_crowded,
        objective.prior_width,
    )


def _warn_of_missing_events(movies: Sequence[ScoredMovie], truths: Sequence[KnownTruth]) -> None:
    seen = torch.zeros(4, dtype=torch.int64)
    for movie, known in zip(movies, truths, strict=True):
        graph, mother = movie.graph, known.truth.mother
        last = max(graph.n_problems - 1, 0)
        used = known.whole | known.partly
        as_daughter = used[graph.problem_of_daughter.clamp(min=0)] & graph.is_daughter & known.known
        as_mother = used[graph.problem_of_mother.clamp(max=last)] & graph.is_mother
        fate_known = movie.targets.mother_known.to(graph.device) if graph.max_gap > 1 else as_mother
        n_daughters = torch.bincount(mother[mother >= 0], minlength=graph.n_cells)
        skipped = graph.frame - graph.frame[mother.clamp(min=0)] > 1
        events = (
            as_daughter & (mother < 0),
            as_mother & (n_daughters == 0) & fate_known,
            as_mother & (n_daughters == 2),
            as_daughter & (mother >= 0) & skipped,
        )
        seen += torch.stack([event.sum() for event in events]).cpu()
    names = ["appears", "disappears", "divides"]
    if any(movie.graph.max_gap > 1 for movie in movies):
        names.append("was missed")
    if missing := [name for name, n in zip(names, seen, strict=False) if not n]:
        warnings.warn(
            f"no annotated cell {', or '.join(missing)}: what that costs is only as low as the prior says; annotate "
            "frames in which it happens, or fit the temperature alone",
            CalibrationWarning,
            stacklevel=4,
        )


def _minimise(parameters: Sequence[Tensor], loss: Callable[[], Tensor], max_steps: int) -> bool:
    """LBFGS; whether it converged."""
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=max_steps,
        tolerance_grad=1e-5,
        tolerance_change=1e-9,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        if not math.isfinite(float(value.detach())):
            raise InputError(
                "the joint likelihood is not finite: a true event has score -inf in every frame pair"
            )
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    done = int(optimiser.state[parameters[0]]["n_iter"])
    return done < max_steps
