"""The posterior over assignments as a layer: AS, exact, auto and belief propagation."""

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from torchtrack_uq.assignment import k_best
from torchtrack_uq.candidates import CandidateGraph
from torchtrack_uq.errors import InputError
from torchtrack_uq.functional import (
    belief_propagation,
    choices_of,
    listed_marginals,
    log_weight,
    safe_log,
    segment_sum,
)
from torchtrack_uq.functional.assignments import ListedMarginals
from torchtrack_uq.layers.choices import Choices
from torchtrack_uq.layers.exact_marginals import MarginalsFunction, SumOptions
from torchtrack_uq.layers.host import HostCopy
from torchtrack_uq.layers.leftover import Leftover, give_leftover
from torchtrack_uq.layers.movie_problems import MovieProblems, to_host
from torchtrack_uq.layers.support import Support
from torchtrack_uq.probabilities import LinkProbabilities

PosteriorMethod = Literal["AS", "exact", "auto", "bp"]
POSTERIOR_METHODS: tuple[PosteriorMethod, ...] = ("AS", "exact", "auto", "bp")


class AssignmentPosterior(nn.Module):
    """Marginals of links and events under p(A) = exp(L(A)) / Z over all feasible assignments (paper eq. 2, 3).

    Feasible means at most one mother a daughter and at most two daughters a mother; the scores of
    appearance, disappearance and division count. A temperature divides the scores before they come here
    (`TemperatureScaler`, `UncertaintyLayer`). The methods:

    - "AS": the K best assignments of every frame pair, weighted by exp(L) (paper eq. 4). Plain autograd over
      the fixed support: a softmax over K energies.
    - "exact": sums over all assignments; refuses frame pairs that are too ambiguous for it.
    - "auto": exact where that is possible, and near it elsewhere; says which in `LinkProbabilities.exact`.
    - "bp": loopy belief propagation, on the scores' device, all frame pairs in one batch, nothing copied to the
      CPU. Overconfident where cells may have changed places. Its gradient is implicit.

    Differentiable in all scores by every method. Combinatorics runs on the CPU, in threads, from one copy
    of the movie's scores.

    Args:
        method: "AS", "exact", "auto" or "bp".
        k: Number of assignments K of every frame pair, for "AS".
        leftover: For "AS", whether options that are in none of the K best get a share of the mass that is
            left; False gives paper eq. 4 to the letter, in which they get probability 0. See `give_leftover`.
        tolerance: For "exact" and "auto": largest error of a probability that counts as exact.
        memory_limit: Bytes that summing one frame pair may take; by default 512 MiB for "exact", and 1 MiB for
            "auto", which then decides in milliseconds what is too ambiguous to be exact.

    Raises:
        InputError: An unknown method, K below 1, a negative tolerance, or a memory limit that is not positive.

    >>> import numpy as np
    >>> from torchtrack_uq.detections import Detections
    >>> cells = Detections.from_points(np.array([0, 1, 1, 1]), np.zeros((4, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0, 0, 0], [1, 2, 3], [0.0, 0.0, 0.0])
    >>> AssignmentPosterior("exact")(graph).link  # 1 + 3 + 3 assignments with 0, 1, 2 links; 3 links are too many
    tensor([0.4286, 0.4286, 0.4286])
    """

    def __init__(
        self,
        method: PosteriorMethod = "AS",
        k: int = 100,
        *,
        leftover: bool = True,
        tolerance: float = 1e-3,
        memory_limit: int | None = None,
    ) -> None:
        super().__init__()
        if method not in POSTERIOR_METHODS:
            raise InputError(f"method {method!r} is unknown; expected one of {', '.join(POSTERIOR_METHODS)}")
        if k < 1:
            raise InputError(f"k must be at least 1, got {k}")
        if not tolerance >= 0:
            raise InputError(f"tolerance must be at least 0, got {tolerance}")
        if memory_limit is not None and memory_limit < 1:
            raise InputError(f"memory_limit must be a positive number of bytes, got {memory_limit}")
        self.method, self.k, self.leftover, self.tolerance = method, k, leftover, tolerance
        self.memory_limit = memory_limit or (1 << 20 if method == "auto" else 1 << 29)

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # the solvers are compiled by numba
    def forward(self, graph: CandidateGraph, support: Support | None = None) -> LinkProbabilities:
        """Marginals of a whole movie.

        Args:
            graph: Candidate links on any device.
            support: For "AS": what `support` or `start` found for the same movie, at any temperature; the
                K best are searched now if it is not given.
        """
        choices = Choices.of(graph)
        with torch.autocast(choices.score.device.type, enabled=False):
            summed = self._sum(graph, choices, support)
        return self._probabilities(graph, choices, summed)

    def support(self, graph: CandidateGraph) -> Support:
        """Find the K best assignments of every frame pair; they are the same at every temperature.

        Raises:
            InputError: A frame pair without feasible assignment, or one in which a second daughter is likelier
                than a first (disappear + divide > 0).
        """
        return self._support(HostCopy.of(graph)).to(graph.device)

    def start(self, graph: CandidateGraph) -> "Future[Support]":
        """`support` in the background, so that the device can score the next movie meanwhile.

        The scores are copied to pinned memory without waiting for the device; a thread waits for the copy and
        solves. `Future.result()` is the support for `forward`, on the CPU until `forward` moves it.
        """
        copy = HostCopy.of(graph)
        pool = ThreadPoolExecutor(1)
        started = pool.submit(self._support, copy)
        pool.shutdown(wait=False)
        return started

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def log_prob(self, graph: CandidateGraph, mother: Tensor, support: Support | None = None) -> Tensor:
        """Joint log-likelihood L(A) - log Z of an assignment: the structured loss for training scorers.

        Its gradient is the difference between the assignment and the marginals. With "AS", Z is that of the K
        best and of the assignment itself, a lower bound. With "bp", log Z is Bethe's estimate.

        Args:
            graph: Candidate links, scores divided by the temperature.
            mother: (N,) int64, mother of each cell, or -1 for none.
            support: As for `forward`.

        Returns:
            (n_frames - 1,) log-probability of each frame pair, in the dtype of the scores; -inf where the
            assignment needs a link that is no candidate, a third daughter, or a forbidden event.

        Raises:
            InputError: `mother` has another shape than (N,) or names cells that do not exist.

        >>> import numpy as np
        >>> from torchtrack_uq.detections import Detections
        >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
        >>> graph = CandidateGraph.from_links(cells, [0], [1], [0.0])
        >>> AssignmentPosterior("exact").log_prob(graph, torch.tensor([-1, 0])).exp()
        tensor([0.5000])
        """
        choices = Choices.of(graph)
        made, feasible = _choices_made(graph, choices, mother)
        weight = log_weight(choices.score, made, choices.pair, choices.n_pairs)
        with torch.autocast(choices.score.device.type, enabled=False):
            if self.method == "AS":
                support = self.support(graph) if support is None else support.to(graph.device)
                log_z = _with_assignment(choices, support, made, weight)
            else:
                log_z = self._sum(graph, choices, None).log_z
        return (weight - log_z).masked_fill(~feasible, -torch.inf).to(graph.dtype)

    def _support(self, copy: HostCopy) -> Support:
        graph = copy.graph()
        problems = MovieProblems.of(graph)
        score = to_host(Choices.of(graph).score)
        best = problems.solve(partial(k_best, k=self.k), score)
        return Support.of(problems, [problems.build(p, score) for p in range(problems.n_pairs)], best)

    def _sum(self, graph: CandidateGraph, choices: Choices, support: Support | None) -> "_Summed":
        if self.method == "AS":
            support = self.support(graph) if support is None else support.to(graph.device)
            return self._sum_listed(graph, choices, support)
        if self.method == "bp":
            return _sum_beliefs(graph, choices)
        options = SumOptions(self.method, self.tolerance, self.memory_limit)
        found = MarginalsFunction.apply(choices.score, MovieProblems.of(graph), options)  # type: ignore[no-untyped-call]
        choice, log_z, (covered, error, exact) = cast("tuple[Tensor, Tensor, Tensor]", found)
        return _Summed(choice, log_z, covered, error, exact > 0)

    def _sum_listed(self, graph: CandidateGraph, choices: Choices, support: Support) -> "_Summed":
        listed = _weigh_listed(choices, support)
        left = Leftover.of(graph, choices, support, listed)
        choice = give_leftover(graph, choices, listed.choice, left.share) if self.leftover else listed.choice
        share = left.share.detach() if self.leftover else torch.zeros_like(left.covered_mass)
        error = (1 - left.covered_mass + share).clamp(max=1.0)
        return _Summed(choice, listed.log_total, left.covered_mass, error, error <= self.tolerance)

    def _probabilities(self, graph: CandidateGraph, choices: Choices, summed: "_Summed") -> LinkProbabilities:
        link, appear, disappear, divide = choices.split(summed.choice)
        null = appear.masked_fill(~choices.is_daughter, 1.0)
        return LinkProbabilities(
            graph,
            safe_log(link).to(graph.dtype),
            safe_log(null).to(graph.dtype),
            disappear.masked_fill(~choices.is_mother, 1.0).to(graph.dtype),
            divide.masked_fill(~choices.is_mother, 0.0).to(graph.dtype),
            self.method,
            summed.log_z,
            summed.covered_mass,
            summed.error_bound,
            summed.exact,
        )

    def extra_repr(self) -> str:
        """Options, for `print(module)`."""
        return f"method={self.method!r}" + (f", k={self.k}" if self.method == "AS" else "")


