"""What every way to sum over assignments returns, and how it becomes link probabilities."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from torchtrack_uq.functional import safe_log
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.drawable import DrawableSums


class Summed(NamedTuple):
    """Probabilities (C,) of all choices, log Z and certificate (P,) of each problem, and (N,) of each daughter."""

    choice: Tensor
    log_z: Tensor
    covered_mass: Tensor
    error_bound: Tensor
    exact: Tensor
    log_z_error: Tensor
    cell_error: Tensor
    sums: DrawableSums | None = None

    def probabilities(
        self, graph: CandidateGraph, choices: Choices, method: str, options: Mapping[str, Any]
    ) -> LinkProbabilities:
        """The same as probabilities of links and events, in the dtype of the scores."""
        link, appear, disappear, divide = choices.split(self.choice)
        null = appear.masked_fill(~choices.is_daughter, 1.0)
        return LinkProbabilities(
            graph,
            safe_log(link).to(graph.dtype),
            safe_log(null).to(graph.dtype),
            disappear.masked_fill(~choices.is_mother, 1.0).to(graph.dtype),
            divide.masked_fill(~choices.is_mother, 0.0).to(graph.dtype),
            method,
            self.log_z,
            self.covered_mass,
            self.error_bound,
            self.exact,
            self.log_z_error,
            self.cell_error,
            options,
            self.sums,
        )
