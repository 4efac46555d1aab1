"""Accepted decisions in tables, summary and files."""

from pathlib import Path

import geff
import numpy as np
import pandas as pd
import pytest

from torchtrack_uq import (
    OverlapTracker,
    TrackingResult,
    UncertainTracker,
)
from torchtrack_uq.guarantees import AcceptanceThreshold


@pytest.fixture
def result(blobs: tuple[np.ndarray, np.ndarray]) -> TrackingResult:
    return UncertainTracker(OverlapTracker()).track(*blobs, progress=False)


@pytest.fixture
def accepted(result: TrackingResult) -> TrackingResult:
    """Half of the decisions accepted."""
    middle = float(np.nanmedian(result.decision_probability))
    return result.with_acceptance(AcceptanceThreshold(0.01, 0.05, middle, True, 1000, 500, 1))


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
        assert "most doubtful" not in everything.summary()

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
