import pytest

from torchtrack_uq.cli.main import build_parser
from torchtrack_uq.cli.shared import tracker_of
from torchtrack_uq.errors import InputError
from torchtrack_uq.trackers.registry import DEFAULT_MAX_GAP

COMMANDS = (
    ("track", "-m", "masks", "-o", "out"),
    ("fit", "movie/01", "-o", "calibration.json"),
    ("evaluate", "movie/01"),
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("tracker", ["distance", "overlap", "activity", "trackastra"])
def test_links_span_as_many_frames_as_max_gap_says(command: tuple[str, ...], tracker: str) -> None:
    arguments = [*command, "--tracker", tracker, "--device", "cpu"]
    parser = build_parser()
    assert tracker_of(parser.parse_args([*arguments, "--max-gap", "3"])).max_gap == 3
    assert tracker_of(parser.parse_args(arguments)).max_gap == DEFAULT_MAX_GAP


@pytest.mark.parametrize("command", COMMANDS)
def test_the_paper_has_no_links_over_gaps(command: tuple[str, ...]) -> None:
    arguments = [*command, "--tracker", "distance", "--device", "cpu", "--method", "AS", "--paper"]
    parser = build_parser()
    assert tracker_of(parser.parse_args(arguments)).max_gap == 1
    with pytest.raises(InputError, match="the paper links consecutive frames only, but max_gap is 2"):
        tracker_of(parser.parse_args([*arguments, "--max-gap", "2"]))
