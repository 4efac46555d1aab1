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

from torchtrack_uq.functional.device_answers import DeviceAnswers
from torchtrack_uq.functional.first_derivative import OnlyOnce
from torchtrack_uq.functional.segments import segment_logsumexp, segment_max, segment_sum

FORBIDDEN = -1e6  # stands for -inf: weights of exp(-1e6) are 0 in every dtype
ABSENT = -1e9  # padding, below every sum of forbidden scores
DAMPING = 0.3
CHECK_EVERY = 10  # sweeps between two looks at the convergence
NO_SECOND_DERIVATIVE = (
    "method 'bp' has no second derivatives: its gradient is that of a fixed point; method 'AS' has"
)


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
    def of(cls, mother: Tensor, daughter: Tensor, n_cells: int) -> "tuple[_Rows, _Rows]":
        """By mother and by daughter; waits for the device once, to learn the longest rows."""
        counts = [
            cell.new_zeros(n_cells).index_add(0, cell, torch.ones_like(cell)) for cell in (mother, daughter)
        ]
        widths = torch.stack(counts).amax(1).tolist() if len(mother) else [0, 0]
        by_mother, by_daughter = (
            cls(cell, _places(cell, count), n_cells, int(width))
            for cell, count, width in zip((mother, daughter), counts, widths, strict=True)
        )
        return by_mother, by_daughter

    def pad(self, values: Tensor) -> Tensor:
        rows = values.new_full((self.n_cells, self.width), ABSENT)
        return rows.index_put((self.cell, self.slot), values)

    def back(self, rows: Tensor) -> Tensor:
        return rows[self.cell, self.slot]


def _places(cell: Tensor, counts: Tensor) -> Tensor:
    """Place of each link among those of its cell."""
    order = torch.argsort(cell, stable=True)
    first = torch.cumsum(counts, 0) - counts
    rank = torch.arange(len(cell), device=cell.device) - first[cell[order]]
    return torch.empty_like(cell).index_put((order,), rank)


class _Groups(NamedTuple):
    """Links that come to rest together: those of one movie."""

    of_link: Tensor | None
    n: int

    def settled(self, value: Tensor, moved: Tensor, tolerance: float) -> Tensor:
        """(n,) bool, or a scalar for one group: whether none of its messages moved by more than the tolerance."""
        step, size = (moved - value).abs(), value.abs()
        if self.of_link is None:
            return step.max() <= tolerance * (1 + size.max())
        # a group without links is at rest
        largest = segment_max(step, self.of_link, self.n)
        return largest <= tolerance * (1 + segment_max(size, self.of_link, self.n).clamp(min=0.0))

    def spread(self, settled: Tensor) -> Tensor:
        return settled if self.of_link is None else settled[self.of_link]


def belief_propagation(
    score: Tensor,
    mother: Tensor,
    daughter: Tensor,
    appear: Tensor,
    disappear: Tensor,
    divide: Tensor,
    sweeps: int = 300,
    tolerance: float = 1e-8,
    movie: Tensor | None = None,
    n_movies: int = 1,
) -> Beliefs:
    """Approximate marginals of links and events; differentiable once in all scores (implicitly, at the fixed point).

    Frame pairs need not be told apart: they share no link. The sweeps run without gradient and without waiting for
    the device; the gradient solves the linear equation of the fixed point by as many sweeps backwards (Bai, Kolter and
    Koltun, NeurIPS 2019).

    Args:
        score: (E,) float, score of each candidate link; -inf forbids it.
        mother: (E,) int64.
        daughter: (E,) int64.
        appear: (N,) score of having no mother.
        disappear: (N,) score of having no daughter.
        divide: (N,) score of having two daughters.
        sweeps: Most sweeps.
        tolerance: Largest change of a message at which it stops.
        movie: (E,) int64, movie of each link; each stops by itself, with the numbers that it has alone.
        n_movies: Number of movies.

    Raises:
        RuntimeError: On the way back through the gradient: there is no second derivative.

    >>> one = torch.zeros(1, dtype=torch.float64)
    >>> two = torch.zeros(2, dtype=torch.float64)
    >>> found = belief_propagation(one, torch.tensor([0]), torch.tensor([1]), two, two, two)
    >>> found.link, found.null[1]
    (tensor([0.5000], dtype=torch.float64), tensor(0.5000, dtype=torch.float64))
    """
    scores = tuple(values.clamp(min=FORBIDDEN) for values in (score, appear, disappear, divide))
    by_mother, by_daughter = _Rows.of(mother, daughter, len(appear))
    groups = _Groups(movie, n_movies)

    def sweep(room: Tensor, scores: tuple[Tensor, ...]) -> Tensor:
        wish = _wishes(room, by_daughter, scores)
        return DAMPING * room + (1 - DAMPING) * _rooms(wish, by_mother, scores)

    fixed = tuple(values.detach() for values in scores)
    with torch.no_grad():
        start = torch.zeros_like(fixed[0])
        room, converged = _iterate(lambda b: sweep(b, fixed), start, groups, sweeps, tolerance)
    if torch.is_grad_enabled() and any(values.requires_grad for values in scores):
        room = _attach_gradient(room, sweep, scores, groups, sweeps, tolerance)
    return _beliefs(room, by_mother, by_daughter, scores, converged)


