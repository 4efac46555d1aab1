"""Probabilities of every pair between two sets: tensors in, tensors out, with gradients; nothing about cells."""

from functools import partial
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.assignment import sample
from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import belief_propagation, independent_events, parental_log_softmax
from torchtrack_uq.posterior.exact import MarginalsFunction, SumOptions
from torchtrack_uq.posterior.infeasible import refuse_infeasible
from torchtrack_uq.posterior.problem_batch import FlatScores, flat_scores
from torchtrack_uq.posterior.problems import to_host

METHODS = ("auto", "exact", "bp", "SM")


class PairMarginals(NamedTuple):
    """What is known of B problems; every tensor on the device and in the dtype of the scores.

    Attributes:
        link: Like the scores, probability of each pair; 0 where it is no candidate.
        null: (B, N) probability that a daughter (column) has no mother.
        disappear: (B, M) probability that a mother (row) has no daughter.
        divide: (B, M) probability that a mother has two daughters.
        log_z: (B,) float64, log of the sum over all assignments.
        covered_mass: (B,) float64, proved lower bound on the posterior mass that was summed; 0 where none is.
        error_bound: (B,) float64, proved bound on the largest error of a probability; inf where none is.
        log_z_error: (B,) float64, proved bound on the error of log_z; inf where none is.
        exact: (B,) bool, whether the bound is within the tolerance.
        daughter_error: (B, N) float64, proved bound on the error of each column's probabilities; inf where none is. A
            probability p is right to a share of daughter_error / p, and so is, about, its logarithm.
    """

    link: Tensor
    null: Tensor
    disappear: Tensor
    divide: Tensor
    log_z: Tensor
    covered_mass: Tensor
    error_bound: Tensor
    log_z_error: Tensor
    exact: Tensor
    daughter_error: Tensor


def link_marginals(
    score: Tensor,
    appear: Tensor | float = 0.0,
    disappear: Tensor | float = 0.0,
    divide: Tensor | float = 0.0,
    *,
    index: Tensor | None = None,
    mask: Tensor | None = None,
    temperature: Tensor | float = 1.0,
    capacity: int = 2,
    method: str = "auto",
    tolerance: float = 1e-3,
    memory_limit: int | None = None,
) -> PairMarginals:
    """Probability of every pair under p(A) = exp(L(A) / T) / Z over all feasible assignments A.

    Feasible: every daughter (column) has at most one mother (row), every mother at most `capacity` daughters. The
    log-weight L(A) is the sum of the scores of the pairs in A, of `appear` over columns left alone, of `disappear` over
    rows left alone, and of `divide` over rows with two columns (paper eq. 1 and 2).

    Args:
        score: (B, M, N) or (M, N) float, dense; or (E,) with `index`. -inf forbids a pair.
        appear: Broadcasts to (B, N); with `index` (N,), and then its length says how many daughters there are.
        disappear: Broadcasts to (B, M); with `index` (M,), likewise.
        divide: Broadcasts to (B, M); means nothing at capacity 1.
        index: (2, E) int64, row and column of each score, for sparse problems: one problem, or several behind each
            other with numbers of their own, which stay independent (their log Z add up).
        mask: Like `score`, bool, which pairs are candidates; all by default.
        temperature: T > 0; divides all scores.
        capacity: 2, or 1 for plain one-to-one matching.
        method: "auto" (exact where that is possible, near it elsewhere), "exact", "bp" (belief propagation, on the
            device) or "SM" (softmax over each column, which ignores capacities).
        tolerance: For "auto" and "exact": largest error that counts as exact.
        memory_limit: Bytes that one problem may take, see `AssignmentPosterior`.

    Returns:
        `PairMarginals`, without the first dimension where `score` was (M, N) or sparse. Differentiable in all scores
        and in T.

    Raises:
        InputError: Shapes, dtypes or options that do not fit, NaN or +inf, an infeasible problem, or one that is too
            ambiguous for "exact".

    >>> found = link_marginals(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), appear=-1.0, capacity=1)
    >>> found.link
    tensor([[0.9259, 0.0221],
            [0.0221, 0.9259]])
    """
    if method not in METHODS:
        raise InputError(f"method {method!r} is unknown; expected one of {', '.join(METHODS)}")
    if capacity not in (1, 2):
        raise InputError(f"capacity must be 1 or 2, got {capacity}")
    given = flat_scores(score, appear, disappear, divide, index, mask, temperature, capacity)
    if method in ("bp", "SM"):
        return _on_device(given, score.dtype, method)
    options = SumOptions(method, tolerance, memory_limit)
    found = MarginalsFunction.apply(given.score, given.problems, options, None)  # type: ignore[no-untyped-call]
    choice, log_z, certificate, of_daughter = cast("tuple[Tensor, Tensor, Tensor, Tensor]", found)
    return _shaped(given, score.dtype, choice, log_z, certificate, of_daughter)


