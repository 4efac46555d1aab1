"""The methods of the study: which layer, on which scores, and where."""

from dataclasses import dataclass

from study.curve import COARSE, FINE
from study.units import COMPARED
from torchtrack_uq.layers import FeaturePerturbation, FrequencyPosterior, UncertaintyLayer
from torchtrack_uq.layers.method import Scores
from torchtrack_uq.links import PerturbedScores

VOTE_EPS = 1e-6
"""What voting adds to a frequency: next to nothing, so that what no draw chose is impossible."""


@dataclass(frozen=True)
class Method:
    """A named layer.

    Attributes:
        name: As in the table.
        layer: Method of `UncertaintyLayer`.
        k: Number of assignments, for AS.
        step: Grid step of its likelihood curve.
        scores: "plain", "perturbed", or "own": averaged over windows as Trackastra does.
    """

    name: str
    layer: str
    k: int = 100
    step: int = FINE
    scores: str = "plain"

    def make(self, n_copies: int) -> UncertaintyLayer:
        """The layer at T = 1."""
        noise = FeaturePerturbation(n_copies) if self.scores == "perturbed" else None
        layer = UncertaintyLayer(self.layer, k=self.k, perturbation=noise)
        if self.name == "vote":
            layer.posterior = FrequencyPosterior(VOTE_EPS)
        return layer

    def choose(self, perturbed: PerturbedScores, own: Scores | None, plain: Scores) -> Scores:
        """The scores that this method starts from."""
        if self.scores == "perturbed":
            return perturbed
        return own if self.scores == "own" and own is not None else plain


MAIN = (
    Method("SM", "SM"),
    Method("FP", "FP", scores="perturbed"),
    Method("FP+A", "FP+A", scores="perturbed"),
    Method("AS", "AS", step=COARSE),
    Method("auto", "auto", step=COARSE),
)
"""What figure 2 of the paper compares, and `auto`."""
EXTRA = (
    Method("AS, K=10", "AS", k=10, step=COARSE),
    Method("AS, K=1000", "AS", k=1000, step=COARSE),
    Method("vote", "FP+A", scores="perturbed"),
)
"""What the paper does not compare."""
OWN = Method("Trackastra's own", "SM", scores="own")
"""Its greedy linker's scores, with what they leave as the probability of having no mother."""


def methods_of(tracker: str) -> tuple[Method, ...]:
    """The methods that a tracker's scores go through."""
    extra = EXTRA if tracker in COMPARED else ()
    return MAIN + extra + ((OWN,) if tracker == "Transformer" else ())
