"""FP: the classification view of costs that are averaged under noise."""

from typing import Any

from torchtrack_uq.layers.method import Scaling, Scores, graph_of, perturbed, with_graph
from torchtrack_uq.layers.parental_softmax import ParentalSoftmax
from torchtrack_uq.links.probabilities import LinkProbabilities


class MeanScoresSoftmax(ParentalSoftmax):
    """Daughter-wise softmax of scores averaged over draws of noise: the method FP (paper sec. 2).

    `ParentalSoftmax()(perturbed.mean_graph())` in one.
    """

    name = "FP"
    needs_noise = True

    def at(self, scores: Scores, scaling: Scaling, solved: Any | None = None) -> LinkProbabilities:
        """Average, temper, softmax."""
        mean = perturbed(scores, self).mean_graph()
        return with_graph(self(scaling.tempered(mean)), graph_of(scores))
