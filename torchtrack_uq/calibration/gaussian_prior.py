"""What is known of temperature and event scores before any annotation, as a Gaussian."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.errors import InputError

LOG_TEMPERATURE = "log_temperature"
"""What log T is called beside the event scores, which go by their own names."""


@dataclass(frozen=True, eq=False)
class GaussianPrior:
    """A Gaussian over some of a fit's parameters; nothing is known of those that it does not name.

    Attributes:
        names: K parameters, `LOG_TEMPERATURE` among them or not.
        mean: (K,) float64.
        covariance: (K, K) float64, positive definite.

    Raises:
        InputError: Names that stand twice, shapes that do not fit, numbers that are not finite, or a covariance that is
            not positive definite.

    >>> prior = GaussianPrior(("log_temperature", "miss"), np.array([0.4, -1.0]), np.diag([0.25, 4.0]))
    >>> prior.penalty({"miss": torch.tensor(1.0), "divide": torch.tensor(9.0)})
    tensor(0.5000, dtype=torch.float64)
    """

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def __post_init__(self) -> None:
        n = len(self.names)
        if len(set(self.names)) != n:
            raise InputError(f"a prior names parameters once each, got {', '.join(self.names)}")
        if self.mean.shape != (n,) or self.covariance.shape != (n, n):
            raise InputError(
                f"a prior over {n} parameters has a mean of shape {self.mean.shape} and a covariance of shape "
                f"{self.covariance.shape}; expected ({n},) and ({n}, {n})"
            )
        numbers = np.concatenate([self.mean, self.covariance.ravel()])
        symmetric = np.allclose(self.covariance, self.covariance.T, rtol=1e-9, atol=0)
        if not np.isfinite(numbers).all() or not symmetric:
            raise InputError("mean and covariance of a prior must be finite, and the covariance symmetric")
        if n and np.linalg.eigvalsh(self.covariance).min() <= 0:
            raise InputError("the covariance of a prior must be positive definite: give every width above 0")

    @classmethod
    def around_zero(cls, widths: Mapping[str, float | None]) -> "GaussianPrior":
        """Independent parameters around 0 with these widths; None for those of which nothing is known.

        >>> GaussianPrior.around_zero({"appear": 10.0, "divide": None}).names
        ('appear',)
        """
        known = {name: width for name, width in widths.items() if width is not None}
        if bad := [name for name, width in known.items() if not width > 0]:
            raise InputError(
                f"the width of the prior on {bad[0]} must be positive, or None for no prior; got {known[bad[0]]}"
            )
        return cls(tuple(known), np.zeros(len(known)), np.diag(np.square(np.fromiter(known.values(), float))))

    def of(self, names: Sequence[str]) -> "GaussianPrior":
        """The marginal of those of these parameters that it knows, in its own order."""
        kept = [i for i, name in enumerate(self.names) if name in set(names)]
        return GaussianPrior(
            tuple(self.names[i] for i in kept), self.mean[kept], self.covariance[np.ix_(kept, kept)]
        )

    def with_widths(self, widths: Mapping[str, float | None]) -> "GaussianPrior":
        """It and, for parameters that it does not name, independent ones around 0."""
        more = GaussianPrior.around_zero({k: w for k, w in widths.items() if k not in self.names})
        n, m = len(self.names), len(more.names)
        covariance = np.zeros((n + m, n + m))
        covariance[:n, :n], covariance[n:, n:] = self.covariance, more.covariance
        return GaussianPrior(self.names + more.names, np.concatenate([self.mean, more.mean]), covariance)

    def penalty(self, values: Mapping[str, Tensor]) -> Tensor:
        """Minus the log-density of those parameters that it names, up to a constant; scalar with gradient."""
        mine = self.of(list(values))
        if not mine.names:
            return torch.zeros((), dtype=torch.float64)
        away = torch.stack([(values[name] * 1.0).double().cpu() for name in mine.names])
        away = away - torch.from_numpy(mine.mean)
        found: Tensor = away @ torch.linalg.solve(torch.from_numpy(mine.covariance), away) / 2
        return found

    def precision(self, names: Sequence[str]) -> NDArray[np.float64]:
        """(K', K') inverse covariance of these parameters' marginal, 0 for those of which nothing is known."""
        mine, found = self.of(names), np.zeros((len(names), len(names)))
        at = [list(names).index(name) for name in mine.names]
        found[np.ix_(at, at)] = np.linalg.inv(mine.covariance)
        return found

    @property
    def values(self) -> dict[str, float]:
        """The means by name."""
        return dict(zip(self.names, self.mean.tolist(), strict=True))

    @property
    def widths(self) -> dict[str, float]:
        """The standard deviations by name."""
        return dict(zip(self.names, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    def to_json(self) -> dict[str, Any]:
        """Plain lists, for a file."""
        return {"names": list(self.names), "mean": self.mean.tolist(), "covariance": self.covariance.tolist()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "GaussianPrior":
        """From `to_json`.

        Raises:
            InputError: Something else was given.
        """
        try:
            names = tuple(str(name) for name in content["names"])
            mean, covariance = (np.array(content[name], dtype=float) for name in ("mean", "covariance"))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"a prior needs names, mean and covariance; {error!r}") from error
        return cls(names, mean, covariance)
