from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from torchtrack_uq.datasets import CtcSequence, read_ctc_sequence
from torchtrack_uq.errors import InputError

FRAMES = [[1], [1], [2, 3]]


ROWS = ["1 0 1 0", "2 2 2 1", "3 2 2 1"]


def test_masks_without_images_are_enough(write_ctc: Callable[..., Path]) -> None:
    movie = read_ctc_sequence(write_ctc(FRAMES, ROWS), progress=False)
    assert movie.name == "set/01"
    assert movie.mother.tolist() == [-1, 0, 1, 1]
    assert not movie.detections.has_images


def test_images_are_read_where_there_are_any(write_ctc: Callable[..., Path]) -> None:
    folder = write_ctc(FRAMES, ROWS, images=True)
    movie = read_ctc_sequence(folder, progress=False)
    assert movie.detections.has_images
    assert movie.detections.features["intensity_mean"].max() > 0
    assert not read_ctc_sequence(folder, use_images=False, progress=False).detections.has_images


def test_subsampling_when_reading_or_afterwards_is_the_same(write_ctc: Callable[..., Path]) -> None:
    folder = write_ctc(FRAMES, ROWS)
    read, later = (
        read_ctc_sequence(folder, 2, progress=False),
        read_ctc_sequence(folder, progress=False).strided(2),
    )
    assert read.mother.tolist() == later.mother.tolist() == [-1, 0, 0]
    assert np.array_equal(read.recording_frame, later.recording_frame)
    assert np.array_equal(read.detections.coords, later.detections.coords)


def test_missing_parts_are_named(write_ctc: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a sequence folder"):
        CtcSequence.find(tmp_path / "nothing" / "01")
    folder = write_ctc(FRAMES, ROWS)
    (folder.parent / "01_GT" / "TRA" / "man_track.txt").unlink()
    with pytest.raises(InputError, match="the annotation of a sequence needs it"):
        CtcSequence.find(folder)


def test_masks_that_contradict_the_lineage_are_refused(write_ctc: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="label 3 in frame 2 is not listed"):
        read_ctc_sequence(write_ctc(FRAMES, ROWS[:2]), progress=False)


@pytest.mark.parametrize(
    ("name", "n_cells", "n_links_within_tracks", "n_divisions"),
    [
        ("mouse-epidermis", 4453, 3383, 335),
        ("Fluo-N2DH-SIM+", 2607, 2512, 28),
        ("Fluo-C2DL-MSC", 428, 413, 0),
    ],
)
def test_real_movies_have_the_published_counts(
    data_folder: Path, name: str, n_cells: int, n_links_within_tracks: int, n_divisions: int
) -> None:
    movie = read_ctc_sequence(data_folder / name / "01", use_images=False, progress=False)
    label, linked = movie.detections.label, movie.mother >= 0
    assert len(movie) == n_cells
    assert int((label[linked] == label[movie.mother[linked]]).sum()) == n_links_within_tracks
    assert movie.summary()["n_divisions"] == n_divisions
    assert movie.summary()["n_crowded_mothers"] == 0
    frame = movie.detections.frame
    assert (frame[movie.mother[linked]] == frame[linked] - 1).all()


def test_links_at_a_large_stride_are_compositions_of_links(data_folder: Path) -> None:
    movie = read_ctc_sequence(data_folder / "mouse-epidermis" / "01", progress=False)
    strided = movie.strided(3)
    by_steps = np.arange(len(movie))
    for _ in range(3):
        by_steps = np.where(by_steps >= 0, movie.mother[by_steps], -1)
    index = {
        (t, k): i for i, (t, k) in enumerate(zip(movie.recording_frame, movie.detections.label, strict=True))
    }
    for i in np.flatnonzero(strided.has_target):
        cell = index[int(strided.recording_frame[i]), int(strided.detections.label[i])]
        if (
            by_steps[cell] >= 0
        ):  # a chain of single links; a gap in between may still be bridged by the stride
            assert strided.detections.label[strided.mother[i]] == movie.detections.label[by_steps[cell]]
