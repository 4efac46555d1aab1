"""A given assignment among the listed ones: what the joint log-likelihood needs."""

import torch
from torch import Tensor

from torchtrack_uq.candidates import CandidateGraph
from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import choices_of, listed_marginals, log_weight, segment_sum
from torchtrack_uq.functional.assignments import ListedMarginals
from torchtrack_uq.layers.choices import Choices
from torchtrack_uq.layers.support import Support


def choices_made(graph: CandidateGraph, choices: Choices, mother: Tensor) -> tuple[Tensor, Tensor]:
    """Choices (C,) of an assignment, and which frame pairs (P,) of it are feasible."""
    n = graph.n_cells
    if mother.shape != (n,) or mother.dtype != torch.int64:
        raise InputError(
            f"mother is {tuple(mother.shape)} of {mother.dtype}; expected ({n},) of torch.int64, -1 for no mother"
        )
    if n and (int(mother.min()) < -1 or int(mother.max()) >= n):
        raise InputError(
            f"mother names cells {int(mother.min())} to {int(mother.max())}; expected -1 to {n - 1}"
        )
    mother = mother.to(graph.device)
    chosen = mother[graph.daughter] == graph.mother
    is_candidate = segment_sum(chosen.double(), graph.daughter, n) > 0
    load = segment_sum(chosen.double(), graph.mother, n)
    bad = torch.zeros(choices.n_pairs, dtype=torch.bool, device=graph.device)
    bad[graph.frame[(mother >= 0) & ~is_candidate].sub(1).clamp(min=0)] = True
    bad[graph.frame[load > 2]] = True
    made = choices_of(chosen, graph.mother, graph.daughter, choices.is_daughter, choices.is_mother)
    forbidden = made & (choices.score.detach() == -torch.inf)
    bad[choices.pair[forbidden]] = True
    made = made & ~forbidden
    return made, ~bad


def weigh_listed(choices: Choices, support: Support) -> ListedMarginals:
    """Marginals and log Z of the listed assignments under the present scores."""
    return listed_marginals(
        choices.score,
        support.base,
        support.row,
        support.changed,
        support.sign,
        support.pair_of_row,
        log_weight(choices.score, support.base, choices.pair, choices.n_pairs),
    )


def log_z_with(choices: Choices, support: Support, made: Tensor, weight: Tensor) -> Tensor:
    """Log Z of the listed assignments and, where it is not among them, of the given one."""
    listed = weigh_listed(choices, support)
    inside = _is_listed(choices, support, made)
    return torch.where(inside, listed.log_total, torch.logaddexp(listed.log_total, weight))


def _is_listed(choices: Choices, support: Support, made: Tensor) -> Tensor:
    """(P,) bool: whether an assignment is one of each pair's listed ones.

    Row r is the assignment if its differences to the base are exactly those of the assignment.
    """
    wanted = made.double() - support.base.double()
    n_rows = len(support.pair_of_row)
    agree = segment_sum((wanted[support.changed] == support.sign).double(), support.row, n_rows)
    own = segment_sum(torch.ones_like(support.sign), support.row, n_rows)
    differs = wanted != 0
    needed = segment_sum(differs[differs].double(), choices.pair[differs], choices.n_pairs)
    same = (agree == own) & (own == needed[support.pair_of_row])
    found = segment_sum(same.double(), support.pair_of_row, choices.n_pairs)
    return found > 0
