import pytest
import torch

import torchtrack_uq.utils.device as device_module
from tests.support.movies import random_movie
from torchtrack_uq import InputError
from torchtrack_uq.utils.device import choose_device


def test_a_device_without_float64_is_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match=r"'mps' has no float64.*device 'cpu'"):
        choose_device("mps")


def test_scores_on_a_device_without_float64_are_refused_at_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a device that has none by decree."""
    graph = random_movie([2, 2], 0)
    monkeypatch.setattr(device_module, "NO_FLOAT64", ("cpu",))
    with pytest.raises(InputError, match=r"device 'cpu' has no float64.*\.to\('cpu'\)"):
        graph.with_scores(graph.score, graph.appear, graph.disappear, graph.divide)


def test_other_devices_are_not_known() -> None:
    with pytest.raises(InputError, match="is not supported; expected auto, cpu or cuda"):
        choose_device(torch.device("meta"))
