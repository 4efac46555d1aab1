"""What event scores are fitted by: the joint log-likelihood of what is annotated, with priors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from torchtrack_uq.calibration.scored import ScoredMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import segment_sum
from torchtrack_uq.layers import AssignmentPosterior, UncertaintyLayer
from torchtrack_uq.layers.assignment_posterior import POSTERIOR_METHODS
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.truth.feasible import FeasibleTruth
from torchtrack_uq.truth.targets import LinkTargets


@dataclass(frozen=True, eq=False)
class KnownTruth:
    """What the fit of a movie is held against.

    Attributes:
        truth: The annotated assignment, as near as a feasible one comes to it.
        known: (N,) bool, daughters whose mothers count.
        whole: (P,) bool, problems of which all daughters count.
        partly: (P,) bool, problems of which only some do; none between pairs of frames, which are left out instead.
        n_daughters: Daughters of both.
    """

    truth: FeasibleTruth
    known: Tensor
    whole: Tensor
    partly: Tensor
    n_daughters: int

    @classmethod
    def of(cls, graph: CandidateGraph, targets: LinkTargets) -> "KnownTruth":
        """Of a movie.

        With gaps, it is one problem: a daughter whom nobody annotated, or who needs a forbidden event, must not cost
        all the others, and is summed over. A pair of frames with such a daughter is left out.
        """
        truth = FeasibleTruth.of(graph, targets)
        known = targets.known.to(graph.device) & graph.is_daughter
        if graph.max_gap > 1:
            mother = truth.mother
            known = known & ~((mother < 0) & (graph.appear == -torch.inf))
            n_daughters = torch.bincount(mother[mother >= 0], minlength=graph.n_cells)
            too_many = (n_daughters > 1) & (graph.divide == -torch.inf)
            known = known & ~((mother >= 0) & too_many[mother.clamp(min=0)])
        at = graph.problem_of_daughter[graph.is_daughter]
        missing = segment_sum((~known[graph.is_daughter]).double(), at, graph.n_problems)
        counted = segment_sum(known[graph.is_daughter].double(), at, graph.n_problems)
        whole = missing == 0
        partly = (counted > 0) & ~whole if graph.max_gap > 1 else torch.zeros_like(whole)
        return cls(truth, known, whole, partly, int(counted[whole | partly].sum()))


class EventObjective:
    """Mean joint log-likelihood of what is annotated, over all movies, and the loss that a fit makes small.

        loss = (1/n) [ -sum over problems of (L(A_true)/T - log Z) + sum over parameters p of (p - p0)^2 / (2 w_p^2) ]

    Where the links of a movie skip frames and not all of its daughters are known, it is log Z given those that are,
    minus log Z (`AssignmentPosterior.log_prob_partial`).

    Args:
        layer: With `events` and a method that sums over assignments; log Z is always that of "auto".
        movies: Annotated movies.
        prior_width: Width of the prior on log T; None for none.
        widths: Widths of the priors around 0 on the parameters of `layer.events` by name; None for none.

    Attributes:
        parameters: log T, and by name those of `layer.events` that these movies say something about.
        n_daughters: Daughters n that count.
        n_unreachable: See `FeasibleTruth`.
        n_crowded: See `FeasibleTruth`.

    Raises:
        InputError: The layer has no event scores or no joint likelihood, or nothing is annotated completely enough.
    """

    def __init__(
        self,
        layer: UncertaintyLayer,
        movies: Sequence[ScoredMovie],
        prior_width: float | None,
        widths: Mapping[str, float | None],
    ) -> None:
        if layer.events is None or not layer.posterior.sums_assignments:
            raise InputError(
                f"fit_events needs UncertaintyLayer(method, events=EventOffsets()) with method one of "
                f"{', '.join(POSTERIOR_METHODS)}; got method {layer.method} "
                f"{'without' if layer.events is None else 'with'} events"
            )
        self.layer, self.events, self.movies = layer, layer.events, movies
        self.prior_width = prior_width
        self.truths = [KnownTruth.of(movie.graph, movie.targets) for movie in movies]
        self.n_daughters = sum(truth.n_daughters for truth in self.truths)
        if self.n_daughters == 0:
            raise InputError(
                "no frame pair is annotated completely: event scores need all daughters of a frame; "
                "fit the temperature alone"
            )
        self.n_unreachable = sum(known.truth.n_unreachable for known in self.truths)
        self.n_crowded = sum(known.truth.n_crowded for known in self.truths)
        with_gaps = any(movie.graph.max_gap > 1 for movie in movies)
        self.log_temperature = layer.scaler.raw_temperature
        self.parameters = {
            name: parameter
            for name, parameter in layer.events.named_parameters()
            if name != "miss" or with_gaps
        }
        self._widths, self._posterior = widths, AssignmentPosterior("auto")

    def log_likelihood(self) -> Tensor:
        """Mean over daughters, in nats, at the layer's present temperature and event scores; with gradient."""
        total = torch.zeros((), dtype=torch.float64)
        for movie, known in zip(self.movies, self.truths, strict=True):
            graph, mother = self.layer.tempered(movie.graph), known.truth.mother
            parts = []
            if bool(known.whole.any()):
                parts.append((self._posterior.log_prob(graph, mother), known.whole))
            if bool(known.partly.any()):
                parts.append((self._posterior.log_prob_partial(graph, mother, known.known), known.partly))
            for found, counts in parts:
                total = total + found[counts & (found > -torch.inf)].double().sum().cpu()
        return total / self.n_daughters

    def loss(self) -> Tensor:
        """Minus the likelihood, plus the priors; with gradient in log T and `parameters`."""
        value = -self.log_likelihood()
        away = {name: (p * 1.0).cpu() for name, p in self.parameters.items()}
        by_width = groupby(away, key=self._widths.get)
        groups = [(width, [away[name] for name in names]) for width, names in by_width]
        for width, group in [(self.prior_width, [(self.log_temperature * 1.0).cpu()]), *groups]:
            if width is not None:
                value = value + sum(p**2 for p in group) / (2 * width**2 * self.n_daughters)
        return value
