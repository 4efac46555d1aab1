"""Loopy belief propagation for mothers of capacity two: approximate marginals on the device, all pairs at once.

Messages are log-odds. x_e is how much the daughter of link e wants its mother, given its other options; b_e
is how much room the mother has, given her other daughters:

    x_e = s_e - log(exp(a_j) + sum over the daughter's other links f of exp(s_f + b_f))
    b_e = log(1 + exp(v) e1) - log(exp(d) + e1 + exp(v) e2)

where e1 and e2 are the elementary symmetric sums of exp(x) over the mother's other links. Exact on trees;
overconfident where two cells may have changed places. For matchings: Bayati, Shah and Sharma, IEEE Trans. Inf.
Theory 54 (2008); for data association: Williams and Lau, IEEE Trans. AES 50 (2014).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from torchtrack_uq.functional.segments import segment_logsumexp, segment_sum

FORBIDDEN = -1e6  # stands for -inf: weights of exp(-1e6) are 0 in every dtype
ABSENT = -1e9  # padding, below every sum of forbidden scores
DAMPING = 0.3
CHECK_EVERY = 10  # sweeps between two looks at the convergence, each of which waits for the device


class Beliefs(NamedTuple):
    """Marginals of belief propagation.

    Attributes:
        link: (E,) probability of each link.
        null: (N,) probability of no mother.
        disappear: (N,) probability of no daughter.
        divide: (N,) probability of two daughters.
        as_daughter: (N,) contribution of each cell as a daughter to the Bethe estimate of log Z.
        as_mother: (N,) its contribution as a mother.
        converged: Scalar bool, whether no message moves any more.
    """

    link: Tensor
    null: Tensor
    disappear: Tensor
    divide: Tensor
    as_daughter: Tensor
    as_mother: Tensor
    converged: Tensor


class _Rows(NamedTuple):
    """Links as rows of a padded matrix, one row a cell."""

    cell: Tensor
    slot: Tensor
    n_cells: int
    width: int

    @classmethod
    def of(cls, cell: Tensor, n_cells: int) -> "_Rows":
        order = torch.argsort(cell, stable=True)
        counts = torch.bincount(cell, minlength=n_cells)
        first = torch.cumsum(counts, 0) - counts
        slot = torch.empty_like(cell)
        slot[order] = torch.arange(len(cell), device=cell.device) - first[cell[order]]
        return cls(cell, slot, n_cells, int(counts.max()) if len(cell) else 0)

    def pad(self, values: Tensor) -> Tensor:
        rows = values.new_full((self.n_cells, self.width), ABSENT)
        return rows.index_put((self.cell, self.slot), values)

    def back(self, rows: Tensor) -> Tensor:
        return rows[self.cell, self.slot]


def belief_propagation(
    score: Tensor,
    mother: Tensor,
    daughter: Tensor,
    appear: Tensor,
    disappear: Tensor,
    divide: Tensor,
    sweeps: int = 300,
    tolerance: float = 1e-8,
) -> Beliefs:
    """Approximate marginals of links and events; differentiable in all scores (implicitly, at the fixed point).

    Frame pairs need not be told apart: they share no link. The sweeps run without gradient; the gradient solves
    the linear equation of the fixed point by as many sweeps backwards (Bai, Kolter and Koltun, NeurIPS 2019).

    Args:
        score: (E,) float, score of each candidate link; -inf forbids it.
        mother: (E,) int64.
        daughter: (E,) int64.
        appear: (N,) score of having no mother.
        disappear: (N,) score of having no daughter.
        divide: (N,) score of having two daughters.
        sweeps: Most sweeps.
        tolerance: Largest change of a message at which it stops.

    >>> one = torch.zeros(1, dtype=torch.float64)
    >>> two = torch.zeros(2, dtype=torch.float64)
    >>> found = belief_propagation(one, torch.tensor([0]), torch.tensor([1]), two, two, two)
    >>> found.link, found.null[1]
    (tensor([0.5000], dtype=torch.float64), tensor(0.5000, dtype=torch.float64))
    """
    scores = tuple(values.clamp(min=FORBIDDEN) for values in (score, appear, disappear, divide))
    n = len(appear)
    by_mother, by_daughter = _Rows.of(mother, n), _Rows.of(daughter, n)

    def sweep(room: Tensor, scores: tuple[Tensor, ...]) -> Tensor:
        wish = _wishes(room, by_daughter, scores)
        return DAMPING * room + (1 - DAMPING) * _rooms(wish, by_mother, scores)

    fixed = tuple(values.detach() for values in scores)
    with torch.no_grad():
        room, converged = _iterate(lambda b: sweep(b, fixed), torch.zeros_like(fixed[0]), sweeps, tolerance)
    if torch.is_grad_enabled() and any(values.requires_grad for values in scores):
        room = _attach_gradient(room, sweep, scores, sweeps, tolerance)
    return _beliefs(room, by_mother, by_daughter, scores, converged)


def _iterate(
    step: Callable[[Tensor], Tensor], start: Tensor, sweeps: int, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Repeat a step until nothing moves by more than the tolerance."""
    value = start
    converged = torch.ones((), dtype=torch.bool, device=start.device)
    if not len(start):
        return value, converged
    for k in range(sweeps):
        moved = step(value)
        if k % CHECK_EVERY == CHECK_EVERY - 1 or k == sweeps - 1:
            converged = (moved - value).abs().max() <= tolerance * (1 + value.abs().max())
            if bool(converged):
                return moved, converged
        value = moved
    return value, converged


