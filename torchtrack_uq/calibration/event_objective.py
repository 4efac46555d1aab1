"""What event scores are fitted by: the joint log-likelihood of what is annotated, with priors."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchtrack_uq.calibration.gaussian_prior import LOG_TEMPERATURE, GaussianPrior
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
        rejected: (E,) bool, candidate links that are known to be wrong.
        whole: (P,) bool, problems (pairs of frames, or a movie with gaps) of which all daughters count.
        partly: (P,) bool, problems of which only some do, or some links are rejected.
        n_daughters: Daughters of both.
    """

    truth: FeasibleTruth
    known: Tensor
    rejected: Tensor
    whole: Tensor
    partly: Tensor
    n_daughters: int

    @classmethod
    def of(cls, graph: CandidateGraph, targets: LinkTargets) -> "KnownTruth":
        """Of a movie.

        A daughter whom nobody annotated, or who needs a forbidden event, must not cost all the others of her problem,
        and is summed over; so is one whom rejections leave no option at all.
        """
        truth = FeasibleTruth.of(graph, targets)
        mother = truth.mother
        known = targets.known.to(graph.device) & graph.is_daughter
        known = known & ~((mother < 0) & (graph.appear == -torch.inf))
        n_daughters = torch.bincount(mother[mother >= 0], minlength=graph.n_cells)
        too_many = (n_daughters > 1) & (graph.divide == -torch.inf)
        known = known & ~((mother >= 0) & too_many[mother.clamp(min=0)])
        rejected = targets.rejected_links(graph) & ~targets.known.to(graph.device)[graph.daughter]
        open_links = ~rejected & (graph.score > -torch.inf)
        stuck = (graph.appear == -torch.inf) & (
            segment_sum(open_links.double(), graph.daughter, len(mother)) == 0
        )
        rejected = rejected & ~stuck[graph.daughter]
        at = graph.problem_of_daughter[graph.is_daughter]
        missing = segment_sum((~known[graph.is_daughter]).double(), at, graph.n_problems)
        counted = segment_sum(known[graph.is_daughter].double(), at, graph.n_problems)
        whole = missing == 0
        partly = counted > 0
        partly[graph.problem_of_daughter[graph.daughter[rejected]]] = True
        partly = partly & ~whole
        return cls(truth, known, rejected, whole, partly, int(counted[whole | partly].sum()))


class EventObjective:
    """Mean joint log-likelihood of what is annotated, over all movies, and the loss that a fit makes small.

        loss = (1/n) [ -sum over problems of (L(A_true)/T - log Z) + (p - m)' C^-1 (p - m) / 2 ]

    with the parameters p and a Gaussian prior of mean m and covariance C.

    Of problems of which not everything is known, it is log Z given what is, minus log Z
    (`AssignmentPosterior.log_prob_partial`).

    Args:
        layer: With `events` and a method that sums over assignments; log Z is always that of "auto".
        movies: Annotated movies.
        prior: Of log T and the parameters of `layer.events` by name; those that it does not name have none.

    Attributes:
        parameters: log T under `LOG_TEMPERATURE`, and those of `layer.events` that these movies say something about.
        n_daughters: Daughters n that count.
        n_unreachable: See `FeasibleTruth`.
        n_crowded: See `FeasibleTruth`.

    Raises:
        InputError: The layer has no event scores or no joint likelihood, or no daughter is annotated.
    """

    def __init__(
        self,
        layer: UncertaintyLayer,
        movies: Sequence[ScoredMovie],
        prior: GaussianPrior,
    ) -> None:
        if layer.events is None or not layer.posterior.sums_assignments:
            raise InputError(
                f"fit_events needs UncertaintyLayer(method, events=EventOffsets()) with method one of "
                f"{', '.join(POSTERIOR_METHODS)}; got method {layer.method} "
                f"{'without' if layer.events is None else 'with'} events"
            )
        self.layer, self.events, self.movies = layer, layer.events, movies
        self.truths = [KnownTruth.of(movie.graph, movie.targets) for movie in movies]
        self.n_daughters = sum(truth.n_daughters for truth in self.truths)
        if self.n_daughters == 0:
            raise InputError(
                "no daughter is annotated whose mother, or lack of one, the candidate links allow: there is nothing "
                "to fit event scores to"
            )
        self.n_unreachable = sum(known.truth.n_unreachable for known in self.truths)
        self.n_crowded = sum(known.truth.n_crowded for known in self.truths)
        with_gaps = any(movie.graph.max_gap > 1 for movie in movies)
        self.parameters = {LOG_TEMPERATURE: layer.scaler.raw_temperature} | {
            name: parameter
            for name, parameter in layer.events.named_parameters()
            if name != "miss" or with_gaps
        }
        self.prior, self._posterior = prior.of(list(self.parameters)), AssignmentPosterior("auto")

    def log_likelihood(self) -> Tensor:
        """Mean over daughters, in nats, at the layer's present temperature and event scores; with gradient."""
        total = torch.zeros((), dtype=torch.float64)
        for movie, known in zip(self.movies, self.truths, strict=True):
            graph, mother = self.layer.tempered(movie.graph), known.truth.mother
            if bool(
                known.partly.any()
            ):  # of whole problems it is the same, by the two sums that the others need
                found = self._posterior.log_prob_partial(graph, mother, known.known, known.rejected)
            else:
                found = self._posterior.log_prob(graph, mother)
            counts = (known.whole | known.partly) & (found > -torch.inf)
            total = total + found[counts].double().sum().cpu()
        return total / self.n_daughters

    def loss(self) -> Tensor:
        """Minus the likelihood and the logarithm of the prior, a daughter; with gradient in `parameters`."""
        return -self.log_likelihood() + self.prior.penalty(self.parameters) / self.n_daughters

    def start_at_prior(self) -> None:
        """Give the layer the prior's mean, where there is one of a parameter."""
        self.set([self.prior.values.get(name, value) for name, value in self.values.items()])

    @torch.no_grad()
    def set(self, values: Sequence[float]) -> None:
        """Give the layer these values of `parameters`, in their order."""
        for parameter, value in zip(self.parameters.values(), values, strict=True):
            parameter.fill_(value)

    @property
    def values(self) -> dict[str, float]:
        """What `parameters` are now."""
        return {name: float(p.detach()) for name, p in self.parameters.items()}
