"""Fit temperature and event scores together, by the joint log-likelihood of the annotated assignments."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchtrack_uq.calibration.calibration_warning import CalibrationWarning
from torchtrack_uq.calibration.event_objective import EventObjective, KnownTruth
from torchtrack_uq.calibration.fit_certainty import FitCertainty
from torchtrack_uq.calibration.gaussian_prior import LOG_TEMPERATURE, GaussianPrior
from torchtrack_uq.calibration.objective import LARGEST, PRIOR_WIDTH, SMALLEST
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
        log_likelihood_before: Joint log-likelihood per daughter before the fit: at T = 1 without offsets, or at the
            mean of the prior that was given.
        log_likelihood_after: The same as fitted.
        n_daughters: Daughters that count.
        n_unreachable: See `FeasibleTruth`.
        n_crowded: See `FeasibleTruth`.
        prior_width: Width of the prior on log T, or None.
        certainty: How sure all that is, and what more annotation would buy.
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
    certainty: FitCertainty


def fit_events(
    layer: UncertaintyLayer,
    movies: Sequence[ScoredMovie],
    *,
    prior: GaussianPrior | None = None,
    prior_width: float | None = PRIOR_WIDTH,
    offset_width: float | None = 10.0,
    coefficient_width: float | None = COEFFICIENT_WIDTH,
    max_steps: int = 60,
) -> EventFit:
    """Fit T and the offsets of appear, disappear, divide and (where links skip frames) miss by L(A_true)/T - log Z.

    LBFGS on these numbers; the gradient is the annotated assignment's counts minus the expected ones.
    Assignments tell only two of the first three offsets apart: every link less is one more cell without mother and one
    daughter less for a mother, so only appear + disappear and disappear + divide change the posterior. Gaussian priors
    on the offsets pick the smallest that fit, and keep finite what too few events leave open. Any daughters may be
    annotated and any links rejected: the likelihood is that of what is known, whatever the others do
    (`log_prob_partial`).

    Args:
        layer: With method "AS", "exact", "auto" or "bp" and `events`; log Z is always that of "auto".
        movies: Annotated movies.
        prior: What other movies say of log T and the offsets (`movie_prior`), from whose mean the fit starts; in place
            of the widths for what it names. With it, thirty daughters are enough.
        prior_width: Width of the prior on log T around 0; None for none.
        offset_width: Width in nats of the priors on the offsets around 0; None for none.
        coefficient_width: Width of the priors that draw the other parameters of an `EventModel` to 0, where it is a
            model of constants; None for none.
        max_steps: Most iterations.

    Warns:
        CalibrationWarning: The fit has not converged, ran to a bound, or, without `prior`, an event was never
            annotated.

    Raises:
        InputError: The layer has no offsets or no joint likelihood, or no daughter is annotated.
    """
    objective = objective_of(layer, movies, prior_width, offset_width, coefficient_width, prior)
    before = objective.values
    try:
        if prior is not None:
            objective.start_at_prior()
        converged = _minimise(list(objective.parameters.values()), objective.loss, max_steps)
        return finish_events(objective, converged)
    except BaseException:  # an interrupted fit leaves the layer as it was
        objective.set(list(before.values()))
        raise


def objective_of(
    layer: UncertaintyLayer,
    movies: Sequence[ScoredMovie],
    prior_width: float | None,
    offset_width: float | None,
    coefficient_width: float | None,
    prior: GaussianPrior | None = None,
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
    known = GaussianPrior.around_zero({}) if prior is None else prior
    objective = EventObjective(layer, movies, known.with_widths({LOG_TEMPERATURE: prior_width, **widths}))
    if prior is None:
        _warn_of_missing_events(movies, objective.truths)
    return objective


def finish_events(objective: EventObjective, converged: bool) -> EventFit:
    """Mark the layer as fitted, and report.

    Warns:
        CalibrationWarning: The fit has not converged, or ran to a bound.
    """
    layer, events = objective.layer, objective.events
    certainty = FitCertainty.of(objective)
    fitted = list(objective.values.values())
    with torch.no_grad():
        final = float(objective.log_likelihood())
        try:
            objective.set([objective.prior.values.get(name, 0.0) for name in objective.parameters])
            initial = float(objective.log_likelihood())
        finally:
            objective.set(fitted)
    layer.scaler.fitted.fill_(True)
    temperature = float(layer.scaler.temperature.detach())
    largest = max(abs(value) for name, value in objective.values.items() if name != LOG_TEMPERATURE)
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
        objective.prior.widths.get(LOG_TEMPERATURE),
        certainty,
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
