"""The K best assignments of every frame pair of a movie, found once and re-weighted at any temperature."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.assignment import AssignmentProblem, KBest
from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import choices_of, listed_marginals, log_weight, segment_sum
from torchtrack_uq.functional.assignments import ListedMarginals
from torchtrack_uq.functional.tensor_fields import TensorFields
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.problems import DISAPPEAR, DIVIDE, Floats, FrameChoices, IntArray, MovieProblems


@dataclass(frozen=True, eq=False)
class Support(TensorFields):
    """Listed assignments of all P frame pairs as differences to the MAP; R assignments, D differences.

    Indices count choices (see `functional.assignments`). The list does not depend on the temperature, since
    that changes no order.

    Attributes:
        base: (C,) bool, choices of the MAP assignments.
        row: (D,) int64, listed assignment of each difference.
        changed: (D,) int64, choice that differs.
        sign: (D,) float64, +1 for a choice that it makes and the MAP does not, -1 the other way.
        pair_of_row: (R,) int64, frame pair of each listed assignment; within a pair the likeliest first.
        complete: (P,) bool, whether a pair's list holds all of its feasible assignments.
        price: (N,) float64, price of a place at each mother, for the bound on log Z.
        map_weight: (P,) float64, log-weight of each MAP assignment, in the same units.
    """

    base: Tensor
    row: Tensor
    changed: Tensor
    sign: Tensor
    pair_of_row: Tensor
    complete: Tensor
    price: Tensor
    map_weight: Tensor

    @classmethod
    def of(
        cls, movie: MovieProblems, problems: Sequence[AssignmentProblem], best: Sequence[KBest]
    ) -> "Support":
        """Translate the solver's lists to choices of the whole movie.

        Args:
            movie: The movie's structure.
            problems: Its frame pairs.
            best: The K best assignments of each.
        """
        base = np.zeros(movie.n_choices, bool)
        price = np.zeros(movie.n_cells)
        rows, changes, signs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
        n_rows = np.zeros(len(best), np.int64)
        for p, (problem, listed) in enumerate(zip(problems, best, strict=True)):
            numbering = FrameChoices.of(movie, p, problem)
            base[numbering.of_parent(listed.map.parent)] = True
            row, changed, sign = _differences(numbering, listed)
            rows.append(row + n_rows.sum())
            changes.append(changed)
            signs.append(sign)
            n_rows[p] = listed.n_assignments
            price[movie.mothers(p)] = listed.map.mother_price
        return cls(
            base=torch.from_numpy(base),
            row=torch.from_numpy(np.concatenate(rows)),
            changed=torch.from_numpy(np.concatenate(changes)),
            sign=torch.from_numpy(np.concatenate(signs)),
            pair_of_row=torch.from_numpy(np.repeat(np.arange(len(best)), n_rows)),
            complete=torch.tensor([listed.is_complete for listed in best], dtype=torch.bool),
            price=torch.from_numpy(price),
            map_weight=torch.tensor([listed.map.log_weight for listed in best], dtype=torch.float64),
        )


def _differences(numbering: FrameChoices, listed: KBest) -> tuple[IntArray, IntArray, Floats]:
    """Row, choice and sign of everything in which the listed assignments differ from the MAP."""
    n_mothers, map_parent = numbering.problem.n_mothers, listed.map.parent
    row = np.repeat(np.arange(listed.n_assignments), np.diff(listed.change_start))
    daughter, new = listed.changed_daughter, listed.changed_parent
    old = map_parent[daughter]
    differs = new != old
    row, daughter, new, old = row[differs], daughter[differs], new[differs], old[differs]
    # loads of the mothers that gain or lose a daughter
    touched = np.concatenate([new, old])
    gain = np.repeat([1, -1], len(new))
    real = touched >= 0
    key, where = np.unique((np.tile(row, 2) * n_mothers + touched)[real], return_inverse=True)
    change = np.bincount(where, weights=gain[real], minlength=len(key)).astype(np.int64)
    event_row, mother = np.divmod(key, max(n_mothers, 1))
    before = np.bincount(map_parent[map_parent >= 0], minlength=n_mothers)[mother]
    after = before + change
    out = [(row, numbering.option(daughter, new), 1.0), (row, numbering.option(daughter, old), -1.0)]
    for load, other, sign in ((after, before, 1.0), (before, after, -1.0)):
        for count, kind in ((0, DISAPPEAR), (2, DIVIDE)):
            at = np.flatnonzero((load == count) & (other != count))
            out.append((event_row[at], numbering.start[kind] + mother[at], sign))
    rows, choices, signs = zip(*out, strict=True)
    every_sign = np.repeat(np.array(signs), [len(part) for part in rows])
    return np.concatenate(rows), np.concatenate(choices), every_sign


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
    bad[graph.problem_of_daughter[(mother >= 0) & ~is_candidate].clamp(min=0)] = True
    bad[graph.problem_of_mother[load > 2]] = True
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