def _iterate(
    step: Callable[[Tensor], Tensor], start: Tensor, groups: _Groups, sweeps: int, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Repeat a step until nothing moves by more than the tolerance; who has come to rest is left alone."""
    value = start
    converged = torch.ones((), dtype=torch.bool, device=start.device)
    if not len(start):
        return value, converged
    answers = DeviceAnswers()
    resting: Tensor | None = None
    for k in range(sweeps):
        moved = step(value)
        if resting is not None:
            moved = torch.where(groups.spread(resting), value, moved)
        if k % CHECK_EVERY == CHECK_EVERY - 1 or k == sweeps - 1:
            resting = groups.settled(value, moved, tolerance)
            converged = resting.all()
            if answers.seen(converged):
                return moved, torch.ones_like(converged)
        value = moved
    return value, converged


def _attach_gradient(
    room: Tensor,
    sweep: Callable[[Tensor, tuple[Tensor, ...]], Tensor],
    scores: tuple[Tensor, ...],
    groups: _Groups,
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
        given = gradient.detach()

        def step(g: Tensor) -> Tensor:
            (back,) = torch.autograd.grad(again, at, g, retain_graph=True)
            return back + given

        solved, _ = _iterate(step, given, groups, sweeps, tolerance)
        if not torch.is_grad_enabled():
            return solved
        once: Tensor = OnlyOnce.apply(NO_SECOND_DERIVATIVE, solved, gradient, *scores)  # type: ignore[no-untyped-call]
        return once

    attached.register_hook(solve)  # type: ignore[no-untyped-call]
    return attached


def _wishes(room: Tensor, rows: _Rows, scores: tuple[Tensor, ...]) -> Tensor:
    score, appear = scores[0], scores[1]
    others = rows.back(_sums(rows.pad(score + room)).others)
    return score - _log_add(others, appear[rows.cell])


def _rooms(wish: Tensor, rows: _Rows, scores: tuple[Tensor, ...]) -> Tensor:
    disappear, divide = scores[2][rows.cell], scores[3][rows.cell]
    x = rows.pad(wish)
    sums = _sums(x)
    both_before = _sums(x + sums.before).before
    both_after = _sums(x + sums.after).after
    one = rows.back(sums.others)
    two = rows.back(_log_add(_log_add(both_before, both_after), sums.before + sums.after))
    with_it = _log_add(torch.zeros_like(one), divide + one)
    return with_it - _log_add(_log_add(disappear, one), divide + two)


class _Sums(NamedTuple):
    """Logsumexp of parts of each row, from the weights exp(x - peak) before and after each entry."""

    weight_before: Tensor
    weight_after: Tensor
    peak: Tensor

    @property
    def before(self) -> Tensor:
        return _log_or_absent(self.weight_before, self.peak)

    @property
    def after(self) -> Tensor:
        return _log_or_absent(self.weight_after, self.peak)

    @property
    def others(self) -> Tensor:
        return _log_or_absent(self.weight_before + self.weight_after, self.peak)


def _sums(x: Tensor) -> _Sums:
    """Sums over the entries before and over those behind each entry of a row.

    Running sums to either side rather than total minus own, which would cancel. What lies 700 nats below the
    largest entry of a row is lost, which no probability can tell.
    """
    if not x.numel():
        return _Sums(x, x, x)
    peak = x.detach().amax(1, keepdim=True)
    weight = torch.exp(x - peak)
    nothing = weight.new_zeros(len(x), 1)
    before = torch.cat([nothing, weight.cumsum(1)[:, :-1]], 1)
    after = torch.cat([weight.flip(1).cumsum(1).flip(1)[:, 1:], nothing], 1)
    return _Sums(before, after, peak)


def _total(x: Tensor) -> Tensor:
    """(N,) logsumexp of each row, in the order of its entries whatever its padding; ABSENT for an empty one."""
    if not x.numel():
        return x.new_full((len(x),), ABSENT)
    peak = x.detach().amax(1, keepdim=True)
    total = torch.exp(x - peak).cumsum(1)[:, -1:]
    return (torch.log(total) + peak).squeeze(1)


def _log_add(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) + exp(b)), of finite numbers.

    `torch.logaddexp` takes another function for the last entries of a tensor than for the others, so that a movie would
    get other numbers in a batch.
    """
    top, less = torch.maximum(a, b), torch.minimum(a, b)
    if torch.is_grad_enabled():
        return top + torch.log1p(torch.exp(less - top))
    return less.sub_(top).exp_().log1p_().add_(top)


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
    one = _total(x)
    two = _total(x + _sums(x).before)
    as_mother = _log_add(_log_add(disappear, one), divide + two)
    twice = segment_sum(_log_add(torch.zeros_like(wish), wish + room), daughter, n)
    return Beliefs(
        link=link,
        null=torch.exp(appear - as_daughter),
        disappear=torch.exp(disappear - as_mother),
        divide=torch.exp(divide + two - as_mother),
        as_daughter=as_daughter - twice,
        as_mother=as_mother,
        converged=converged,
    )
