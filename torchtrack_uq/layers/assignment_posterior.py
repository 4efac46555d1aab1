"""The posterior over assignments as a layer: AS, exact, auto and belief propagation."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from torchtrack_uq.assignment import AssignmentProblem, KBest, Marginals, k_best
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.joint_likelihood import JointLikelihood
from torchtrack_uq.layers.method import Scaling, Scores, graph_of, with_graph
from torchtrack_uq.layers.uncompiled import uncompiled
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.chunks import LinkChunk, candidates_from_chunks, in_order
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.posterior.beliefs import sum_beliefs
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.columns import normalise_columns
from torchtrack_uq.posterior.drawable import DrawableSums
from torchtrack_uq.posterior.exact import MarginalsFunction, SumOptions
from torchtrack_uq.posterior.listed import sum_listed
from torchtrack_uq.posterior.problems import MovieProblems, to_host
from torchtrack_uq.posterior.stream import GraphCopy, solve_stream
from torchtrack_uq.posterior.summed import Summed
from torchtrack_uq.posterior.support import Support

PosteriorMethod = Literal["AS", "exact", "auto", "bp"]
POSTERIOR_METHODS: tuple[PosteriorMethod, ...] = ("AS", "exact", "auto", "bp")


class AssignmentPosterior(JointLikelihood):
    """Marginals of links and events under p(A) = exp(L(A)) / Z over all feasible assignments (paper eq. 2, 3).

    Feasible means at most one mother a daughter and at most two daughters a mother; the scores of
    appearance, disappearance and division count. A temperature divides the scores before they come here
    (`TemperatureScaler`, `UncertaintyLayer`). The methods:

    - "AS": the K best assignments of every frame pair, weighted by exp(L) (paper eq. 4). Plain autograd over
      the fixed support: a softmax over K energies. Where links may skip frames (`graph.max_gap` > 1), the K best of
      every component of the movie, in all combinations; without gradient then.
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
        null_class: For "AS", whether "no mother" is a class; False divides its mass away, see `normalise_columns`.
        tolerance: Largest error of a probability that counts as exact, and that "exact" and "auto" may make.
        memory_limit: Bytes that summing one frame pair may take; by default 512 MiB for "exact", and for "auto" some
            for each cell, so that it takes milliseconds to find what is too ambiguous to be exact.

    Raises:
        InputError: An unknown method, K below 1, a negative tolerance, or a memory limit that is not positive.

    >>> import numpy as np
    >>> from torchtrack_uq.movies.detections import Detections
    >>> cells = Detections.from_points(np.array([0, 1, 1, 1]), np.zeros((4, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0, 0, 0], [1, 2, 3], [0.0, 0.0, 0.0])
    >>> AssignmentPosterior("exact")(graph).link  # 1 + 3 + 3 assignments with 0, 1, 2 links; 3 links are too many
    tensor([0.4286, 0.4286, 0.4286])
    """

    def __init__(
        self,
        method: PosteriorMethod = "auto",
        k: int = 100,
        *,
        leftover: bool = True,
        null_class: bool = True,
        tolerance: float = 1e-3,
        memory_limit: int | None = None,
    ) -> None:
        super().__init__()
        if method not in POSTERIOR_METHODS:
            raise InputError(f"method {method!r} is unknown; expected one of {', '.join(POSTERIOR_METHODS)}")
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise InputError(f"k must be an integer of at least 1, got {k!r}")
        if not tolerance >= 0:
            raise InputError(f"tolerance must be at least 0, got {tolerance}")
        if memory_limit is not None and memory_limit < 1:
            raise InputError(f"memory_limit must be a positive number of bytes, got {memory_limit}")
        if not (null_class or method == "AS"):
            raise InputError(f"null_class=False is for method AS; {method} always counts having no mother")
        self.method, self.k, self.leftover, self.tolerance = method, k, leftover, tolerance
        self.name, self.null_class, self.memory_limit = method, null_class, memory_limit

    @uncompiled  # the solvers are compiled by numba
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
        return summed.probabilities(graph, choices, self.method, self.options)

    def support(self, graph: CandidateGraph) -> Support:
        """Find the K best assignments of every frame pair; they are the same at every temperature.

        Raises:
            InputError: A frame pair without feasible assignment, or one in which a second daughter is likelier
                than a first (disappear + divide > 0); or links that skip frames, whose lists are made by component.
        """
        if graph.max_gap > 1:
            raise InputError(
                f"K best lists are kept for pairs of frames, but links span up to {graph.max_gap} frames here; call "
                "the layer without a support, or make candidates with max_gap=1"
            )
        return self._support(GraphCopy.of(graph)).to(graph.device)

    def start(self, graph: CandidateGraph) -> "Future[Support]":
        """`support` in the background, so that the device can score the next movie meanwhile.

        The scores are copied to pinned memory without waiting for the device; a thread waits for the copy and
        solves. `Future.result()` is the support for `forward`, on the CPU until `forward` moves it.
        """
        copy = GraphCopy.of(graph)
        pool = ThreadPoolExecutor(1)
        started = pool.submit(self._support, copy)
        pool.shutdown(wait=False)
        return started

    def at(self, scores: Scores, scaling: Scaling, solved: Support | None = None) -> LinkProbabilities:
        """Temper, sum over assignments."""
        graph = graph_of(scores)
        return with_graph(self(scaling.tempered(graph), solved), graph)

    def solve(self, scores: Scores, scaling: Scaling) -> Support | None:
        """For "AS" the K best assignments (event offsets do change them), for other methods None."""
        graph = graph_of(scores)
        return self.support(scaling.tempered(graph)) if self._lists_pairs(graph) else None

    @property
    def cheap_gradient(self) -> bool:
        """For "AS": autograd over a fixed list."""
        return self.method == "AS"

    @property
    def may_refuse(self) -> bool:
        """For "exact"."""
        return self.method == "exact"

    @property
    def streams(self) -> bool:
        """Whether `stream` solves during the scoring: the method works on the CPU, and no gradient is wanted."""
        return self.method != "bp" and not torch.is_grad_enabled()

    @uncompiled
    def stream(
        self,
        detections: Detections,
        chunks: Iterable[LinkChunk],
        temper: Callable[[Any], Any] | None = None,
    ) -> LinkProbabilities:
        """Marginals of a whole movie whose candidate links are still being scored.

        Frame pairs are solved in threads on the CPU as soon as their chunk is there, while the device scores the
        next (see `solve_stream`). The numbers are those of `forward`, to the last bit. With gradients, and for
        "bp", all chunks are collected first.

        Args:
            detections: The movie's cells.
            chunks: Scored links from `StreamingTracker.stream`.
            temper: Makes of a chunk, and of the whole graph, the same with scores at the temperature and with
                the event scores wanted, by its `with_scores`; by default they are taken as they are.

        Returns:
            Probabilities with the graph of the given scores.

        Raises:
            InputError: As `forward`, and for chunks that do not follow each other.
        """
        tempered = temper or nn.Identity()
        kept: list[LinkChunk] = []

        def arriving() -> Iterator[LinkChunk]:
            for chunk in in_order(chunks, detections.n_frames):
                kept.append(chunk)
                yield tempered(chunk)

        if not self.streams:
            graph = candidates_from_chunks(detections, chunks)
            p: LinkProbabilities = self(tempered(graph))
        elif self.method == "AS":
            listed = solve_stream(self._list, arriving(), detections.offsets)
            graph = candidates_from_chunks(detections, kept)
            p = self(tempered(graph), _support_of(MovieProblems.of(graph), listed))
        else:
            found = solve_stream(self._sum_options(1).solve, arriving(), detections.offsets)
            graph = candidates_from_chunks(detections, kept)
            p = self.of_solved(tempered(graph), found)
        return replace(p, graph=graph)

    def of_solved(self, graph: CandidateGraph, solved: Sequence[Marginals]) -> LinkProbabilities:
        """Marginals of a movie of which every problem is solved already.

        Args:
            graph: Candidate links, scores divided by the temperature.
            solved: Marginals of each problem.
        """
        choices = Choices.of(graph)
        return self._sum_all(graph, choices, solved).probabilities(graph, choices, self.method, self.options)

    def _list(self, problem: AssignmentProblem) -> tuple[AssignmentProblem, KBest]:
        return problem, k_best(problem, self.k)

    def _support(self, copy: GraphCopy) -> Support:
        graph = copy.graph()
        problems = MovieProblems.of(graph)
        return _support_of(problems, problems.solve(self._list, to_host(Choices.of(graph).score)))

    def _sum(self, graph: CandidateGraph, choices: Choices, support: Support | None) -> Summed:
        if self._lists_pairs(graph):
            support = self.support(graph) if support is None else support.to(graph.device)
            summed = sum_listed(graph, choices, support, leftover=self.leftover, tolerance=self.tolerance)
            return summed if self.null_class else normalise_columns(graph, choices, summed)
        if self.method == "bp":
            return sum_beliefs(graph, choices)
        summed = self._sum_all(graph, choices)
        return summed if self.null_class else normalise_columns(graph, choices, summed)

    def _lists_pairs(self, graph: CandidateGraph) -> bool:
        """Whether it lists the K best of frame pairs, over which autograd runs; components are listed by the engine."""
        return self.method == "AS" and graph.max_gap == 1

    def _sum_options(self, max_gap: int) -> SumOptions:
        if self.method == "AS":
            return SumOptions("component_k_best", self.tolerance, self.memory_limit, self.k)
        return SumOptions(self.method, self.tolerance, self.memory_limit, many_frames=max_gap > 1)

    def _sum_all(
        self, graph: CandidateGraph, choices: Choices, solved: Sequence[Marginals] | None = None
    ) -> Summed:
        options = self._sum_options(graph.max_gap)
        problems = MovieProblems.of(graph)
        numbers = to_host(choices.score)
        if solved is None:
            solved = problems.solve(options.solve, numbers)
        arguments = choices.score, problems, options, solved
        found = MarginalsFunction.apply(*arguments)  # type: ignore[no-untyped-call]
        choice, log_z, certificate, cell_error = cast("tuple[Tensor, Tensor, Tensor, Tensor]", found)
        covered, error, exact, log_z_error = certificate
        default = options.method == "auto" and options.tolerance == 1e-3 and options.memory_limit is None
        drawable = default and not choices.score.requires_grad  # no fit draws histories of its steps
        sums = DrawableSums.of_sums(problems, numbers, solved) if drawable else None
        return Summed(choice, log_z, covered, error, exact > 0, log_z_error, cell_error, sums)

    def extra_repr(self) -> str:
        """Options, for `print(module)`."""
        shown = {"method": self.method, **({"k": self.k} if self.method == "AS" else {}), **self.options}
        return ", ".join(f"{name}={value!r}" for name, value in shown.items())


def _support_of(problems: MovieProblems, listed: Sequence[tuple[AssignmentProblem, KBest]]) -> Support:
    return Support.of(problems, [problem for problem, _ in listed], [best for _, best in listed])
