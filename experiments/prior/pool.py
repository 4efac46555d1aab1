"""The distribution over movies that single movies' likelihoods are drawn from, by expectation maximisation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Likelihood:
    """What a movie's annotation says of K parameters: a quadratic around where its fit ended.

    Attributes:
        kind: See `Item.kind`.
        value: (K,) where the fit ended.
        gradient: (K,) of the log-likelihood there, which a weak prior of the fit keeps from 0.
        information: (K, K) minus its second derivative.
        look: (L,) what is seen of the movie without any annotation.
    """

    kind: str
    value: Floats
    gradient: Floats
    information: Floats
    look: Floats


def pool(
    likelihoods: Sequence[Likelihood],
    start: Floats,
    widths: Floats,
    *,
    around: Floats | None = None,
    ridge: float = 1.0,
    strength: float = 3.0,
    n_rounds: int = 200,
) -> tuple[Floats, Floats]:
    """(1 + L, K) coefficients of the mean and (K, K) covariance around it; each kind of movie with the same weight.

    Normal hierarchical regression (Gelman et al., Bayesian Data Analysis, 3rd ed., 2013, ch. 15) with Laplace's
    approximation of each movie's likelihood: parameters = (1, look) @ coefficients + noise. The covariance has an
    inverse Wishart prior worth `strength` kinds of movies with these widths, so that it is never narrower than few
    movies can say; coefficients have priors of `ridge` widths around those in `around`, or around 0 and for the
    constant around `start`.

    Args:
        likelihoods: At least one; `look` should have mean 0 and variance 1 or so.
        start: (K,) where the constant is drawn to.
        widths: (K,) standard deviations of the prior.
        around: (1 + L, K) coefficients of a tracker that was seen on more kinds of movies: what a missed or a dividing
            cell is does not depend on the tracker.
        ridge: Widths that a coefficient is free to have.
        strength: How many kinds of movies the prior of the covariance is worth.
        n_rounds: Of expectation maximisation.
    """
    kinds = sorted({item.kind for item in likelihoods})
    count = {kind: sum(item.kind == kind for item in likelihoods) for kind in kinds}
    weight = np.array([1.0 / count[item.kind] for item in likelihoods])
    x = np.array([[1.0, *item.look] for item in likelihoods])
    floor = np.diag(widths**2)
    prior_mean = np.zeros((x.shape[1], len(start)))
    prior_mean[0] = start
    if around is not None:
        prior_mean = around
    coefficients, covariance = prior_mean.copy(), floor.copy()
    n, k = x.shape[1], len(start)
    gram = (x * weight[:, None]).T @ x
    for _ in range(n_rounds):
        precision = np.linalg.inv(covariance)
        means, spreads = [], []
        for item, mean in zip(likelihoods, x @ coefficients, strict=True):
            spread = np.linalg.inv(item.information + precision)
            means.append(spread @ (item.information @ item.value + item.gradient + precision @ mean))
            spreads.append(spread)
        # ridge regression of all parameters at once, since the noise is correlated
        drawn = np.diag(np.tile(1 / (ridge * widths) ** 2, n))
        left = np.kron(gram, precision) + drawn
        right = ((x * weight[:, None]).T @ np.array(means) @ precision).ravel() + drawn @ prior_mean.ravel()
        coefficients = np.linalg.solve(left, right).reshape(n, k)
        away = np.array(means) - x @ coefficients
        scatter = sum(w * (np.outer(a, a) + s) for w, a, s in zip(weight, away, spreads, strict=True))
        covariance = (scatter + strength * floor) / (len(kinds) + strength)
    return coefficients, covariance
