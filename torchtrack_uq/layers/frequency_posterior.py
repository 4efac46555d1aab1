"""FP+A: how often a link is in the MAP assignment of a perturbed frame pair."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.assignment import AssignmentProblem, solve_map, solve_map_many
from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.frequencies import tempered_frequencies
from torchtrack_uq.layers.method import Method, Scaling, Scores, perturbed
from torchtrack_uq.layers.uncompiled import uncompiled
from torchtrack_uq.links.names import EVENT_SCORES
from torchtrack_uq.links.perturbed_scores import PerturbedScores
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.problems import (
    Floats,
    FrameChoices,
    MovieProblems,
    solve_pair,
    solve_pairs,
    to_host,
)


class FrequencyPosterior(Method):
    """Solves the MAP of every draw and counts in how many an event occurs: the method FP+A (paper sec. 2).

    P = softmax(log(f + eps) / T) over a daughter's candidate mothers and "no mother", with f the frequency
    among R draws. Counting has no gradient, so only T gets one. Solves start from the MAP without noise.

    Args:
        eps: Added to every frequency; by default 1 / (2 R), so that no candidate link has probability 0.
        null_class: Whether "no mother" is a class; False divides the links' probabilities by their sum over mothers
            (the paper's column normalisation), and only a daughter that was never linked has no mother.

    Raises:
        InputError: A negative eps.
    """

    name = "FP+A"
    needs_noise = True
    takes_offsets = False

    def __init__(self, eps: float | None = None, null_class: bool = True) -> None:
        super().__init__()
        if eps is not None and not eps >= 0:
            raise InputError(f"eps must be at least 0, got {eps}")
        self.eps, self.null_class = eps, null_class

    @uncompiled  # the solvers are compiled by numba
    def forward(self, scores: PerturbedScores, temperature: Tensor | float = 1.0) -> LinkProbabilities:
        """Link probabilities of a whole movie.

        Args:
            scores: Scores under R draws of noise.
            temperature: T, which acts on the counted frequencies; the MAPs do not depend on it.
        """
        return self.temper(scores, self.count(scores), temperature)

    @property
    def cheap_gradient(self) -> bool:
        """T acts on counts that are there already."""
        return True

    def at(self, scores: Scores, scaling: Scaling, solved: Any | None = None) -> LinkProbabilities:
        """Temper the frequencies, counted now if they are not given."""
        draws = perturbed(scores, self)
        frequency = self.count(draws) if solved is None else solved
        return self.temper(draws, frequency, scaling.temperature)

    def solve(self, scores: Scores, scaling: Scaling) -> Tensor:
        """How often each choice was made: `count`."""
        return self.count(perturbed(scores, self))

    def count(self, scores: PerturbedScores) -> Tensor:
        """Frequency of every choice (see `Choices`) among the MAP assignments.

        Returns:
            (C,) float64 in [0, 1], on the device of the scores.

        Raises:
            InputError: A frame pair without feasible assignment.
        """
        problems = MovieProblems.of(scores.graph)
        own = to_host(Choices.of(scores.graph).score)
        rows = [
            to_host(scores.score),
            *(to_host(getattr(scores, name)) for name in EVENT_SCORES),
        ]
        copies = np.concatenate(rows, axis=1)
        count = np.zeros(problems.n_choices)

        def one(pair: int) -> None:
            solve_pair(
                lambda problem: _count_pair(problems, pair, problem, copies, count),
                lambda: problems.build(pair, own),
                problems.where(pair),
            )

        solve_pairs(one, range(problems.n_pairs))
        return torch.from_numpy(count / scores.n_copies).to(scores.graph.device)

    def temper(
        self, scores: PerturbedScores, frequency: Tensor, temperature: Tensor | float = 1.0
    ) -> LinkProbabilities:
        """Probabilities from frequencies: cheap, differentiable in T, no solve."""
        graph, choices = scores.graph, Choices.of(scores.graph)
        link, appear, disappear, divide = choices.split(frequency)
        found = tempered_frequencies(
            link,
            appear,
            disappear,
            divide,
            graph.mother,
            graph.daughter,
            ((scores.score > -torch.inf).any(0)) | (graph.score > -torch.inf),
            (scores.divide > -torch.inf).any(0),
            torch.as_tensor(temperature, dtype=torch.float64, device=graph.device),
            1 / (2 * scores.n_copies) if self.eps is None else self.eps,
            self.null_class,
        )
        dtype = graph.dtype
        return LinkProbabilities(
            graph,
            found.log_link.to(dtype),
            found.log_null.masked_fill(~choices.is_daughter, 0.0).to(dtype),
            found.disappear.masked_fill(~choices.is_mother, 1.0).to(dtype),
            found.divide.masked_fill(~choices.is_mother, 0.0).to(dtype),
            self.name,
            options=self.options,
        )


def _count_pair(
    problems: MovieProblems, pair: int, own: AssignmentProblem, copies: Floats, count: Floats
) -> None:
    """Add the choices of every draw's MAP; other pairs write to other places."""
    links, *events = problems.columns(pair)
    same_events = np.logical_and.reduce(
        [
            (copies[:, column] == scores).all(axis=1)
            for column, scores in zip(events, (own.appear, own.disappear, own.divide), strict=True)
        ]
    )
    choices, start = FrameChoices.of(problems, pair, own), solve_map(own)
    for found in solve_map_many(own, copies[same_events, links], start):
        count[choices.of_parent(found.parent)] += 1
    for row in copies[~same_events]:
        count[choices.of_parent(solve_map(problems.build(pair, row), start).parent)] += 1
