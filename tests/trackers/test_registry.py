import pytest

from torchtrack_uq import DistanceTracker, InputError
from torchtrack_uq.trackers import TRACKERS, make_tracker
from torchtrack_uq.trackers.registry import DEFAULT_MAX_GAP
from torchtrack_uq.utils.registry import Entry


@pytest.mark.parametrize("name", ["distance", "overlap", "activity", "trackastra"])
def test_every_tracker_takes_a_gap_by_name(name: str) -> None:
    assert make_tracker(name, "cpu").max_gap == DEFAULT_MAX_GAP
    assert make_tracker(name, "cpu", max_gap=3).max_gap == 3
    with pytest.raises(InputError, match="max_gap is 0"):
        make_tracker(name, "cpu", max_gap=0)


def test_a_tracker_that_knows_nothing_of_gaps_is_made_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchtrack_uq.trackers.registry.DEFAULT_MAX_GAP", 2)
    TRACKERS.add("plain", Entry("without gaps", lambda: DistanceTracker(scale=1.0)))
    try:
        assert make_tracker("plain").scale == 1.0
        assert make_tracker("plain", max_gap=1).scale == 1.0
        with pytest.raises(InputError, match="tracker plain takes no max gap; it is for"):
            make_tracker("plain", max_gap=2)
    finally:
        TRACKERS.remove("plain")
