"""What every method returns: probabilities of all candidate links and events of a movie."""

from dataclasses import dataclass

from torch import Tensor

from torchtrack_uq.candidates import CandidateGraph
from torchtrack_uq.functional import class_entropy, top_probability


@dataclass(frozen=True, eq=False)
class LinkProbabilities:
    """Probabilities of a movie's links and events; N cells, E candidate links.

    Attributes:
        graph: The candidate links, with the tracker's own scores.
        log_link: (E,) log-probability of each link.
        log_null: (N,) log-probability that a cell has no mother (0 in frame 0, which has no frame before).
        disappear: (N,) probability that a cell has no daughter.
        divide: (N,) probability that a cell has two daughters.
        method: Which method they come from, such as "SM".
    """

    graph: CandidateGraph
    log_link: Tensor
    log_null: Tensor
    disappear: Tensor
    divide: Tensor
    method: str

    @property
    def link(self) -> Tensor:
        """(E,) probability of each link."""
        return self.log_link.exp()

    @property
    def null(self) -> Tensor:
        """(N,) probability that a cell has no mother: it appeared."""
        return self.log_null.exp()

    @property
    def entropy(self) -> Tensor:
        """(N,) entropy in nats of each cell's distribution over mothers and "no mother" (paper eq. 6)."""
        return class_entropy(self.log_link, self.graph.daughter, self.log_null)

    @property
    def confidence(self) -> Tensor:
        """(N,) probability of each cell's likeliest mother, or of "no mother" where that is likelier."""
        return top_probability(self.log_link, self.graph.daughter, self.log_null)