class _Summed(NamedTuple):
    """Probabilities (C,) of all choices, log Z and certificate (P,) of every frame pair."""

    choice: Tensor
    log_z: Tensor
    covered_mass: Tensor
    error_bound: Tensor
    exact: Tensor


def _sum_beliefs(graph: CandidateGraph, choices: Choices) -> _Summed:
    score, appear, disappear, divide = choices.split(choices.score)
    found = belief_propagation(score, graph.mother, graph.daughter, appear, disappear, divide)
    choice = torch.cat([found.link, found.null, found.disappear, found.divide])
    at = choices.pair[graph.n_links :]
    n, pairs = graph.n_cells, choices.n_pairs
    d, m = choices.is_daughter, choices.is_mother
    log_z = segment_sum(found.as_daughter[d], at[:n][d], pairs) + segment_sum(
        found.as_mother[m], at[n : 2 * n][m], pairs
    )
    nothing = torch.zeros_like(log_z)
    return _Summed(choice, log_z, nothing, torch.full_like(log_z, torch.inf), nothing > 0)


def _choices_made(graph: CandidateGraph, choices: Choices, mother: Tensor) -> tuple[Tensor, Tensor]:
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


def _weigh_listed(choices: Choices, support: Support) -> ListedMarginals:
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


def _with_assignment(choices: Choices, support: Support, made: Tensor, weight: Tensor) -> Tensor:
    """Log Z of the listed assignments and, where it is not among them, of the given one."""
    listed = _weigh_listed(choices, support)
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
