import torch
from torch.autograd import gradcheck

from torchtrack_uq.functional import (
    segment_logsumexp,
)


def test_gradient_of_logsumexp_with_an_empty_segment() -> None:
    values = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda v: segment_logsumexp(v, torch.tensor([0, 2, 2]), 4)[[0, 2]], (values,))
    assert segment_logsumexp(values, torch.tensor([0, 2, 2]), 4)[1] == -torch.inf
