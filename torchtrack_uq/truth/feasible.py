"""What becomes of truths that no assignment on the candidate links holds.

A daughter's true mother may be no candidate (she moved too far), or have more than two true daughters (in skipped
frames she divided twice). Two rules stand here beside each other, because two things are asked:

- Event scores are fitted to what a tracker *says* about such a daughter. All that is left for it to say is "no mother",
  so she counts as having none (`FeasibleTruth`): an appearance that is the search range's fault costs what it costs.
- A scorer is trained on what it *should* say. That she has no mother is not true, and a scorer must not learn it, so
  she is taken out of her frame pair, as a daughter only (`without_daughters`), and the fates of mothers who lose a
  daughter by it are not held against them (`without_unknown_fates`).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchtrack_uq.functional import segment_sum
from torchtrack_uq.functional.tensor_fields import TensorFields
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import NO_MOTHER
from torchtrack_uq.truth.targets import LinkTargets


@dataclass(frozen=True, eq=False)
class FeasibleTruth(TensorFields):
    """The annotated assignment, as near as a feasible one on the candidate links comes to it.

    Attributes:
        mother: (N,) int64, -1 for none.
        complete: (P,) bool, problems (frame pairs, or movies) whose daughters are all annotated; only these have a
            joint likelihood.
        n_unreachable: Daughters whose true mother is no candidate; they count as having none, which is what is
            left for a tracker to say.
        n_crowded: Daughters beyond their mother's second (in skipped frames she may have had more); likewise.
    """

    mother: Tensor
    complete: Tensor
    n_unreachable: int
    n_crowded: int

    @classmethod
    def of(cls, graph: CandidateGraph, targets: LinkTargets) -> "FeasibleTruth":
        """Of each crowded mother's daughters, the two with the highest scores keep her."""
        link = targets.true_link(graph) & (graph.score > -torch.inf)
        chosen = link.nonzero().squeeze(1)
        # best first within a mother: a stable sort by mother after one by score
        order = torch.argsort(graph.score.detach()[chosen], descending=True, stable=True)
        order = order[torch.argsort(graph.mother[chosen[order]], stable=True)]
        ranked = chosen[order]
        mothers = graph.mother[ranked]
        first = torch.searchsorted(mothers, mothers)
        kept = ranked[torch.arange(len(ranked), device=ranked.device) - first < 2]
        mother = torch.full((graph.n_cells,), NO_MOTHER, dtype=torch.int64, device=graph.device)
        mother[graph.daughter[kept]] = graph.mother[kept]
        known = targets.known.to(graph.device)
        missing = ((~known) & graph.is_daughter).double()
        at = graph.problem_of_daughter.clamp(min=0)
        unknown = segment_sum(missing, at, max(graph.n_problems, 1))[: graph.n_problems]
        n_linked = int((known & (targets.mother.to(graph.device) >= 0)).sum())
        return cls(mother, unknown == 0, n_linked - len(chosen), len(chosen) - len(kept))


def without_unknown_fates(graph: CandidateGraph, targets: LinkTargets, removed: Tensor) -> CandidateGraph:
    """Event scores 0 for mothers of whom it is not known how many daughters they have."""
    return without_lost_fates(_with_fates(graph, targets.mother_known), targets, removed)


def without_lost_fates(graph: CandidateGraph, targets: LinkTargets, removed: Tensor) -> CandidateGraph:
    """Event scores 0 for the true mothers of removed daughters: they seem to have fewer than they do."""
    fate = torch.ones_like(targets.mother_known)
    lost = targets.mother[removed]
    fate[lost[lost >= 0]] = False
    return _with_fates(graph, fate)


def _with_fates(graph: CandidateGraph, fate: Tensor) -> CandidateGraph:
    return replace(
        graph,
        disappear=torch.where(fate, graph.disappear, 0.0),
        divide=torch.where(fate, graph.divide, 0.0),
    )


def without_daughters(graph: CandidateGraph, gone: Tensor) -> CandidateGraph:
    """Cells without candidate mothers, for whom appearing costs nothing; they may still be mothers."""
    kept = ~gone[graph.daughter]
    return replace(
        graph,
        mother=graph.mother[kept],
        daughter=graph.daughter[kept],
        score=graph.score[kept],
        appear=graph.appear.masked_fill(gone, 0.0),
    )
