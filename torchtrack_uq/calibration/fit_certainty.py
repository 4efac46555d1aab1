"""How sure a fit of temperature and event scores is, and what more annotation would buy."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from torchtrack_uq.calibration.event_objective import EventObjective

_STEP = 0.05
"""Of central differences of the gradient, in log T and nats."""


@dataclass(frozen=True, eq=False)
class FitCertainty:
    """Laplace's approximation of the posterior of the K parameters: a Gaussian around what was fitted.

    Its precision is that of the prior and the information in the annotation, minus the second derivative of the
    log-likelihood (MacKay, Information Theory, Inference, and Learning Algorithms, 2003, ch. 27). Daughters of one
    movie count as that movie's likelihood has them: a movie of another kind may need other numbers altogether, which
    is what the prior's width says.

    Attributes:
        names: K parameters, as `EventObjective.parameters`.
        value: (K,) float64 what was fitted.
        covariance: (K, K) float64; infinite on the diagonal where neither prior nor annotation says anything.
        information: (K, K) float64 in an annotated daughter, on average.
        prior_precision: (K, K) float64.
        n_daughters: Annotated daughters.
    """

    names: tuple[str, ...]
    value: NDArray[np.float64]
    covariance: NDArray[np.float64]
    information: NDArray[np.float64]
    prior_precision: NDArray[np.float64]
    n_daughters: int

    @classmethod
    def of(cls, objective: EventObjective) -> "FitCertainty":
        """Of an objective at its optimum, whose parameters are left as they are; 2 K gradients."""
        names, value = tuple(objective.parameters), np.array(list(objective.values.values()))
        rows = []
        try:
            for i in range(len(value)):
                step = np.eye(len(value))[i] * _STEP
                up, down = mean_gradient(objective, value + step), mean_gradient(objective, value - step)
                rows.append((down - up) / (2 * _STEP))
        finally:
            objective.set(value.tolist())
        information = _positive((np.array(rows) + np.array(rows).T) / 2)
        prior, n = objective.prior.precision(names), objective.n_daughters
        return cls(names, value, _inverse(n * information + prior), information, prior, n)

    @property
    def standard_errors(self) -> dict[str, float]:
        """Standard deviation of each parameter by name; that of log T is T's in shares of T."""
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Where a parameter lies with this probability, in its own units (log T for the temperature).

        Raises:
            ValueError: An unknown name.
        """
        i = self.names.index(name)
        z = float(torch.special.ndtri(torch.tensor((1 + level) / 2, dtype=torch.float64)))
        half = z * float(np.sqrt(self.covariance[i, i]))
        return float(self.value[i] - half), float(self.value[i] + half)

    def expected_excess(self, n_daughters: int) -> float:
        """Nats a daughter that probabilities lose on average by what n annotated daughters leave open.

        tr(F C(n)) / 2 with the information F of a daughter and C(n) = (n F + prior)^-1, the covariance after n of them.
        Directions that no probability depends on cost nothing, however little is known of them (one of appear,
        disappear and divide always is such).
        """
        value, vector = np.linalg.eigh(n_daughters * self.information + self.prior_precision)
        known = value > 1e-12 * max(float(value.max(initial=0)), 1e-300)
        costs = np.einsum("ki,kl,li->i", vector, self.information, vector)  # of a nat along each direction
        if (costs[~known] > 1e-9 * max(float(costs.max(initial=0)), 1e-300)).any():
            return math.inf
        return float((costs[known] / value[known]).sum() / 2)


def mean_gradient(objective: EventObjective, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) gradient of the log-likelihood a daughter; the objective keeps these values of its parameters."""
    objective.set(value.tolist())
    with torch.enable_grad():
        found = torch.autograd.grad(
            objective.log_likelihood(), list(objective.parameters.values()), allow_unused=True
        )
    return np.array([0.0 if g is None else float(g) for g in found])


def _positive(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without negative eigenvalues, which differences leave where nothing is known."""
    value, vector = np.linalg.eigh(matrix)
    found: NDArray[np.float64] = (vector * value.clip(min=0)) @ vector.T
    return found


def _inverse(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """The covariance; directions of which nothing is known make the variances that they enter infinite."""
    value, vector = np.linalg.eigh(precision)
    known = value > 1e-12 * max(float(value.max(initial=0)), 1e-300)
    found: NDArray[np.float64] = (vector[:, known] / value[known]) @ vector[:, known].T
    unknown = (vector[:, ~known] ** 2).sum(1) > 1e-9
    found[unknown, unknown] = np.inf
    return found
