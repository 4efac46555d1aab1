"""Fit temperature and event scores together, by the joint log-likelihood of the annotated assignments."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchtrack_uq.calibration.objective import LARGEST, PRIOR_WIDTH, SMALLEST, CalibrationWarning
from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers import AssignmentPosterior, UncertaintyLayer
from torchtrack_uq.layers.assignment_posterior import POSTERIOR_METHODS
from torchtrack_uq.truth.feasible import FeasibleTruth

LARGEST_OFFSET = 20.0  # nats; beyond it an event is impossible or certain


@dataclass(frozen=True)
class EventFit:
    """A temperature and event offsets, fitted together.

    Attributes:
        temperature: T.
        offsets: Fitted offsets of appear, disappear and divide (nats, at temperature 1).
        log_likelihood_before: Joint log-likelihood per daughter at T = 1 without offsets.
        log_likelihood_after: The same with them.
        n_daughters: Daughters in the frame pairs that were used.
        n_unreachable: See `FeasibleTruth`.
        n_crowded: See `FeasibleTruth`.
        prior_width: Width of the prior on log T, or None.
    """

    temperature: float
    offsets: dict[str, float]
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
    max_steps: int = 60,
) -> EventFit:
    """Fit T and the offsets of appear, disappear, divide and, over gaps, miss by L(A_true)/T - log Z.

    LBFGS on these numbers; the gradient is the annotated assignment's counts minus the expected ones. Assignments
    tell only two of the three offsets apart: every link less is one more cell without mother and one daughter less
    for a mother, so only appear + disappear and disappear + divide change the posterior. Gaussian priors on the
    offsets pick the smallest that fit, and keep finite what too few events leave open. A movie whose links skip frames
    is one assignment; where not all of its daughters are annotated, the likelihood is that of those that are,
    whatever the others do (`log_prob_partial`).

    Args:
        layer: With method "AS", "exact", "auto" or "bp" and `events`; log Z is always that of "auto".
        movies: Annotated movies. Frame pairs with daughters that are not annotated are left out, but not movies whose
            links skip frames.
        prior_width: Width of the prior on log T; None for none.
        offset_width: Width in nats of the priors on the offsets; None for none.
        max_steps: Most iterations.

    Warns:
        CalibrationWarning: The fit has not converged, ran to a bound, or an event was never annotated.

    Raises:
        InputError: The layer has no offsets or no joint likelihood, or no frame pair is annotated completely.
    """
    if layer.events is None or not layer.posterior.sums_assignments:
        raise InputError(
            f"fit_events needs UncertaintyLayer(method, events=EventOffsets()) with method one of "
            f"{', '.join(POSTERIOR_METHODS)}; got method {layer.method} "
            f"{'without' if layer.events is None else 'with'} events"
        )
    truths = [FeasibleTruth.of(movie.graph, movie.targets) for movie in movies]
    n_daughters = sum(_n_used(movie, truth) for movie, truth in zip(movies, truths, strict=True))
    if n_daughters == 0:
        raise InputError(
            "no frame pair is annotated completely: event scores need all daughters of a frame; "
            "fit the temperature alone"
        )
    _warn_of_missing_events(movies, truths)
    posterior = AssignmentPosterior("auto")
    parameters = [layer.scaler.raw_temperature, *layer.events.parameters()]
    before = [p.detach().clone() for p in parameters]

    def log_likelihood() -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for movie, truth in zip(movies, truths, strict=True):
            graph = layer.tempered(movie.graph)
            if graph.max_gap > 1 and not truth.complete.all():
                found = posterior.log_prob_partial(graph, truth.mother, movie.targets.known.to(graph.device))
                used = found > -torch.inf
            else:
                found = posterior.log_prob(graph, truth.mother)
                used = truth.complete & (found > -torch.inf)
            total = total + found[used].double().sum().cpu()
        return total / n_daughters

    def loss() -> Tensor:
        value = -log_likelihood()
        for width, group in ((prior_width, parameters[:1]), (offset_width, parameters[1:])):
            if width is not None:
                value = value + sum((p * 1.0).cpu() ** 2 for p in group) / (2 * width**2 * n_daughters)
        return value

    try:
        after = _minimise(parameters, loss, max_steps)
        with torch.no_grad():
            final = float(log_likelihood())
            fitted = [p.clone() for p in parameters]
            layer.scaler.temperature = 1.0
            for p in parameters[1:]:
                p.zero_()
            initial = float(log_likelihood())
            for p, value in zip(parameters, fitted, strict=True):
                p.copy_(value)
    except BaseException:  # an interrupted fit leaves the layer as it was
        with torch.no_grad():
            for p, value in zip(parameters, before, strict=True):
                p.copy_(value)
        raise
    layer.scaler.fitted.fill_(True)
    temperature = float(layer.scaler.temperature.detach())
    largest = max(map(abs, layer.events.values.values()))
    if not after or not SMALLEST < temperature < LARGEST or largest > LARGEST_OFFSET:
        warnings.warn(
            f"fitting event scores ended at T = {temperature:.3g} and offsets {layer.events.values}"
            f"{'' if after else ', without converging'}: check them, or fit the temperature alone",
            CalibrationWarning,
            stacklevel=2,
        )
    return EventFit(
        temperature,
        layer.events.values,
        initial,
        final,
        n_daughters,
        sum(truth.n_unreachable for truth in truths),
        sum(truth.n_crowded for truth in truths),
        prior_width,
    )


def _n_used(movie: ScoredMovie, truth: FeasibleTruth) -> int:
    graph = movie.graph
    if graph.max_gap > 1:
        return int((movie.targets.known.to(graph.device) & graph.is_daughter).sum())
    return int(truth.complete.to(torch.int64)[graph.problem_of_daughter[graph.is_daughter]].sum())


def _warn_of_missing_events(movies: Sequence[ScoredMovie], truths: Sequence[FeasibleTruth]) -> None:
    seen = torch.zeros(4, dtype=torch.int64)
    for movie, truth in zip(movies, truths, strict=True):
        graph = movie.graph
        last = max(graph.n_problems - 1, 0)
        if graph.max_gap == 1:
            as_daughter = truth.complete[graph.problem_of_daughter.clamp(min=0)] & graph.is_daughter
            as_mother = truth.complete[graph.problem_of_mother.clamp(max=last)] & graph.is_mother
        else:
            as_daughter = movie.targets.known.to(graph.device) & graph.is_daughter
            as_mother = movie.targets.mother_known.to(graph.device) & graph.is_mother
        n_daughters = torch.bincount(truth.mother[truth.mother >= 0], minlength=graph.n_cells)
        since = graph.frame - graph.frame[truth.mother.clamp(min=0)]
        events = (
            as_daughter & (truth.mother < 0),
            as_mother & (n_daughters == 0),
            as_mother & (n_daughters == 2),
            as_daughter & (truth.mother >= 0) & (since > 1),
        )
        seen += torch.stack([event.sum() for event in events]).cpu()
    names = ("appears", "disappears", "divides", "was missed")
    over_gaps = any(movie.graph.max_gap > 1 for movie in movies)
    if missing := [name for name, n in zip(names[: 3 + over_gaps], seen.tolist(), strict=False) if not n]:
        warnings.warn(
            f"no annotated cell {', or '.join(missing)}: what that costs is only as low as the prior says; annotate "
            "frames in which it happens, or fit the temperature alone",
            CalibrationWarning,
            stacklevel=3,
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
