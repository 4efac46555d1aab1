"""A result that was saved and loaded again is the same to the last digit; broken files are refused."""

import itertools
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from torchtrack_uq import InputError, UncertainTracker
from torchtrack_uq.assignment.joint_none import joint_none
from torchtrack_uq.calibration.annotations import Decisions
from torchtrack_uq.posterior import false_cells
from torchtrack_uq.results.tracking_result import TrackingResult


def test_what_is_loaded_is_what_was_saved(tracked: TrackingResult, saved: Path) -> None:
    loaded = TrackingResult.load(saved)
    pd.testing.assert_frame_equal(loaded.links, tracked.links)
    pd.testing.assert_frame_equal(loaded.cells, tracked.cells)
    pd.testing.assert_frame_equal(loaded.review(), tracked.review())
    assert loaded.summary() == tracked.summary()
    for field in fields(tracked.probabilities):
        one, other = (getattr(result.probabilities, field.name) for result in (tracked, loaded))
        if isinstance(one, torch.Tensor):
            assert torch.equal(one, other), field.name
    assert loaded.movie is not None
    assert tracked.movie is not None
    for t in range(tracked.movie.n_frames):
        np.testing.assert_array_equal(loaded.movie.read_mask(t), tracked.movie.read_mask(t))


def test_whether_it_was_calibrated_is_kept_and_said(tracked: TrackingResult, tmp_path: Path) -> None:
    line = "not calibrated on your own cells"
    assert line in tracked.summary()
    calibrated = replace(tracked, calibrated=True)
    calibrated.save(tmp_path / "out", progress=False)
    loaded = TrackingResult.load(tmp_path / "out")
    assert loaded.calibrated
    assert line not in loaded.summary()


def test_saving_what_was_loaded_writes_the_same_tables(saved: Path, tmp_path: Path) -> None:
    TrackingResult.load(saved).save(tmp_path / "again", progress=False)
    for name in ("links.csv", "cells.csv", "tracks.csv", "res_track.txt"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


@pytest.mark.parametrize("kept", [0, 10, 1000])
def test_a_truncated_file_is_refused(saved: Path, tmp_path: Path, kept: int) -> None:
    (tmp_path / "state.npz").write_bytes((saved / "state.npz").read_bytes()[:kept])
    with pytest.raises(InputError, match="cannot be read"):
        TrackingResult.load(tmp_path)


def test_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing; expected a folder that"):
        TrackingResult.load(tmp_path)
    np.savez(tmp_path / "state.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="no result of this version"):
        TrackingResult.load(tmp_path)


def test_pickles_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "state.npz", facts=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="cannot be read"):
        TrackingResult.load(tmp_path)


def test_masks_that_changed_since_are_refused(saved: Path, tracked: TrackingResult) -> None:
    assert tracked.movie is not None
    masks = np.stack([tracked.movie.read_mask(t) for t in range(tracked.movie.n_frames)])
    loaded = TrackingResult.load(saved, masks=np.where(masks == masks.max(), 0, masks))
    with pytest.raises(InputError, match="other cells"):
        loaded.save(saved.parent / "never", progress=False)
    assert not (saved.parent / "never").exists()
    with pytest.raises(InputError, match="must be the same frames"):
        TrackingResult.load(saved, masks=masks[:-1])


def test_every_field_is_stored(tracked: TrackingResult, saved: Path) -> None:
    loaded = TrackingResult.load(saved)
    for name in ("tracker", "temperature", "prior", "acceptance", "calibrated"):
        assert getattr(loaded, name) == getattr(tracked, name)
    names = {field.name for field in fields(TrackingResult)}
    stored = {
        "movie",
        "detections",
        "probabilities",
        "selected",
        "scaled",
        "border_share",
        "annotated",
        "known_false",
        "decided",
        "tracks_given",
    }
    assert names - stored <= {"tracker", "temperature", "prior", "acceptance", "calibrated", "settings"}
    assert list(itertools.chain(loaded.detections.features)) == list(tracked.detections.features)


def test_images_in_memory_are_not_taken_for_a_folder_of_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "notes.txt").write_text("another movie's")
    monkeypatch.chdir(tmp_path)
    masks = np.zeros((3, 32, 32), np.uint16)
    masks[:, 8:14, 8:14] = 1
    result = UncertainTracker("distance").track(masks.astype(np.float32), masks, progress=False)
    loaded = TrackingResult.load(result.save(tmp_path / "out", progress=False))
    assert loaded.movie is not None
    assert loaded.movie.images is None


def test_opening_a_result_and_deciding_about_a_cell_sums_false_cells_only_where_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = np.zeros((5, 60, 300), np.int32)
    for t in range(5):
        for k in range(6):  # three pairs of cells, far from each other
            y, x = 20 + 6 * (k % 2), 20 + 100 * (k // 2) + t
            masks[t, y - 2 : y + 3, x - 2 : x + 3] = k + 1
    masks[2, 18:23, :60] = 0
    result = UncertainTracker("distance", max_gap=2).track(None, masks, progress=False)
    folder = result.save(tmp_path / "out", progress=False)
    asked = []

    def counted(problem, found, daughter, *more):
        asked.append(len(daughter))
        return joint_none(problem, found, daughter, *more)

    monkeypatch.setattr(false_cells, "joint_none", counted)
    loaded = TrackingResult.load(folder)
    np.testing.assert_array_equal(loaded.doubts.part["false"], result.doubts.part["false"])
    assert not sum(asked)
    n = len(loaded.mother)
    decisions = Decisions(loaded.mother.copy(), np.zeros(n, np.bool_), np.zeros(n, np.bool_))
    cell = int(np.argmax(np.nan_to_num(loaded.doubts.doubt)))
    decisions.mother[cell], decisions.known[cell] = -1, True
    corrected = loaded.correct(decisions)
    found = corrected.doubts.part["false"]
    assert 0 < sum(asked) < n / 2
    full = replace(corrected, known_false=None).doubts.part["false"]
    np.testing.assert_allclose(found, full, atol=1e-3)
