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
from torchtrack_uq.functional.padded_rows import PaddedRows, log_add, row_sums, row_total
from torchtrack_uq.functional.segments import segment_logsumexp, segment_max, segment_sum

FORBIDDEN = -1e6  # stands for -inf: weights of exp(-1e6) are 0 in every dtype
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
    by_mother, by_daughter = PaddedRows.of(mother, daughter, len(appear))
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


def _wishes(room: Tensor, rows: PaddedRows, scores: tuple[Tensor, ...]) -> Tensor:
    score, appear = scores[0], scores[1]
    others = rows.back(row_sums(rows.pad(score + room)).others)
    return score - log_add(others, appear[rows.cell])


def _rooms(wish: Tensor, rows: PaddedRows, scores: tuple[Tensor, ...]) -> Tensor:
    disappear, divide = scores[2][rows.cell], scores[3][rows.cell]
    x = rows.pad(wish)
    sums = row_sums(x)
    both_before = row_sums(x + sums.before).before
    both_after = row_sums(x + sums.after).after
    one = rows.back(sums.others)
    two = rows.back(log_add(log_add(both_before, both_after), sums.before + sums.after))
    with_it = log_add(torch.zeros_like(one), divide + one)
    return with_it - log_add(log_add(disappear, one), divide + two)


def _beliefs(
    room: Tensor,
    by_mother: PaddedRows,
    by_daughter: PaddedRows,
    scores: tuple[Tensor, ...],
    converged: Tensor,
) -> Beliefs:
    score, appear, disappear, divide = scores
    n, daughter = by_daughter.n_cells, by_daughter.cell
    as_daughter = segment_logsumexp(score + room, daughter, n, extra=appear)
    link = torch.exp(score + room - as_daughter[daughter])
    wish = _wishes(room, by_daughter, scores)
    x = by_mother.pad(wish)
    one = row_total(x)
    two = row_total(x + row_sums(x).before)
    as_mother = log_add(log_add(disappear, one), divide + two)
    twice = segment_sum(log_add(torch.zeros_like(wish), wish + room), daughter, n)
    return Beliefs(
        link=link,
        null=torch.exp(appear - as_daughter),
        disappear=torch.exp(disappear - as_mother),
        divide=torch.exp(divide + two - as_mother),
        as_daughter=as_daughter - twice,
        as_mother=as_mother,
        converged=converged,
    )
