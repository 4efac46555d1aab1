"""Files that earlier versions wrote are read, and mean what they meant."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.formats.make import FOLDER, points
from torchtrack_uq import (
    Calibration,
    EventModel,
    InputError,
    TrackastraTracker,
    TrackingResult,
    UncertainTracker,
)
from torchtrack_uq.batch.movies import BatchMovie
from torchtrack_uq.batch.record import BatchRecord
from torchtrack_uq.calibration.annotations import read_decisions
from torchtrack_uq.results.saved_tracks import SavedTracks
from torchtrack_uq.review.decision_log import Decision
from torchtrack_uq.review.session import ReviewSession
from torchtrack_uq.trackers.trackastra.folder import weights_digest

VERSIONS = sorted(path.name for path in FOLDER.iterdir() if (path / "told.json").is_file())
LATER_IN_STATE = ("false", "decided")
"""Arrays that the first results lacked."""


@pytest.fixture(params=VERSIONS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of what a version wrote."""
    return Path(shutil.copytree(FOLDER / request.param, tmp_path / "written"))


def same_table(found: pd.DataFrame, file: Path) -> None:
    kept, found = pd.read_csv(file), pd.read_csv(io.StringIO(found.to_csv(index=False)))
    pd.testing.assert_frame_equal(found[kept.columns], kept, check_dtype=False, rtol=2e-5, atol=1e-6)


def test_a_result_has_the_tables_that_it_had(written: Path) -> None:
    result = TrackingResult.load(written / "result")
    for name in ("cells", "links", "tracks"):
        same_table(getattr(result, name), written / "result" / f"{name}.csv")
    settings = json.loads((written / "result" / "settings.json").read_text())
    assert result.settings["tracker"] == settings["tracker"]
    assert result.settings["method"] == settings["method"]


def test_a_result_of_the_first_version_is_read(written: Path) -> None:
    """Results of format 1 came to hold more, which those that hold less do without."""
    state = written / "result" / "state.npz"
    with np.load(state) as archive:
        arrays = {name: archive[name] for name in archive.files if name not in LATER_IN_STATE}
    facts = json.loads(arrays.pop("facts").tobytes())
    del facts["annotated"], facts["images_read"]
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    np.savez(state, **arrays)
    same_table(TrackingResult.load(written / "result").cells, written / "result" / "cells.csv")


def test_a_result_of_a_later_version_is_refused(written: Path) -> None:
    state = written / "result" / "state.npz"
    with np.load(state) as archive:
        arrays = dict(archive)
    facts = json.loads(arrays["facts"].tobytes()) | {"format": "torchtrack-uq result 99"}
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    np.savez(state, **arrays)
    with pytest.raises(
        InputError, match=r"in the format 'torchtrack-uq result 99'; expected 'torchtrack-uq result 1'"
    ):
        TrackingResult.load(written / "result")


def test_decisions_are_read_and_a_review_goes_on(written: Path) -> None:
    session = ReviewSession.open(written / "result")
    assert {one.cell: one.verdict for one in session.log.standing().values()} == {
        (11, 3): "mother",
        (12, 5): "bad",
    }
    cells = TrackingResult.load(written / "result").detections
    decisions = read_decisions(written / "result" / "decisions.csv", cells, max_gap=2)
    assert (int(decisions.known.sum()), int(decisions.bad.sum())) == (1, 1)
    session.decide(Decision(12, 4, "mother", 11, 4))
    assert session.progress.decided == 3


def test_a_review_list_has_the_columns_and_cells_that_it_had(written: Path) -> None:
    kept = pd.read_csv(written / "result" / "review.csv")
    (written / "result" / "decisions.csv").unlink()
    found = ReviewSession.open(written / "result").queue
    assert set(kept.columns) <= set(found.columns)
    assert {*zip(kept["frame"], kept["label"], strict=True)} == {
        *zip(found["frame"], found["label"], strict=True)
    }


def test_saved_tracks_are_read_for_export(written: Path) -> None:
    tracks = SavedTracks.read(written / "result")
    assert len(tracks.cells) == len(points())
    assert len(tracks.edges) == pd.read_csv(written / "result" / "links.csv")["selected"].sum()


def test_calibrations_are_read_and_used(written: Path) -> None:
    constants = {"appear": -1.0, "disappear": 0.5, "divide": 0.25, "miss": -2.0}
    plain = Calibration.load(written / "calibration.json")
    assert (plain.temperature, plain.method, plain.offsets, plain.max_gap) == (1.5, "auto", constants, 2)
    assert plain.review is not None
    assert (int(plain.review.decisions.sum()), int(plain.review.wrong.sum())) == (3, 1)
    modelled = Calibration.load(written / "calibration_with_model.json")
    assert isinstance(modelled.layer().events, EventModel)
    for calibration in (plain, modelled):
        result = UncertainTracker("distance", temperature=calibration).track_points(points(), progress=False)
        assert result.temperature == 1.5


def test_a_calibration_of_the_first_version_is_read(written: Path) -> None:
    """Format 1 had no options of methods, no gaps and no event scores."""
    content = json.loads((written / "calibration.json").read_text())
    for name in ("method_options", "max_gap", "offsets", "standard_errors", "prior", "prior_width"):
        content.pop(name, None)
    (written / "first.json").write_text(json.dumps({**content, "format": "torchtrack-uq calibration 1"}))
    first = Calibration.load(written / "first.json")
    assert (first.temperature, first.max_gap, first.offsets) == (1.5, 1, None)


def test_a_batch_knows_what_it_has_done(written: Path) -> None:
    known = BatchRecord(written / "batch").fingerprint(BatchMovie("movie", ("--points=points.csv",), ()))
    assert known is not None
    assert known["arguments"] == ["--points=points.csv"]


def test_a_model_has_the_weights_that_it_had(written: Path) -> None:
    tracker = TrackastraTracker.from_folder(written / "model", device="cpu")
    told = json.loads((written / "told.json").read_text())
    assert weights_digest(tracker.transformer) == told["weights"]
    described = yaml.safe_load((written / "model" / "train_config.yaml").read_text())
    assert described["format"] == "torchtrack-uq model 1"
    described.pop("format")  # as Trackastra's own, and those of versions before
    (written / "model" / "train_config.yaml").write_text(yaml.safe_dump(described))
    TrackastraTracker.from_folder(written / "model", device="cpu")
    (written / "model" / "train_config.yaml").write_text(
        yaml.safe_dump({**described, "format": "torchtrack-uq model 9"})
    )
    with pytest.raises(
        InputError, match="in the format 'torchtrack-uq model 9'; expected 'torchtrack-uq model 1'"
    ):
        TrackastraTracker.from_folder(written / "model", device="cpu")


def test_every_version_wrote_every_file() -> None:
    """So that a test above that goes through the versions goes through something."""
    assert VERSIONS
