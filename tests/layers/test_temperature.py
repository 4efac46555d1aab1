import pytest
import torch

from tests.support.small_graph import CELLS, LINKS, graph_of
from torchtrack_uq import CandidateGraph, InputError, ParentalSoftmax, TemperatureScaler


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