def _attach_gradient(
    room: Tensor,
    sweep: Callable[[Tensor, tuple[Tensor, ...]], Tensor],
    scores: tuple[Tensor, ...],
    sweeps: int,
    tolerance: float,
) -> Tensor:
    """The fixed point with the gradient of the implicit function theorem."""
    attached = sweep(room, scores)
    at = room.detach().requires_grad_()
    with torch.enable_grad():
        again = sweep(at, tuple(values.detach() for values in scores))

    def solve(gradient: Tensor | None) -> Tensor | None:
        if gradient is None:  # nothing depends on it
            return None

        def step(g: Tensor) -> Tensor:
            (back,) = torch.autograd.grad(again, at, g, retain_graph=True)
            return back + gradient

        solved, _ = _iterate(step, gradient, sweeps, tolerance)
        return solved

    attached.register_hook(solve)  # type: ignore[no-untyped-call]
    return attached


def _wishes(room: Tensor, rows: _Rows, scores: tuple[Tensor, ...]) -> Tensor:
    score, appear = scores[0], scores[1]
    before, after = _around(rows.pad(score + room))
    others = torch.logaddexp(rows.back(before), rows.back(after))
    return score - torch.logaddexp(others, appear[rows.cell])


def _rooms(wish: Tensor, rows: _Rows, scores: tuple[Tensor, ...]) -> Tensor:
    disappear, divide = scores[2][rows.cell], scores[3][rows.cell]
    x = rows.pad(wish)
    before, after = _around(x)
    before2, _ = _around(x + before)
    _, after2 = _around(x + after)
    one = rows.back(torch.logaddexp(before, after))
    two = rows.back(torch.logaddexp(torch.logaddexp(before2, after2), before + after))
    with_it = torch.logaddexp(torch.zeros_like(one), divide + one)
    return with_it - torch.logaddexp(torch.logaddexp(disappear, one), divide + two)


def _around(x: Tensor) -> tuple[Tensor, Tensor]:
    """Logsumexp of the entries before and of those behind each entry of a row.

    Running sums to either side rather than total minus own, which would cancel. What lies 700 nats below the
    largest entry of a row is lost, which no probability can tell.
    """
    if not x.numel():
        return x, x
    peak = x.detach().amax(1, keepdim=True)
    weight = torch.exp(x - peak)
    nothing = weight.new_zeros(len(x), 1)
    before = torch.cat([nothing, weight.cumsum(1)[:, :-1]], 1)
    after = torch.cat([weight.flip(1).cumsum(1).flip(1)[:, 1:], nothing], 1)
    return _log_or_absent(before, peak), _log_or_absent(after, peak)


def _log_or_absent(total: Tensor, peak: Tensor) -> Tensor:
    zero = total <= 0
    return (torch.log(total.masked_fill(zero, 1.0)) + peak).masked_fill(zero, ABSENT)


def _beliefs(
    room: Tensor, by_mother: _Rows, by_daughter: _Rows, scores: tuple[Tensor, ...], converged: Tensor
) -> Beliefs:
    score, appear, disappear, divide = scores
    n, daughter = by_daughter.n_cells, by_daughter.cell
    as_daughter = segment_logsumexp(score + room, daughter, n, extra=appear)
    link = torch.exp(score + room - as_daughter[daughter])
    wish = _wishes(room, by_daughter, scores)
    x = by_mother.pad(wish)
    one = torch.cat([x, x.new_full((n, 1), ABSENT)], 1).logsumexp(1)
    before, _ = _around(x)
    two = torch.cat([x + before, x.new_full((n, 1), ABSENT)], 1).logsumexp(1)
    as_mother = torch.logaddexp(torch.logaddexp(disappear, one), divide + two)
    twice = segment_sum(torch.logaddexp(torch.zeros_like(wish), wish + room), daughter, n)
    return Beliefs(
        link=link,
        null=torch.exp(appear - as_daughter),
        disappear=torch.exp(disappear - as_mother),
        divide=torch.exp(divide + two - as_mother),
        as_daughter=as_daughter - twice,
        as_mother=as_mother,
        converged=converged,
    )
