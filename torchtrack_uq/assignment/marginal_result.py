"""What `marginals` returns: probabilities with a certificate of how good they are."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray


class ComponentReport(NamedTuple):
    """How each component of the frame pair was treated; one row per component.

    Attributes:
        n_daughters: (C,) int64, daughters in the component.
        n_mothers: (C,) int64, mothers in the component.
        frontier: (C,) int64, largest number of mothers that elimination holds at once; 0 where it was not
            used.
        exact: (C,) bool, whether `error_bound` is within the tolerance.
        error_bound: (C,) float64, proved bound on the error of the component's marginals; inf if none is
            known.
        method: (C,) str, what computed the component's marginals: "exact", "cluster_bp" or
            "component_k_best".
    """

    n_daughters: IntArray
    n_mothers: IntArray
    frontier: IntArray
    exact: BoolArray
    error_bound: FloatArray
    method: NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Marginals:
    """Posterior probabilities of one frame pair under p(A) = exp(L(A) / T) / Z.

    Attributes:
        link: (E,) float64, probability of each candidate link, in the order of the problem.
        null: (N,) float64, probability that a daughter has no mother; with its links it sums to 1.
        disappear: (M,) float64, probability that a mother has no daughter.
        divide: (M,) float64, probability that a mother has two daughters.
        log_z: log of the partition function Z (an estimate unless `error_bound` is 0).
        covered_mass: proved lower bound on the posterior mass of the assignments that were summed or
            listed.
        error_bound: proved bound on the largest error of all of the above probabilities; 0.0 if nothing was
            left out, inf if none is known.
        exact: whether `error_bound` is within the tolerance that was asked for.
        method: what computed them: "exact", "k_best", "component_k_best", "bp", or "cluster_bp" (exact
            elimination of clusters with belief propagation on the links between them) if any component
            needed that; `components.method` then says which did.
        converged: False if belief propagation stopped before its messages settled; True for the other
            methods.
        log_z_error: proved bound on the error of `log_z`; inf if none is known.
        daughter_error: (N,) float64, proved bound on the error of the probabilities of each daughter's links and of her
            null; inf where none is known. A log-probability log p is then wrong by at most -log(1 - error / p).
        mother_error: (M,) float64, the same of each mother's events.
        components: how each component was treated; None where components were not told apart.
        kept: (E,) bool, links that elimination summed over, which a derivative is taken over as well; None for methods
            that list or pass messages.
    """

    link: FloatArray
    null: FloatArray
    disappear: FloatArray
    divide: FloatArray
    log_z: float
    covered_mass: float
    error_bound: float
    exact: bool
    method: str
    converged: bool = True
    log_z_error: float = float("inf")
    daughter_error: FloatArray = field(default_factory=lambda: np.zeros(0), repr=False)
    mother_error: FloatArray = field(default_factory=lambda: np.zeros(0), repr=False)
    components: ComponentReport | None = field(default=None, repr=False)
    kept: BoolArray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, cells in (("daughter_error", self.null), ("mother_error", self.disappear)):
            if len(getattr(self, name)) != len(cells):  # not told apart: what is proved of all
                object.__setattr__(self, name, np.full(len(cells), self.error_bound))

    @property
    def kept_links(self) -> "KeptLinks | None":
        """What drawing takes; None for methods that list or pass messages."""
        return None if self.kept is None else KeptLinks(self.kept, self.daughter_error, self.mother_error)


class KeptLinks(NamedTuple):
    """Links that were summed over, and how right that is; see `Marginals`."""

    kept: BoolArray
    daughter_error: FloatArray
    mother_error: FloatArray


class Direction(NamedTuple):
    """A direction of the scores, or a derivative along one.

    Attributes:
        link: (E,) float64, in the order of the problem.
        null: (N,) float64.
        disappear: (M,) float64.
        divide: (M,) float64.
    """

    link: FloatArray
    null: FloatArray
    disappear: FloatArray
    divide: FloatArray
