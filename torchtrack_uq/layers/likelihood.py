"""Likelihood of annotated links under the uncertainty layer: the losses for training scorers through it."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import segment_sum
from torchtrack_uq.layers.joint_likelihood import JointLikelihood
from torchtrack_uq.layers.uncertainty import UncertaintyLayer
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.truth.feasible import without_daughters, without_lost_fates, without_unknown_fates
from torchtrack_uq.truth.judged import true_log_p
from torchtrack_uq.truth.targets import LinkTargets


@dataclass(frozen=True)
class LayerLoss:
    """A loss, and what it is about.

    Attributes:
        loss: Scalar, nats per daughter, with gradient; 0 where no daughter is left.
        n_daughters: Daughters that count.
        n_unreachable: Known daughters whose true mother the layer gives probability 0: no candidate, or forbidden.
            Treated as not annotated.
        n_crowded: Frame pairs left out because a mother has more than two true daughters, which no assignment has.
        n_impossible: Frame pairs left out because an event that the truth needs is forbidden (-inf).
    """

    loss: Tensor
    n_daughters: int
    n_unreachable: int = 0
    n_crowded: int = 0
    n_impossible: int = 0


def joint_nll(layer: UncertaintyLayer, graph: CandidateGraph, targets: LinkTargets) -> LayerLoss:
    """Joint negative log-likelihood -(L(A)/T - log Z) of the annotated assignments, per daughter.

    Its gradient is marginals minus truth, by every method that sums over assignments. What has no place in an
    assignment of at most two daughters a mother does not make the loss infinite:

    - A frame pair in which a mother has more than two true daughters (possible where frames are skipped) is left out.
    - A daughter that nobody annotated, or whose true mother is no candidate, is summed over: the loss is the likelihood
      of what is known, whatever she does (`log_prob_partial`), but for links that are known to be wrong
      (`LinkTargets.rejected_links`). "AS" has no such likelihood; there she is taken out of her frame pair as a
      daughter.
    - Mothers whose true daughter is no candidate get event scores 0: that they seem to disappear is not held against
      them. With "AS" so do all whose daughters are not all known.

    Args:
        layer: With a method that sums over assignments: "AS", "exact", "auto" or "bp". Its temperature and event
            offsets, if it has any, get gradients too.
        graph: A tracker's scores, with gradient.
        targets: True mothers of the same cells.

    Raises:
        InputError: The method has no joint likelihood, the targets belong to other cells, or the likelihood is NaN.

    Warns:
        LikelihoodBoundWarning: "AS" sums over its list only, so that the loss is too small; said where the list is not
            proved to cover 99 % of the posterior.

    >>> import numpy as np
    >>> from torchtrack_uq.movies.detections import Detections
    >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0], [1], torch.tensor([0.0], requires_grad=True))
    >>> targets = LinkTargets.from_mothers(torch.tensor([-1, 0]), graph.frame)
    >>> found = joint_nll(UncertaintyLayer("exact"), graph, targets)
    >>> found.loss.exp(), found.n_daughters
    (tensor(2., grad_fn=<ExpBackward0>), 1)
    """
    posterior = cast(JointLikelihood, layer.joint_posterior)
    targets = targets.to(graph.device)
    reachable = targets.reachable(graph)
    removed = targets.known & ~reachable
    mother = torch.where(reachable, targets.mother, -1)
    rejected = targets.rejected_links(graph) & ~targets.known[graph.daughter]
    about = reachable.clone()  # daughters of whom anything is known
    if posterior.name == "AS":
        graph = without_unknown_fates(layer.tempered(graph), targets, removed)
        graph = without_daughters(graph, ~reachable)
        log_p = posterior.log_prob(graph, mother)
    else:
        # what is known of the daughters says what is known of their mothers' fates
        graph = without_lost_fates(layer.tempered(graph), targets, removed)
        if bool((reachable | ~graph.is_daughter).all()):  # one sum instead of two
            log_p = posterior.log_prob(graph, mother)
        else:
            log_p = posterior.log_prob_partial(graph, mother, reachable, rejected)
            about[graph.daughter[rejected]] = True
    if bool(torch.isnan(log_p).any()):
        raise InputError("the joint log-likelihood is NaN; are the scores or the temperature too large?")
    n_pairs = len(log_p)
    crowded = torch.zeros(n_pairs, dtype=torch.bool, device=graph.device)
    crowded[graph.problem_of_mother[targets.n_daughters > 2]] = True
    at = graph.problem_of_daughter[graph.is_daughter]
    daughters = segment_sum(reachable[graph.is_daughter].double(), at, n_pairs)
    asked = segment_sum(about[graph.is_daughter].double(), at, n_pairs) > 0
    possible = torch.isfinite(log_p.detach())
    counted = asked & possible & ~crowded
    n_daughters = int(daughters[counted].sum())
    return LayerLoss(
        -log_p[counted].sum() / max(n_daughters, 1),
        n_daughters,
        int(removed.sum()),
        int(crowded.sum()),
        int((asked & ~possible & ~crowded).sum()),
    )


def daughters_nll(layer: UncertaintyLayer, graph: CandidateGraph, targets: LinkTargets) -> LayerLoss:
    """Mean over known daughters of -log P(true mother), with the layer's probabilities by any method.

    Daughters whose true mother the layer gives probability 0 (no candidate; for "AS" without `leftover` also those
    outside the K best) are left out and counted. Mothers with more than two true daughters are no obstacle here.

    Args:
        layer: With a method that takes plain scores, so not "FP" or "FP+A".
        graph: A tracker's scores, with gradient.
        targets: True mothers of the same cells.

    Raises:
        InputError: A method that needs noise, targets that belong to other cells, or a likelihood that is NaN.

    >>> import numpy as np
    >>> from torchtrack_uq.movies.detections import Detections
    >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0], [1], torch.tensor([0.0], requires_grad=True))
    >>> targets = LinkTargets.from_mothers(torch.tensor([-1, 0]), graph.frame)
    >>> daughters_nll(UncertaintyLayer("SM"), graph, targets).loss.exp()
    tensor(2., grad_fn=<ExpBackward0>)
    """
    if layer.perturbation is not None:
        raise InputError(
            f"method {layer.method} needs scores under noise; use a method that takes plain scores"
        )
    targets = targets.to(graph.device)
    removed = targets.known & ~targets.reachable(graph)
    p = layer.posterior(without_unknown_fates(layer.tempered(graph), targets, removed))
    log_p = true_log_p(p, targets)
    if bool(torch.isnan(log_p).any()):
        raise InputError("the probability of a link is NaN; are the scores or the temperature too large?")
    possible = log_p.detach() > -torch.inf
    n_daughters = int(possible.sum())
    loss = -log_p[possible].sum() / max(n_daughters, 1)
    return LayerLoss(loss.to(graph.dtype), n_daughters, n_unreachable=len(log_p) - n_daughters)
