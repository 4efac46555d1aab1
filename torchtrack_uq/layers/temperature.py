"""A learnable temperature that is positive by construction."""

import math

import torch
from torch import Tensor, nn

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import SCORES


class TemperatureScaler(nn.Module):
    """Divides every score of a candidate graph, event scores included, by a temperature T.

    T > 1 makes the probabilities less certain, T < 1 more. It changes neither the likeliest mother nor the
    MAP assignment. Temperature scaling: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.

    Args:
        temperature: Initial T, positive.

    Attributes:
        raw_temperature: The parameter, log T, so that T stays positive whatever an optimiser does.
        fitted: Buffer, whether T was fitted on annotated data; survives `state_dict`.

    Raises:
        InputError: T is not a positive, finite number.

    >>> scaler = TemperatureScaler(2.0)
    >>> scaler(torch.tensor([3.0, -torch.inf])).detach()
    tensor([1.5000,   -inf])
    """

    fitted: Tensor

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.raw_temperature = nn.Parameter(torch.tensor(_log_of(temperature), dtype=torch.float64))
        self.register_buffer("fitted", torch.tensor(False))

    @property
    def temperature(self) -> Tensor:
        """T, a scalar tensor with gradient."""
        return self.raw_temperature.exp()

    @temperature.setter
    def temperature(self, value: float) -> None:
        with torch.no_grad():
            self.raw_temperature.fill_(_log_of(value))

    def forward(self, scores: "CandidateGraph | Tensor") -> "CandidateGraph | Tensor":
        """Scale a graph's scores (giving a graph) or a tensor of scores of any shape (giving a tensor)."""
        if isinstance(scores, Tensor):
            return divide_scores(scores, self.temperature)
        return scores.with_scores(
            *(divide_scores(getattr(scores, name), self.temperature) for name in SCORES)
        )

    def extra_repr(self) -> str:
        """T and whether it was fitted, for `print(module)`."""
        return f"temperature={float(self.temperature.detach()):.4g}, fitted={bool(self.fitted)}"


def divide_scores(score: Tensor, temperature: Tensor) -> Tensor:
    """Scores divided by T; -inf stays -inf and leaves the gradient of T alone.

    (d/dT of s / T is -s / T^2, and autograd would multiply infinity by the 0 that a forbidden choice gets.)
    """
    forbidden = score == -torch.inf
    divided: Tensor = score.masked_fill(forbidden, 0.0) / temperature.to(score)
    return divided.masked_fill(forbidden, -torch.inf)


def _log_of(temperature: float) -> float:
    if not (math.isfinite(temperature) and temperature > 0):
        raise InputError(f"temperature must be a positive number, got {temperature}")
    return math.log(temperature)
