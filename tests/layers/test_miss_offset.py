"""The offset of a miss: what it adds to which links, and states and files of before there was one."""

import numpy as np
import pytest
import torch

from torchtrack_uq import CandidateGraph, Detections, InputError, UncertaintyLayer
from torchtrack_uq.calibration import Calibration, CalibrationWarning
from torchtrack_uq.layers import EventOffsets, TemperatureScaler


def movie(max_gap: int = 3) -> CandidateGraph:
    cells = Detections.from_points(np.arange(4), np.zeros((4, 2)))
    links = [(0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 3)]
    mother, daughter = np.array(links if max_gap > 1 else links[:3]).T
    score = torch.linspace(-1, 1, len(mother), dtype=torch.float64)
    return CandidateGraph.from_links(
        cells, mother, daughter, score, appear=-2.0, disappear=-1.0, max_gap=max_gap
    )


def test_each_skipped_frame_costs_a_miss() -> None:
    graph = movie()
    found = EventOffsets(miss=-0.5)(graph)
    ends = zip(graph.mother.tolist(), graph.daughter.tolist(), strict=True)
    skipped = torch.tensor([{(0, 2): 1, (1, 3): 1, (0, 3): 2}.get(pair, 0) for pair in ends])
    torch.testing.assert_close(found.score - graph.score, -0.5 * skipped.double())
    assert torch.equal(found.appear, graph.appear)


def test_without_gaps_nothing_changes() -> None:
    graph = movie(1)
    assert torch.equal(EventOffsets(miss=-5.0)(graph).score, graph.score)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_corrected_scores_are_the_tempered_ones_times_the_temperature(temperature: float) -> None:
    layer = UncertaintyLayer(
        "auto", TemperatureScaler(temperature), events=EventOffsets(miss=-0.7, divide=-1.0)
    )
    graph = movie()
    torch.testing.assert_close(layer.corrected(graph).score / temperature, layer.tempered(graph).score)


def test_its_gradient_is_the_expected_number_of_misses() -> None:
    layer = UncertaintyLayer("exact", events=EventOffsets(miss=-0.3))
    graph = movie()
    p = layer(graph)
    p.log_z.sum().backward()
    assert layer.events is not None
    expected = ((graph.gap - 1) * p.link.detach()).sum()
    torch.testing.assert_close(layer.events.miss.grad, expected)


def test_states_of_before_load_with_no_miss() -> None:
    old = {"appear": torch.tensor(1.0).double(), "disappear": torch.tensor(2.0).double(),
           "divide": torch.tensor(3.0).double()}  # fmt: skip
    offsets = EventOffsets(miss=-4.0)
    offsets.load_state_dict(old)
    assert offsets.values == {"appear": 1.0, "disappear": 2.0, "divide": 3.0}


def test_files_keep_it(tmp_path: "pytest.TempPathFactory") -> None:
    offsets = {"appear": 1.0, "disappear": -1.0, "divide": 0.5, "miss": -2.0}
    file = Calibration(1.5, "auto", "distance", offsets=offsets, max_gap=2).save(f"{tmp_path}/c.json")
    loaded = Calibration.load(file)
    assert loaded.offsets == offsets
    assert loaded.max_gap == 2
    events = loaded.layer().events
    assert events is not None
    assert events.values == offsets
    with pytest.raises(InputError, match="max_gap must be a whole number"):
        Calibration(1.5, "auto", "distance", max_gap=0)
    with pytest.raises(InputError, match="for miss where there is one"):
        Calibration(1.5, "auto", "distance", offsets={"appear": 1.0, "miss": 0.0})


def test_another_gap_than_that_of_the_fit_is_said_to_be_so() -> None:
    fitted = Calibration(1.5, "auto", "distance", offsets={"appear": 1.0, "disappear": -1.0, "divide": 0.5})
    with pytest.warns(CalibrationWarning, match="fitted with links over up to 1 frames"):
        fitted.check("auto", "distance", max_gap=2)
    fitted.check("auto", "distance", max_gap=1)