def sample_links(
    score: Tensor,
    n: int,
    appear: Tensor | float = 0.0,
    disappear: Tensor | float = 0.0,
    divide: Tensor | float = 0.0,
    *,
    index: Tensor | None = None,
    mask: Tensor | None = None,
    temperature: Tensor | float = 1.0,
    capacity: int = 2,
    seed: int = 0,
) -> Tensor:
    """Draw assignments from the posterior of `link_marginals`.

    Args:
        score: As for `link_marginals`, and so are the rest.
        n: Number of draws.
        appear: See there.
        disappear: See there.
        divide: See there.
        index: See there.
        mask: See there.
        temperature: See there.
        capacity: See there.
        seed: The same seed gives the same draws.

    Returns:
        (n, B, N) int64, row of each column's mother, -1 for none; (n, N) where `score` was (M, N) or sparse.

    Raises:
        InputError: As `link_marginals` with method "exact".

    >>> sample_links(torch.tensor([[0.0, -9.0], [-9.0, 0.0]]), 2, appear=-9.0, capacity=1)
    tensor([[0, 1],
            [0, 1]])
    """
    if n < 1:
        raise InputError(f"n must be at least 1 draw, got {n}")
    given = flat_scores(score, appear, disappear, divide, index, mask, temperature, capacity)
    problems, scores = given.problems, to_host(given.score)
    if not problems.n_pairs:
        return torch.zeros(n, 0, given.n_daughters, dtype=torch.int64, device=score.device)
    seeds = np.random.SeedSequence(seed).generate_state(problems.n_pairs).tolist()
    drawn = [
        torch.from_numpy(problems.solve_one(partial(sample, n=n, seed=own_seed), scores, pair))
        for pair, own_seed in enumerate(seeds)
    ]
    parents = torch.stack(drawn, dim=1).to(score.device)
    return parents if score.ndim == 3 else parents[:, 0]


def _shaped(
    given: FlatScores,
    dtype: torch.dtype,
    choice: Tensor,
    log_z: Tensor,
    certificate: Tensor,
    of_daughter: Tensor,
) -> PairMarginals:
    n_links, b = len(given.place), given.problems.n_pairs
    m, n = given.n_mothers, given.n_daughters
    links, null, disappear, divide = torch.split(choice.to(dtype), [n_links, b * n, b * m, b * m])
    link = links.new_zeros(given.shape.numel()).index_put((given.place,), links).reshape(given.shape)
    covered, error, exact, log_z_error = certificate
    found = PairMarginals(
        link, null.reshape(b, n), disappear.reshape(b, m), divide.reshape(b, m), log_z, covered, error, log_z_error,
        exact > 0, of_daughter.reshape(b, n),
    )  # fmt: skip
    if len(given.shape) == 3:
        return found
    return PairMarginals(found.link, *(value[0] for value in found[1:]))


def _on_device(given: FlatScores, dtype: torch.dtype, method: str) -> PairMarginals:
    """Belief propagation or softmax over all problems at once: they share no cell."""
    problems, device = given.problems, given.score.device
    of = np.repeat(np.arange(problems.n_pairs), np.diff(problems.link_start))
    mother = torch.from_numpy(problems.mother + of * given.n_mothers).to(device)
    daughter = torch.from_numpy(problems.daughter + of * given.n_daughters).to(device)
    n, m = problems.n_cells, int(problems.mother_start[-1])
    link, appear, disappear, divide = torch.split(given.score, [len(mother), n, m, m])
    unknown = torch.full((problems.n_pairs,), torch.inf, dtype=torch.float64, device=device)
    nothing = torch.zeros_like(unknown)
    if method == "SM":
        log_link, log_null = parental_log_softmax(link, daughter, appear)
        p = log_link.exp()
        choice = torch.cat([p, log_null.exp(), *independent_events(p, mother, m)])
        log_z = torch.full_like(unknown, torch.nan)
    else:
        if bool(torch.isneginf(appear).any() | torch.isneginf(disappear).any()):
            refuse_infeasible(problems, given.score)
        # the kernel has one cell numbering: mothers first, then daughters
        none_m, none_n = appear.new_zeros(m), appear.new_zeros(n)
        found = belief_propagation(
            link, mother, daughter + m, torch.cat([none_m, appear]), torch.cat([disappear, none_n]),
            torch.cat([divide, none_n]),
        )  # fmt: skip
        choice = torch.cat([found.link, found.null[m:], found.disappear[:m], found.divide[:m]])
        as_daughter = found.as_daughter[m:].reshape(problems.n_pairs, given.n_daughters).sum(1)
        log_z = as_daughter + found.as_mother[:m].reshape(problems.n_pairs, given.n_mothers).sum(1)
    certificate = torch.stack([nothing, unknown, nothing, unknown])
    return _shaped(given, dtype, choice, log_z, certificate, unknown.new_full((n,), torch.inf))
