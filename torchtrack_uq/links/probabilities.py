"""What every method returns: probabilities of all candidate links and events of a movie."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from torchtrack_uq.functional import class_entropy, segment_sum, top_probability
from torchtrack_uq.functional.tensor_fields import TensorFields
from torchtrack_uq.links.candidates import CandidateGraph


@dataclass(frozen=True, eq=False)
class LinkProbabilities(TensorFields):
    """Probabilities of a movie's links and events; N cells, E candidate links.

    Attributes:
        graph: The candidate links, with the tracker's own scores.
        log_link: (E,) log-probability of each link.
        log_null: (N,) log-probability that a cell has no mother (0 in frame 0, which has no frame before).
        disappear: (N,) probability that a cell has no daughter.
        divide: (N,) probability that a cell has two daughters.
        method: Which method they come from, such as "SM".
        log_z: (P,) log of the sum over assignments of each of the P problems, n_frames - 1 pairs of frames or as many
            as there are movies (see `CandidateGraph`), or None.
        covered_mass: (P,) float64, share of the posterior mass that was summed over (a lower bound where it is
            not known), or None for methods that do not sum over assignments.
        error_bound: (P,) float64, proved bound on the largest error of a marginal; inf where none is known.
        exact: (P,) bool, whether that bound is within the method's tolerance.
        log_z_error: (P,) float64, proved bound on the error of log_z; inf where none is known.
        cell_error: (N,) float64, proved bound on the error of each cell's own probabilities, those of its mothers and
            of none: that of its component, where components were told apart; inf where none is known, 0 in frame 0.
        options: Options of the method that are not the default ones, such as {"null_class": False}.
        sums: `torchtrack_uq.posterior.drawable.DrawableSums`, which spares `draw_histories` a second sum; None for
            methods that do not sum by elimination. Neither stored in files nor told
            apart by `unbatch`.
    """

    float_fields: ClassVar[tuple[str, ...]] = ("graph", "log_link", "log_null", "disappear", "divide")
    of_links: ClassVar[tuple[str, ...]] = ("log_link",)
    of_problems: ClassVar[tuple[str, ...]] = ("log_z", "covered_mass", "error_bound", "exact", "log_z_error")

    graph: CandidateGraph
    log_link: Tensor
    log_null: Tensor
    disappear: Tensor
    divide: Tensor
    method: str
    log_z: Tensor | None = None
    covered_mass: Tensor | None = None
    error_bound: Tensor | None = None
    exact: Tensor | None = None
    log_z_error: Tensor | None = None
    cell_error: Tensor | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    sums: Any = field(default=None, repr=False)

    @property
    def link(self) -> Tensor:
        """(E,) probability of each link."""
        return self.log_link.exp()

    @property
    def null(self) -> Tensor:
        """(N,) probability that a cell has no mother: it appeared."""
        return self.log_null.exp()

    @property
    def appear(self) -> Tensor:
        """(N,) probability that a cell appeared: `null`, and 0 in frame 0, where nothing can be known."""
        return self.null * self.graph.is_daughter

    @property
    def missed(self) -> Tensor:
        """(N,) probability that a cell has a mother, but was missed in the frame before: a link over a gap."""
        over_gap = self.link * (self.graph.gap > 1)
        return segment_sum(over_gap, self.graph.daughter, self.graph.n_cells)

    def unbatch(self) -> "list[LinkProbabilities]":
        """The probabilities of each movie of a batch (`CandidateGraph.batch`), numbers as they are; differentiable.

        >>> from torchtrack_uq import Detections, ParentalSoftmax
        >>> import numpy as np
        >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
        >>> graphs = [CandidateGraph.from_links(cells, [0], [1], [score]) for score in (0.0, 9.0)]
        >>> [p.link for p in ParentalSoftmax()(CandidateGraph.batch(graphs)).unbatch()]
        [tensor([0.5000]), tensor([0.9999])]
        """
        graph = self.graph
        movies: list[dict[str, Any]] = [{"graph": part, "sums": None} for part in graph.unbatch()]
        for name, values in self._values().items():
            if isinstance(values, Tensor):
                links, problems = name in self.of_links, name in self.of_problems
                split = (
                    graph.split_links if links else graph.split_problems if problems else graph.split_cells
                )
                for movie, part in zip(movies, split(values), strict=True):
                    movie[name] = part
        return [self.with_tensors(**movie) for movie in movies]

    def log_error_bound(self, least: float = 1e-6) -> Tensor:
        """(N,) float64 bound on the error of each cell's log-probabilities that are at least log `least`, in nats.

        A probability p that is wrong by at most e has a logarithm that is wrong by at most -log(1 - e / p). Bounds
        above 0.01 flag cells whose likelihood should not be trusted to 1 %; inf where nothing is proved.
        """
        if self.cell_error is None:
            return torch.full((self.graph.n_cells,), torch.inf, dtype=torch.float64, device=self.graph.device)
        share = self.cell_error.double() / least
        return torch.where(share < 1, -torch.log1p(-share.clamp(max=1 - 1e-12)), torch.inf)

    @property
    def expected_daughters(self) -> Tensor:
        """(N,) expected number of daughters of each cell; at most 2 unless a method ignores capacity."""
        return segment_sum(self.link, self.graph.mother, self.graph.n_cells)

    @property
    def entropy(self) -> Tensor:
        """(N,) entropy in nats of each cell's distribution over mothers and "no mother" (paper eq. 6)."""
        return class_entropy(self.log_link, self.graph.daughter, self.log_null)

    @property
    def confidence(self) -> Tensor:
        """(N,) probability of each cell's likeliest mother, or of "no mother" where that is likelier."""
        return top_probability(self.log_link, self.graph.daughter, self.log_null)
