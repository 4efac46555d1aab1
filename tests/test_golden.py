"""Whole runs give the numbers that they gave, to the last digit that is written.

Kept in `tests/golden/`; what floating point of another processor may change is all that is allowed to differ.
"""

import itertools
import json

import pandas as pd
import pytest

from tests.golden.runs import EVALUATED, FOLDER, TRACKED, evaluate, file_of, track
from torchtrack_uq.layers.registry import METHODS
from torchtrack_uq.trackers.registry import TRACKERS

# transcendental functions of another processor or numpy; the transformer's matrix products add up in another order
LAST_DIGIT = {"trackastra, AS": 2e-3}


@pytest.mark.parametrize("run", TRACKED)
def test_tracking_gives_the_same_cells(run: str) -> None:
    kept = pd.read_csv(file_of(run))
    found = track(run)[kept.columns]  # columns that came later are not compared
    exact = ["frame", "label", "track", "mother"]
    pd.testing.assert_frame_equal(found[exact], kept[exact])
    tolerance = LAST_DIGIT.get(run, 2e-5)
    pd.testing.assert_frame_equal(found, kept, rtol=tolerance, atol=tolerance, check_dtype=False)


@pytest.mark.parametrize("method", EVALUATED)
def test_fitting_and_evaluating_gives_the_same_numbers(method: str) -> None:
    kept = json.loads((FOLDER / "evaluated.json").read_text())[method]
    found = evaluate(method)
    # between machines: a fit stops where its likelihood is flat, and FP+A's frequencies have ties, whose order counts
    assert found == pytest.approx(kept, rel=1e-3, abs=1e-3)


def test_what_is_kept_goes_through_every_tracker_and_method_and_over_gaps() -> None:
    options = [dict(itertools.pairwise(run)) for run in TRACKED.values()]
    assert {run["--tracker"] for run in options} == set(TRACKERS)
    assert {*EVALUATED} == set(METHODS)
    assert any(run.get("--max-gap") == "2" for run in options)
