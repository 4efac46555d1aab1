"""Candidate links given the mothers of some daughters, for likelihoods of what was annotated of a movie."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.assignment import AssignmentProblem, InfeasibleProblemError, solve_map
from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import segment_sum
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.problems import MovieProblems, to_host


def given_mothers(
    graph: CandidateGraph, mother: Tensor, known: Tensor, rejected: Tensor | None = None
) -> tuple[CandidateGraph, Tensor]:
    """The graph in which the known daughters have these mothers and no other options; differentiable.

    The sum over all assignments of the new graph is that over the assignments which agree with what is known.

    Args:
        graph: Candidate links.
        mother: (N,) int64, mother of each cell, -1 for none; means nothing where it is not known.
        known: (N,) bool, daughters whose mother, or that they have none, is known; first frames do not count.
        rejected: (E,) bool, candidate links that are known to be wrong; None for none.

    Returns:
        The graph, without what is asked of problems in which it cannot be; and (P,) bool, in which problems it can: no
        mother has a third known daughter, all known links are candidates that are neither forbidden nor rejected, and
        what is left lets every daughter have a mother who must have one (appear = -inf), and every mother a daughter
        (disappear = -inf).

    Raises:
        InputError: Shapes or dtypes that do not fit, or mothers out of range.

    >>> import numpy as np
    >>> from torchtrack_uq import AssignmentPosterior, Detections
    >>> cells = Detections.from_points(np.array([0, 1, 1]), np.zeros((3, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0, 0], [1, 2], [0.0, 0.0], divide=-torch.inf)
    >>> known = torch.tensor([False, True, False])
    >>> given, possible = given_mothers(graph, torch.tensor([-1, 0, -1]), known)
    >>> AssignmentPosterior("exact")(given).link, possible
    (tensor([1., 0.]), tensor([True]))
    """
    n = graph.n_cells
    for name, tensor, dtype in (("mother", mother, torch.int64), ("known", known, torch.bool)):
        if tensor.shape != (n,) or tensor.dtype != dtype:
            raise InputError(f"{name} is {tuple(tensor.shape)} of {tensor.dtype}; expected ({n},) of {dtype}")
    mother, known = mother.to(graph.device), known.to(graph.device) & graph.is_daughter
    named = mother[known]
    if len(named) and (int(named.min()) < -1 or int(named.max()) >= n):
        raise InputError(
            f"mother names cells {int(named.min())} to {int(named.max())}; expected -1 to {n - 1}"
        )
    chosen = known[graph.daughter] & (mother[graph.daughter] == graph.mother)
    possible = graph.score.detach() > -torch.inf
    if rejected is not None:
        if rejected.shape != (graph.n_links,) or rejected.dtype != torch.bool:
            raise InputError(
                f"rejected is {tuple(rejected.shape)} of {rejected.dtype}; expected ({graph.n_links},) of torch.bool"
            )
        rejected = rejected.to(graph.device)
        possible = possible & ~rejected
    linked = segment_sum((chosen & possible).double(), graph.daughter, n) > 0
    may_appear = graph.appear.detach() > -torch.inf
    possible_null = (mother < 0) & may_appear
    load = segment_sum(chosen.double(), graph.mother, n)
    most = torch.where(graph.divide.detach() == -torch.inf, 1, 2)
    bad = torch.zeros(graph.n_problems, dtype=torch.bool, device=graph.device)
    bad[graph.problem_of_daughter[known & ~linked & ~possible_null]] = True
    bad[graph.problem_of_mother[load > most]] = True
    given = _with_options(graph, mother, known, chosen, rejected, ~bad)
    bound = (
        ~may_appear & graph.is_daughter & ~known,
        (graph.disappear.detach() == -torch.inf) & graph.is_mother,
    )
    unsure = torch.zeros_like(bad)
    for of_cell, cells in zip((graph.problem_of_daughter, graph.problem_of_mother), bound, strict=True):
        unsure[of_cell[cells]] = True
    stuck = _stuck(given, (unsure & ~bad).nonzero().squeeze(1).tolist())
    if not stuck:
        return given, ~bad
    bad[stuck] = True
    return _with_options(graph, mother, known, chosen, rejected, ~bad), ~bad


def _with_options(
    graph: CandidateGraph,
    mother: Tensor,
    known: Tensor,
    chosen: Tensor,
    rejected: Tensor | None,
    possible: Tensor,
) -> CandidateGraph:
    """The graph with only `chosen` links of known daughters and no rejected ones, in the problems that are possible."""
    at = graph.problem_of_daughter.clamp(min=0)
    fixed = known & possible[at] if graph.n_problems else known
    gone = fixed[graph.daughter] & ~chosen
    if rejected is not None:
        gone = gone | (rejected & possible[at[graph.daughter]])
    score = graph.score.masked_fill(gone, -torch.inf)
    appear = graph.appear.masked_fill(fixed & (mother >= 0), -torch.inf)
    return graph.with_scores(score, appear, graph.disappear, graph.divide)


def _stuck(graph: CandidateGraph, candidates: Sequence[int]) -> list[int]:
    """Those of some problems that have no feasible assignment."""
    if not candidates:
        return []
    problems = MovieProblems.of(graph)
    allowed = np.where(np.isneginf(to_host(Choices.of(graph).score)), -np.inf, 0.0)
    return [pair for pair in candidates if _is_stuck(problems.build(pair, allowed))]


def _is_stuck(problem: AssignmentProblem) -> bool:
    try:
        solve_map(problem)
    except InfeasibleProblemError:
        return True
    return False
