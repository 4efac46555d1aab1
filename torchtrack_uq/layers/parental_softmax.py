"""The classification view (SM) as a layer."""

from typing import Any

from torchtrack_uq.functional import independent_events, parental_log_softmax
from torchtrack_uq.layers.method import Method, Scaling, Scores, graph_of, with_graph
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities


class ParentalSoftmax(Method):
    """Daughter-wise softmax over candidate mothers and "no mother": the method SM (paper eq. 5).

    Every daughter is looked at by itself, so a mother may get an expected number of daughters above two.
    Differentiable in all scores; works on the ragged batch as it is, without padding.

    Args:
        null_class: Whether "no mother" is a class with the score `appear`; False gives the paper's equation 5
            to the letter, in which only a daughter without candidates has no mother.

    >>> import numpy as np
    >>> from torchtrack_uq.movies.detections import Detections
    >>> cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)))
    >>> ParentalSoftmax()(CandidateGraph.from_links(cells, [0], [1], [0.0])).link
    tensor([0.5000])
    """

    name = "SM"

    def __init__(self, null_class: bool = True) -> None:
        super().__init__()
        self.null_class = null_class

    def forward(self, graph: CandidateGraph) -> LinkProbabilities:
        """Link probabilities of a whole movie."""
        log_link, log_null = parental_log_softmax(
            graph.score, graph.daughter, graph.appear, null_class=self.null_class
        )
        disappear, divide = independent_events(log_link.exp(), graph.mother, graph.n_cells)
        return LinkProbabilities(
            graph, log_link, log_null, disappear, divide, self.name, options=self.options
        )

    @property
    def cheap_gradient(self) -> bool:
        """Plain autograd."""
        return True

    def at(self, scores: Scores, scaling: Scaling, solved: Any | None = None) -> LinkProbabilities:
        """Temper, softmax."""
        graph = graph_of(scores)
        return with_graph(self(scaling.tempered(graph)), graph)

    def extra_repr(self) -> str:
        """Options, for `print(module)`."""
        return f"null_class={self.null_class}"
