import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from tests.support.small_graph import graph_of
from torchtrack_uq import ParentalSoftmax, TemperatureScaler


@pytest.mark.parametrize("null_class", [True, False])
def test_parental_softmax_passes_gradcheck_through_the_temperature(null_class: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    score = torch.randn(4, dtype=torch.float64, generator=generator, requires_grad=True)
    appear = torch.randn(5, dtype=torch.float64, generator=generator, requires_grad=True)
    scaler, softmax = TemperatureScaler(1.7), ParentalSoftmax(null_class)

    def layers(score: torch.Tensor, appear: torch.Tensor, raw: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scaled = torch.func.functional_call(scaler, {"raw_temperature": raw}, (graph_of(score, appear),))
        p = softmax(scaled)
        return p.link, p.null, p.entropy, p.disappear, p.divide

    raw = scaler.raw_temperature.detach().clone().requires_grad_()
    assert gradcheck(layers, (score, appear, raw))


def test_probabilities_of_a_worked_example() -> None:
    """Daughter 2: exp(1) and exp(0) against a null class of exp(0); daughter 4 has no candidate."""
    p = ParentalSoftmax()(graph_of(torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.zeros(5)))
    e = np.e
    np.testing.assert_allclose(p.link, [e / (e + 2), 1 / (e + 2), 1 / 3, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(p.null, [1, 1, 1 / (e + 2), 1 / 3, 1], rtol=1e-6)
    np.testing.assert_allclose(p.confidence, [1, 1, e / (e + 2), 1 / 3, 1], rtol=1e-6)
    np.testing.assert_allclose(p.disappear[:2], [2 / (e + 2) * 2 / 3, (e + 1) / (e + 2) * 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(p.divide[:2], [e / (e + 2) / 3, 1 / (e + 2) / 3], rtol=1e-5)
