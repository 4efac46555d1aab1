"""Decisions of a tracking result: how they are judged, accepted, listed for review and written."""

import argparse
from pathlib import Path

import geff
import numpy as np
import pandas as pd
import pytest
import torch

from torchtrack_uq import (
    CandidateGraph,
    Detections,
    InputError,
    OverlapTracker,
    ParentalSoftmax,
    TrackingResult,
    UncertainTracker,
)
from torchtrack_uq.cli import main
from torchtrack_uq.cli.track import _acceptance
from torchtrack_uq.guarantees import AcceptanceThreshold, ReviewStatistic
from torchtrack_uq.truth import decision_probability, judge_decisions
from torchtrack_uq.truth.targets import LinkTargets


@pytest.fixture
def result(blobs: tuple[np.ndarray, np.ndarray]) -> TrackingResult:
    return UncertainTracker(OverlapTracker()).track(*blobs, progress=False)


@pytest.fixture
def accepted(result: TrackingResult) -> TrackingResult:
    """Half of the decisions accepted."""
    middle = float(np.nanmedian(result.decision_probability))
    return result.with_acceptance(AcceptanceThreshold(0.01, 0.05, middle, True, 1000, 500, 1))


class TestDecisions:
    def test_contested_mothers_are_judged_by_what_was_decided(self) -> None:
        """Both daughters like mother 0 best; the assignment gives her to one and mother 1 to the other."""
        cells = Detections.from_points(np.array([0, 0, 1, 1, 1]), np.zeros((5, 2)))
        graph = CandidateGraph.from_links(cells, [0, 0, 1], [2, 3, 3], torch.tensor([3.0, 2.0, 1.0]).log())
        p = ParentalSoftmax()(graph)
        targets = LinkTargets.from_mothers(torch.tensor([-1, -1, 0, 1, -1]), graph.frame)
        decisions = judge_decisions(p, np.array([True, False, True]), targets)
        np.testing.assert_allclose(decisions.probability, [3 / 4, 1 / 4, 1.0])
        assert decisions.correct.tolist() == [True, True, True]
        assert decisions.linked.tolist() == [True, True, False]
        wrong = judge_decisions(p, np.array([False, True, False]), targets)
        np.testing.assert_allclose(wrong.probability, [1 / 4, 1 / 2, 1.0])
        assert wrong.correct.tolist() == [False, False, True]

    def test_only_known_daughters_are_judged(self) -> None:
        cells = Detections.from_points(np.array([0, 1, 1]), np.zeros((3, 2)))
        graph = CandidateGraph.from_links(cells, [0], [1], [0.0])
        known = torch.tensor([True, False, True])
        targets = LinkTargets.from_mothers(torch.tensor([-1, 0, -1]), graph.frame, known)
        assert judge_decisions(ParentalSoftmax()(graph), np.array([True]), targets).cell.tolist() == [2]

    def test_it_is_the_probability_in_the_table(self, result: TrackingResult) -> None:
        selected = result.links[result.links["selected"]]
        order = np.lexsort((result.detections.label, result.detections.frame))
        p = decision_probability(result.probabilities, result.selected).numpy()[order]
        np.testing.assert_allclose(selected["probability"], p[result.detections.frame[order] > 0], rtol=1e-5)
        assert p.dtype == np.float64

    def test_two_links_for_one_daughter_are_refused(self) -> None:
        cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
        p = ParentalSoftmax()(CandidateGraph.from_links(cells, [0, 1], [2, 2], [0.0, 0.0]))
        with pytest.raises(InputError, match="two links are selected for the same daughter"):
            decision_probability(p, np.array([True, True]))
        with pytest.raises(InputError, match=r"expected \(2,\) of torch.bool"):
            decision_probability(p, np.array([True]))


