"""The calibrations that come with small_2d."""

import pytest

from torchtrack_uq import InputError, UncertainTracker
from torchtrack_uq.calibration import Calibration, bundled_calibration
from torchtrack_uq.layers.registry import METHODS
from torchtrack_uq.trackers.gaps import max_gap_of


@pytest.mark.parametrize("method", tuple(METHODS))
def test_each_is_of_its_method_at_every_frame_without_gaps_and_leaves_event_scores_alone(method: str) -> None:
    found = Calibration.load(bundled_calibration("small_2d", method))
    assert (found.method, found.stride, found.max_gap) == (method, 1, 1)
    assert found.offsets is None
    uncertain = UncertainTracker("trackastra", method, found)  # of the very weights that ship
    assert max_gap_of(uncertain.tracker) == 1
    assert uncertain.prior is None


def test_there_is_none_for_a_model_of_ones_own() -> None:
    with pytest.raises(InputError, match="not with 'mine': fit one with"):
        bundled_calibration("mine", "AS")
