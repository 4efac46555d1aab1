"""Likelihoods of whole assignments, and of what is known of them, for methods that sum over assignments."""

from typing import ClassVar

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import log_weight
from torchtrack_uq.layers.method import Method
from torchtrack_uq.layers.uncompiled import uncompiled
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.given import given_mothers
from torchtrack_uq.posterior.leftover import Leftover
from torchtrack_uq.posterior.likelihood_bound import warn_of_bound
from torchtrack_uq.posterior.summed import Summed
from torchtrack_uq.posterior.support import Support, choices_made, log_z_with, weigh_listed


class JointLikelihood(Method):
    """A method with log Z, and so with likelihoods."""

    sums_assignments: ClassVar[bool] = True

    def support(self, graph: CandidateGraph) -> Support:
        """The K best assignments of every frame pair, for methods that list these."""
        raise NotImplementedError

    def _lists_pairs(self, graph: CandidateGraph) -> bool:
        """Whether Z is that of the K best assignments of every frame pair, see `support`."""
        raise NotImplementedError

    def _sum(self, graph: CandidateGraph, choices: Choices, support: Support | None) -> Summed:
        raise NotImplementedError

    @uncompiled
    def log_prob(self, graph: CandidateGraph, mother: Tensor, support: Support | None = None) -> Tensor:
        """Joint log-likelihood L(A) - log Z of an assignment: the structured loss for training scorers.

        Its gradient is the difference between the assignment and the marginals. With "AS", Z is that of the K
        best and of the assignment itself, a lower bound: a `LikelihoodBoundWarning` says where these are not proved to
        cover 99 % of the posterior. With "bp", log Z is Bethe's estimate.

        Args:
            graph: Candidate links, scores divided by the temperature.
            mother: (N,) int64, mother of each cell, or -1 for none.
            support: As for `forward`.

        Returns:
            (P,) log-probability of each problem (frame pair, or movie with gaps), in the dtype of the scores; -inf
            where the assignment needs a link that is no candidate, a third daughter, or a forbidden event.

        Raises:
            InputError: `mother` has another shape than (N,) or names cells that do not exist.

        >>> import numpy as np
        >>> from torchtrack_uq import AssignmentPosterior, Detections
        >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
        >>> graph = CandidateGraph.from_links(cells, [0], [1], [0.0])
        >>> AssignmentPosterior("exact").log_prob(graph, torch.tensor([-1, 0])).exp()
        tensor([0.5000])
        """
        choices = Choices.of(graph)
        made, feasible = choices_made(graph, choices, mother)
        weight = log_weight(choices.score, made, choices.pair, choices.n_pairs)
        with torch.autocast(choices.score.device.type, enabled=False):
            if self._lists_pairs(graph):
                support = self.support(graph) if support is None else support.to(graph.device)
                log_z = log_z_with(choices, support, made, weight)
                covered = Leftover.of(graph, choices, support, weigh_listed(choices, support)).covered_mass
                warn_of_bound(covered, feasible)
            else:
                summed = self._sum(graph, choices, None)
                log_z = summed.log_z
                if self.name == "AS":
                    warn_of_bound(summed.covered_mass, feasible)
        return (weight - log_z).masked_fill(~feasible, -torch.inf).to(graph.dtype)

    @uncompiled
    def log_prob_partial(
        self, graph: CandidateGraph, mother: Tensor, known: Tensor, rejected: Tensor | None = None
    ) -> Tensor:
        """Log-likelihood of what is known, whatever the other daughters do: log Z given that, minus log Z.

        Exact where both sums are, needs no complete frame, and its gradient is a difference of marginals. With all
        daughters known it is `log_prob`. That a mother has certain daughters and no other is said by these daughters
        being known and the rest of her links rejected.

        Args:
            graph: Candidate links, scores divided by the temperature.
            mother: (N,) int64, mother of each cell, -1 for none; means nothing where it is not known.
            known: (N,) bool, the daughters whose mothers are known.
            rejected: (E,) bool, candidate links that are known to be wrong; None for none.

        Returns:
            (P,) log-probability of what is known of each problem, 0 where nothing is; -inf where it needs a link that
            is no candidate or rejected, a third daughter, or a forbidden event.

        Raises:
            InputError: Method "AS", whose lists bound both sums from below and their difference not at all; or what
                does not fit the graph.

        >>> import numpy as np
        >>> from torchtrack_uq import AssignmentPosterior, Detections
        >>> cells = Detections.from_points(np.array([0, 1, 1]), np.zeros((3, 2)))
        >>> graph = CandidateGraph.from_links(cells, [0, 0], [1, 2], [0.0, 0.0], divide=-torch.inf)
        >>> known = torch.tensor([False, True, False])
        >>> AssignmentPosterior("exact").log_prob_partial(graph, torch.tensor([-1, 0, -1]), known).exp()
        tensor([0.3333])
        """
        if self.name == "AS":
            raise InputError(
                "method AS has no likelihood of some daughters: its lists bound both sums from below; use method auto"
            )
        given, feasible = given_mothers(graph, mother, known, rejected)
        choices = Choices.of(graph)
        with torch.autocast(choices.score.device.type, enabled=False):
            log_z = self._sum(graph, choices, None).log_z
            log_given = self._sum(given, Choices.of(given), None).log_z
        return (log_given - log_z).masked_fill(~feasible, -torch.inf).to(graph.dtype)
