from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from torchtrack_uq import (
    CandidateGraph,
    Detections,
    DistanceTracker,
    InputError,
    ParentalSoftmax,
    TemperatureScaler,
    UncertainTracker,
    UncertaintyLayer,
)
from torchtrack_uq.cli import main

METHODS = ("SM", "FP", "FP+A", "AS", "exact", "auto", "bp")


class SilentTracker:
    """A tracker that offers no candidate at all."""

    name = "silent"

    def candidates(
        self, detections: Detections, movie: object = None, *, progress: bool = True
    ) -> CandidateGraph:
        return CandidateGraph.from_links(detections, [], [], torch.zeros(0))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_by_name_keeps_the_trackers_scores(
    blobs: tuple[np.ndarray, np.ndarray], method: str
) -> None:
    tracker = DistanceTracker(search_range=12, scale=4)
    result = UncertainTracker(tracker, method).track(*blobs, progress=False)
    sm = UncertainTracker(tracker, "SM").track(*blobs, progress=False)
    assert result.probabilities.method == method
    key = ["frame", "mother", "daughter"]
    both = sm.links.merge(result.links, on=key, suffixes=("_sm", ""))
    assert len(both) == len(sm.links)
    assert (both["score"] == both["score_sm"]).all()
    assert (both["selected"] == both["selected_sm"]).all()
    totals = result.links.groupby(["frame", "daughter"])["probability"].sum()
    np.testing.assert_allclose(totals, 1.0, atol=1e-6)
    for _, _, edge in result.graph.edges(data=True):
        assert {"score", "probability"} <= set(edge)
        assert edge["score"] != edge["probability"]


@pytest.mark.parametrize("method", METHODS)
def test_a_tracker_without_candidates_makes_every_cell_an_orphan(
    blobs: tuple[np.ndarray, np.ndarray], method: str
) -> None:
    result = UncertainTracker(SilentTracker(), method).track(*blobs, progress=False)
    assert len(result.tracklets.table) == len(result.detections)
    assert (result.probabilities.null == 1).all()


def test_the_default_method_is_auto() -> None:
    assert UncertainTracker(DistanceTracker()).method == "auto"


def test_methods_and_temperatures_may_be_objects(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    tracker = DistanceTracker(search_range=12, scale=4)
    fitted = TemperatureScaler(3.0)
    results = [
        UncertainTracker(tracker, "SM", 3.0),
        UncertainTracker(tracker, "SM", fitted),
        UncertainTracker(tracker, UncertaintyLayer("SM", fitted)),
        UncertainTracker(tracker, ParentalSoftmax(), fitted),
    ]
    first, *others = (u.track(*blobs, progress=False) for u in results)
    assert first.temperature == pytest.approx(3.0)
    for other in others:
        pd.testing.assert_frame_equal(first.links, other.links)
    with pytest.raises(InputError, match="temperature of its own"):
        UncertainTracker(tracker, UncertaintyLayer("SM"), 2.0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tracker", ["activity", "overlap"])
def test_the_command_line_takes_every_method(
    blobs: tuple[np.ndarray, np.ndarray],
    tmp_path: Path,
    method: str,
    tracker: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import tifffile

    for name, frames in zip(("images.tif", "masks.tif"), blobs, strict=True):
        tifffile.imwrite(tmp_path / name, frames)
    chosen = ["-i", tmp_path / "images.tif", "-m", tmp_path / "masks.tif", "-o", tmp_path / "out", "--quiet"]
    arguments = ["track", *chosen, "--tracker", tracker, "--method", method, "--temperature", "2"]
    assert main([str(argument) for argument in arguments]) == 0
    assert f"({tracker}, {method}, T = 2)" in capsys.readouterr().out
    links = pd.read_csv(tmp_path / "out" / "links.csv")
    np.testing.assert_allclose(links.groupby(["frame", "daughter"])["probability"].sum(), 1.0, atol=1e-5)


def test_a_gap_is_passed_on_to_a_tracker_given_by_name_only() -> None:
    assert UncertainTracker("distance", max_gap=3).tracker.max_gap == 3
    assert UncertainTracker(DistanceTracker(max_gap=2)).tracker.max_gap == 2
    with pytest.raises(InputError, match="max_gap=2 is given beside a DistanceTracker"):
        UncertainTracker(DistanceTracker(), max_gap=2)
    with pytest.raises(InputError, match="max_gap is 0"):
        UncertainTracker("distance", max_gap=0)


def test_the_paper_links_consecutive_frames_only() -> None:
    assert UncertainTracker("distance", "AS", paper=True).tracker.max_gap == 1
    assert UncertainTracker("distance", "AS", paper=True, max_gap=1).tracker.max_gap == 1
    for tracker, max_gap in (("distance", 2), (DistanceTracker(max_gap=2), None)):
        with pytest.raises(InputError, match="the paper links consecutive frames only, but max_gap is 2"):
            UncertainTracker(tracker, "AS", paper=True, max_gap=max_gap)
