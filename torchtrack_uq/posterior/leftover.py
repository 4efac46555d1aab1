"""What the K best assignments leave: how much it is, and who gets it."""

from typing import NamedTuple

import torch
from torch import Tensor

from torchtrack_uq.functional import (
    cap_daughters,
    parental_log_softmax,
    plainest_events,
    segment_logsumexp,
    segment_max,
    segment_sum,
)
from torchtrack_uq.functional.assignments import ListedMarginals
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.support import Support


class Leftover(NamedTuple):
    """Posterior mass outside the listed assignments.

    Attributes:
        covered_mass: (P,) proved lower bound on the share of the posterior mass that is listed.
        share: (P,) mass that is given to options outside the list.
    """

    covered_mass: Tensor
    share: Tensor

    @classmethod
    def of(
        cls, graph: CandidateGraph, choices: Choices, support: Support, listed: ListedMarginals
    ) -> "Leftover":
        """Bound what is left, and decide how much of it to give away.

        The share is that of one more assignment as likely as the last one listed, p_K / (1 + p_K), which no
        assignment outside the list exceeds; and no more than what can be left at all. It vanishes where the
        list is complete or falls off steeply. It is not all that may be left: on large ambiguous frames the
        K best cover almost nothing, and AS would turn into SM.
        """
        log_z = _largest_log_z(graph, choices, support, listed)
        covered = torch.exp((listed.log_total - log_z).clamp(max=0.0))
        covered = torch.where(support.complete, torch.ones_like(covered), covered)
        share = torch.minimum(1 - covered, listed.last / (1 + listed.last))
        return cls(covered.detach(), share)


def give_leftover(graph: CandidateGraph, choices: Choices, listed: Tensor, share: Tensor) -> Tensor:
    """Mix the listed marginals with the parental softmax, capped at what mothers can have.

    P = (1 - share) P_listed + share P_capped. The capped softmax expects at most two daughters a mother (one
    if it cannot divide), so that P does too. Frame pairs in which a cell must have a mother or a daughter
    (a score of -inf for having none) that the capped softmax does not give it are left as listed.

    Args:
        graph: Candidate links.
        choices: Its choices.
        listed: (C,) marginals of the listed assignments.
        share: (P,) share of each frame pair.

    Returns:
        (C,) probabilities.
    """
    score, appear, disappear_score, divide_score = choices.split(choices.score)
    log_link, _ = parental_log_softmax(score, graph.daughter, appear)
    capacity = torch.where(divide_score == -torch.inf, 1.0, 2.0).to(score)
    link, null = cap_daughters(log_link.exp(), graph.mother, graph.daughter, capacity)
    disappear, divide = plainest_events(segment_sum(link, graph.mother, graph.n_cells))
    broken = ((appear == -torch.inf) & (null > 1e-12) & choices.is_daughter).nonzero().squeeze(1)
    alone = ((disappear_score == -torch.inf) & (disappear > 0) & choices.is_mother).nonzero().squeeze(1)
    spoilt = torch.cat([graph.problem_of_daughter[broken], graph.problem_of_mother[alone]])
    share = share.index_fill(0, spoilt, 0.0)
    possible = torch.cat([torch.ones_like(link), *_masks(choices)])
    mixed = torch.cat([link, null, disappear, divide]) * possible
    inside = choices.pair.clamp(0, max(choices.n_pairs - 1, 0))
    at_choice = share[inside] if choices.n_pairs else torch.zeros_like(mixed)
    return (1 - at_choice) * listed + at_choice * mixed


def _masks(choices: Choices) -> tuple[Tensor, Tensor, Tensor]:
    is_daughter, is_mother = choices.is_daughter.to(choices.score), choices.is_mother.to(choices.score)
    return is_daughter, is_mother, is_mother


def _largest_log_z(
    graph: CandidateGraph, choices: Choices, support: Support, listed: ListedMarginals
) -> Tensor:
    """(P,) upper bound of log Z: every daughter, and every mother, on its own.

    With any prices q of the mothers' places, L(A) is a sum of terms s_ij - q_i or a_j of the daughters and
    f_i(n) + n q_i of the mothers, with f = (d, 0, v) the score of n daughters. So Z is at most the product over
    daughters of the sum over their options times the product over mothers of their largest term. The optimal
    prices of the MAP make that tight where one assignment dominates. Where no second daughter is likelier than
    a first, every link may also have a mother of its own: q = d and mothers' terms d.
    """
    score, appear, disappear, divide = choices.split(choices.score)
    n, pairs = graph.n_cells, choices.n_pairs
    at = choices.pair[graph.n_links :]
    daughters, mothers = choices.is_daughter, choices.is_mother

    def bound(price: Tensor, of_mother: Tensor) -> Tensor:
        options = segment_logsumexp(score - price[graph.mother], graph.daughter, n, extra=appear)
        return segment_sum(options[daughters], at[:n][daughters], pairs) + segment_sum(
            of_mother[mothers], at[n : 2 * n][mothers], pairs
        )

    # prices were found at some temperature; log-weights of the MAP tell which
    scale = torch.where(support.map_weight != 0, _base_weight(choices, support) / support.map_weight, 1.0)
    of_cell = (
        scale[graph.problem_of_mother.clamp(max=max(pairs - 1, 0))]
        if pairs
        else torch.ones_like(support.price)
    )
    price = (support.price * of_cell).detach()
    own = torch.stack([disappear, price, divide + 2 * price]).amax(0)
    log_z = bound(price, own)
    finite = disappear > -torch.inf
    safe = torch.where(finite, disappear, torch.zeros_like(disappear))
    free = bound(safe, safe)
    convex = finite & (disappear + divide <= 0)
    odd = segment_max((~convex[mothers]).to(score), at[n : 2 * n][mothers], pairs) > 0
    return torch.where(odd, log_z, torch.minimum(log_z, free))


def _base_weight(choices: Choices, support: Support) -> Tensor:
    made = support.base.nonzero().squeeze(1)
    return segment_sum(choices.score.detach()[made], choices.pair[made], choices.n_pairs)
