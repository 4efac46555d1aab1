"""Gradients that cannot be differentiated again say so."""

from typing import Any

import torch
from torch import Tensor


class OnlyOnce(torch.autograd.Function):
    """A gradient as it is, with an error for whoever differentiates it.

    Unlike torch's `once_differentiable` it stands between the gradient and everything that it depends on, so that no
    second derivative comes out with a part missing.

    >>> x = torch.ones((), requires_grad=True)
    >>> gradient = OnlyOnce.apply("there is no second derivative", 2 * x, x)
    >>> float(gradient.detach())
    2.0
    >>> torch.autograd.grad(gradient, x)
    Traceback (most recent call last):
    RuntimeError: there is no second derivative
    """

    @staticmethod
    def forward(ctx: Any, message: str, gradient: Tensor, *sources: Tensor) -> Tensor:
        """The gradient; `sources` is all that it depends on."""
        ctx.message = message
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Refuse.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(ctx.message)
