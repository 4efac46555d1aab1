import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from torchtrack_uq import CandidateGraph, Detections, InputError, ParentalSoftmax, TemperatureScaler

CELLS = Detections.from_points(np.array([0, 0, 1, 1, 1]), np.zeros((5, 2)))
LINKS = [0, 1, 0, 1], [2, 2, 3, 3]


def graph_of(score: torch.Tensor, appear: torch.Tensor) -> CandidateGraph:
    return CandidateGraph.from_links(CELLS, *LINKS, score, appear=appear)


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


def test_temperature_divides_every_score() -> None:
    graph = CandidateGraph.from_links(
        CELLS, *LINKS, [4.0, 2, 0, -2], appear=-6.0, disappear=-8.0, divide=-10.0
    )
    with torch.no_grad():
        scaled = TemperatureScaler(2.0)(graph)
    assert scaled.score.tolist() == [2, 1, 0, -1]
    assert {float(scaled.appear[0]), float(scaled.disappear[0]), float(scaled.divide[0])} == {-3, -4, -5}


def test_a_high_temperature_makes_less_certain_and_keeps_the_order() -> None:
    graph = graph_of(torch.tensor([3.0, 1.0, 0.5, -1.0]), torch.zeros(5))
    cold, hot = (ParentalSoftmax()(TemperatureScaler(T)(graph)) for T in (0.5, 5.0))
    assert (hot.entropy[2:4] > cold.entropy[2:4]).all()
    for daughter in (2, 3):
        own = graph.daughter == daughter
        assert torch.equal(cold.link[own].argsort(), hot.link[own].argsort())


def test_probabilities_of_a_worked_example() -> None:
    """Daughter 2: exp(1) and exp(0) against a null class of exp(0); daughter 4 has no candidate."""
    p = ParentalSoftmax()(graph_of(torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.zeros(5)))
    e = np.e
    np.testing.assert_allclose(p.link, [e / (e + 2), 1 / (e + 2), 1 / 3, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(p.null, [1, 1, 1 / (e + 2), 1 / 3, 1], rtol=1e-6)
    np.testing.assert_allclose(p.confidence, [1, 1, e / (e + 2), 1 / 3, 1], rtol=1e-6)
    np.testing.assert_allclose(p.disappear[:2], [2 / (e + 2) * 2 / 3, (e + 1) / (e + 2) * 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(p.divide[:2], [e / (e + 2) / 3, 1 / (e + 2) / 3], rtol=1e-5)


def test_state_dict_keeps_the_temperature_and_that_it_was_fitted() -> None:
    fitted = TemperatureScaler(3.0)
    fitted.fitted.fill_(True)
    fresh = TemperatureScaler()
    fresh.load_state_dict(fitted.state_dict())
    assert float(fresh.temperature.detach()) == pytest.approx(3)
    assert bool(fresh.fitted)
    assert "temperature=3" in repr(fresh)


def test_the_temperature_stays_positive_under_any_step() -> None:
    scaler = TemperatureScaler(1.0)
    optimiser = torch.optim.SGD(scaler.parameters(), lr=50.0)
    scaler.temperature.backward()
    optimiser.step()
    assert 0 < float(scaler.temperature.detach()) < 1e-10


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_temperatures_that_are_not_positive_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="positive"):
        TemperatureScaler(bad)
    with pytest.raises(InputError, match="positive"):
        TemperatureScaler().temperature = bad