class TestResult:
    def test_cells_and_links_say_what_is_accepted(self, accepted: TrackingResult) -> None:
        cells, links = accepted.cells, accepted.links
        first = cells["frame"] == 0
        assert cells["accepted"].isna().equals(first)
        threshold = accepted.acceptance.threshold  # type: ignore[union-attr]
        expected = accepted.decision_probability[~first] >= threshold
        assert cells.loc[~first, "accepted"].tolist() == expected.tolist()
        assert 0 < expected.sum() < len(expected)
        assert not (links["accepted"] & ~links["selected"]).any()
        assert links["accepted"].sum() == expected.sum()
        keys = cells[~first].set_index(["frame", "label"])["accepted"]
        chosen = links[links["selected"]].set_index(["frame", "daughter"])["accepted"]
        assert (keys.sort_index() == chosen.sort_index()).all()

    def test_without_acceptance_nothing_is_said(self, result: TrackingResult) -> None:
        assert "accepted" not in {*result.cells.columns, *result.links.columns}
        assert "accepted" not in result.summary()

    def test_nulls_are_accepted_only_where_that_was_promised(self, result: TrackingResult) -> None:
        result.selected[:] = False
        for nulls in (False, True):
            chosen = result.with_acceptance(AcceptanceThreshold(0.01, 0.05, 0.0, nulls, 1000, 500, 1))
            assert chosen.accepted[result.detections.frame > 0].all() == nulls

    def test_review_lists_the_others_and_the_summary_counts_both(self, accepted: TrackingResult) -> None:
        review, n = accepted.review(), int(accepted.accepted.sum())
        assert len(review) == 10 - n
        assert (review["probability"] < accepted.acceptance.threshold).all()  # type: ignore[union-attr]
        assert (
            f"{n} of 10 decisions are accepted (at most 1 % wrong with 95 % confidence, if this movie is like the "
            f"annotated ones); {10 - n} are for review" in accepted.summary()
        )

    def test_everything_accepted_leaves_nothing_to_look_at(self, result: TrackingResult) -> None:
        everything = result.with_acceptance(AcceptanceThreshold(0.01, 0.05, 0.0, True, 1000, 500, 1))
        assert len(everything.review()) == 0
        assert "10 of 10 decisions are accepted" in everything.summary()
        assert "look first" not in everything.summary()

    def test_files_hold_it(self, accepted: TrackingResult, tmp_path: Path) -> None:
        folder = accepted.save(tmp_path / "out", progress=False)
        cells = pd.read_csv(folder / "cells.csv")
        assert cells["accepted"].isna().equals(cells["frame"] == 0)
        assert cells["accepted"].dropna().astype(bool).sum() == accepted.accepted.sum()
        assert pd.read_csv(folder / "links.csv")["accepted"].dtype == np.bool_
        geff.validate_structure(folder / "tracks.geff")
        graph, metadata = geff.read(folder / "tracks.geff")
        assert metadata.node_props_metadata["accepted"].dtype == "bool"
        for node, data in graph.nodes(data=True):
            assert data.get("accepted") == accepted.graph.nodes[node]["accepted"]
        assert "accepted" not in graph.nodes[0]


class TestCommandLine:
    def options(self, accept_error: float | None, confidence: float | None = None) -> argparse.Namespace:
        return argparse.Namespace(accept_error=accept_error, confidence=confidence)

    def test_the_threshold_comes_from_the_annotated_decisions(self) -> None:
        statistic = ReviewStatistic.of(np.full(500, 0.97), np.full(500, True))
        acceptance = _acceptance(self.options(0.01), statistic)
        assert acceptance == statistic.threshold(0.01, 1 - 0.95)
        assert _acceptance(self.options(0.05, 0.9), statistic) == statistic.threshold(0.05, 1 - 0.9)
        assert _acceptance(self.options(None), statistic) is None

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (["--accept-error", "0.01"], "--accept-error needs annotated decisions"),
            (["--confidence", "0.9"], "--confidence belongs to --accept-error"),
        ],
    )
    def test_what_is_missing_is_said_before_work_starts(
        self,
        options: list[str],
        sentence: str,
        blobs: tuple[np.ndarray, np.ndarray],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        import tifffile

        tifffile.imwrite(tmp_path / "masks.tif", blobs[1])
        paths = ["-m", str(tmp_path / "masks.tif"), "-o", str(tmp_path / "out")]
        assert main(["track", *paths, "--tracker", "overlap", *options]) == 2
        printed = capsys.readouterr()
        assert sentence in printed.err
        assert printed.err.count("\n") == 1
        assert not (tmp_path / "out").exists()
