"""What a summary says is proved."""

import numpy as np
import pytest

from torchtrack_uq import DistanceTracker, UncertainTracker
from torchtrack_uq.results.proof import CoverageWarning, proof_sentence


def test_all_some_and_none_are_told_apart() -> None:
    assert proof_sentence(5, 5, {}) == "5 of 5 are proved to have probabilities right to 0.001"
    assert proof_sentence(2, 5, {}).endswith("the others are estimates")
    assert "all are estimates" in proof_sentence(0, 5, {})
    assert "normalised over mothers" in proof_sentence(0, 5, {"null_class": False})


def crowded_masks() -> np.ndarray:
    """100 cells that move by more than their distance."""
    rng = np.random.default_rng(0)
    masks = np.zeros((2, 120, 120), np.uint16)
    for t in (0, 1):
        places = rng.permutation(24 * 24)[:100]
        for k, (y, x) in enumerate(zip(*np.divmod(places, 24), strict=True), start=1):
            masks[t, 5 * y : 5 * y + 3, 5 * x : 5 * x + 3] = k
    return masks


def test_lists_that_hold_little_of_a_crowd_warn_with_the_way_out() -> None:
    tracker = DistanceTracker(search_range=40, scale=20)
    with pytest.warns(CoverageWarning, match=r"far too sure there: use --method auto") as caught:
        result = UncertainTracker(tracker, "AS").track(None, crowded_masks(), progress=False)
    assert len(caught) == 1
    assert str(caught[0].message) in result.summary()
    cells = result.cells.query("frame == 1")
    assert not cells["exact"].any()
    assert (cells["covered_mass"] < 0.5).all()


def test_where_the_paper_says_all_is_sure_decisions_against_it_come_first() -> None:
    """Entropy is 0 everywhere then; a cell that was decided otherwise has probability 0."""
    tracker = DistanceTracker(search_range=40, scale=20)
    with pytest.warns(CoverageWarning):
        result = UncertainTracker(tracker, "AS", paper=True).track(None, crowded_masks(), progress=False)
    review = result.review()
    ties = review[review["entropy"] == review["entropy"].iloc[0]]
    assert ties["probability"].is_monotonic_increasing
    assert "normalised over mothers" in result.summary()
