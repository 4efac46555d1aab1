"""The Cell Tracking Challenge writer alone, on tables made by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from ctc_metrics.scripts.validate import validate_sequence

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.results import write_ctc
from torchtrack_uq.results.tracklets import tracklets


def squares(frames: list[list[int]]) -> tuple[Movie, Detections]:
    """A movie in which each label of a frame is a square of 3 x 3 pixels, from left to right."""
    masks = np.zeros((len(frames), 8, 40), np.uint16)
    for mask, labels in zip(masks, frames, strict=True):
        for place, label in enumerate(labels):
            mask[2:5, 4 * place + 1 : 4 * place + 4] = label
    movie = Movie.open(None, masks)
    return movie, Detections.from_movie(movie, progress=False)


@pytest.fixture
def division() -> tuple[Movie, Detections, np.ndarray]:
    """Cell 7 divides into 300 and 12 (cells 2 and 3 in the order of labels), beside a cell that appears in frame 1."""
    movie, cells = squares([[7], [7, 5], [300, 12, 5]])
    assert cells.label.tolist() == [7, 5, 7, 5, 12, 300]
    return movie, cells, np.array([-1, -1, 0, 1, 2, 2])


def test_tracks_and_parents_are_those_of_the_links(
    division: tuple[Movie, Detections, np.ndarray], tmp_path: Path
) -> None:
    movie, cells, mother = division
    write_ctc(tmp_path, movie, cells, tracklets(cells.frame, mother), progress=False)
    rows = np.loadtxt(tmp_path / "res_track.txt", dtype=int)
    assert rows.tolist() == [[1, 0, 1, 0], [2, 1, 2, 0], [3, 2, 2, 1], [4, 2, 2, 1]]
    assert sorted(item.name for item in tmp_path.iterdir()) == [
        "mask000.tif", "mask001.tif", "mask002.tif", "res_track.txt",
    ]  # fmt: skip


def test_every_cells_pixels_bear_its_track_and_no_other_pixel_does(
    division: tuple[Movie, Detections, np.ndarray], tmp_path: Path
) -> None:
    movie, cells, mother = division
    track = tracklets(cells.frame, mother)
    write_ctc(tmp_path, movie, cells, track, progress=False)
    of_cell = dict(
        zip(zip(cells.frame.tolist(), cells.label.tolist(), strict=True), track.track, strict=True)
    )
    for t in range(3):
        original = movie.read_mask(t)
        written = tifffile.imread(tmp_path / f"mask{t:03d}.tif")
        assert written.dtype == np.uint16
        expected = np.zeros_like(original)
        for label in np.unique(original[original > 0]):
            expected[original == label] = of_cell[t, int(label)]
        np.testing.assert_array_equal(written, expected)


def test_the_challenges_own_check_accepts_it(
    division: tuple[Movie, Detections, np.ndarray], tmp_path: Path
) -> None:
    movie, cells, mother = division
    write_ctc(tmp_path, movie, cells, tracklets(cells.frame, mother), progress=False)
    assert validate_sequence(str(tmp_path), threads=1)["Valid"] == 1


def test_3d_masks_keep_their_planes(tmp_path: Path) -> None:
    masks = np.zeros((2, 3, 8, 8), np.int32)
    masks[0, 1, 2:5, 2:5] = masks[1, 2, 2:5, 2:5] = 2**31 - 1
    movie = Movie.open(None, masks)
    cells = Detections.from_movie(movie, progress=False)
    write_ctc(tmp_path, movie, cells, tracklets(cells.frame, np.array([-1, 0])), progress=False)
    for t in range(2):
        written = tifffile.imread(tmp_path / f"mask{t:03d}.tif")
        np.testing.assert_array_equal(written, masks[t] > 0)


def test_more_than_a_thousand_frames_have_four_digits_in_all_names(tmp_path: Path) -> None:
    movie, cells = squares([[1]] * 1001)
    mother = np.arange(-1, 1000)
    write_ctc(tmp_path, movie, cells, tracklets(cells.frame, mother), progress=False)
    names = sorted(item.name for item in tmp_path.glob("*.tif"))
    assert (len(names), names[0], names[-1]) == (1001, "mask0000.tif", "mask1000.tif")


def test_masks_of_other_cells_are_refused(
    division: tuple[Movie, Detections, np.ndarray], tmp_path: Path
) -> None:
    _, cells, mother = division
    other, _ = squares([[7], [7, 6], [300, 12, 5]])
    with pytest.raises(InputError, match="frame 1"):
        write_ctc(tmp_path, other, cells, tracklets(cells.frame, mother), progress=False)


@pytest.mark.parametrize(
    "change",
    [
        lambda mask: np.roll(mask, 1, axis=1),
        lambda mask: np.roll(mask, 1, axis=0),
        lambda mask: np.where(mask == mask.max(), np.roll(mask, 1, axis=1), mask),
        lambda mask: mask * (np.cumsum(mask == mask.max()).reshape(mask.shape) != 1),  # one pixel less
        lambda mask: mask[:, ::-1],
        lambda mask: np.where(mask > 0, mask + 1, 0),
    ],
)
@pytest.mark.parametrize("t", [0, 2])
def test_masks_that_were_changed_since_they_were_measured_are_refused(
    division: tuple[Movie, Detections, np.ndarray], tmp_path: Path, change: Callable[..., np.ndarray], t: int
) -> None:
    """By a segmentation that was still running, say: the labels may be the same, the pixels are not."""
    movie, cells, mother = division
    masks = np.stack([movie.read_mask(k) for k in range(3)])
    masks[t] = change(masks[t])
    changed = Movie.open(None, masks)
    with pytest.raises(InputError, match=r"was changed while it was tracked|holds other cells in frame"):
        write_ctc(tmp_path, changed, cells, tracklets(cells.frame, mother), progress=False)


@pytest.mark.parametrize("voxel_size", [None, (2.0, 0.5, 0.25)])
def test_masks_that_were_not_changed_are_written_whatever_their_size_and_scale(
    tmp_path: Path, voxel_size: tuple[float, ...] | None
) -> None:
    """Coordinates are float32, and the positions of large frames are beyond what it counts."""
    rng = np.random.default_rng(0)
    shape = (3, 900, 1100)
    masks = np.zeros((2, *shape), np.uint32)
    for t in range(2):
        for label in range(1, 200):
            z, y, x = (int(rng.integers(0, size)) for size in shape)
            masks[t, z : z + 2, y : y + 30, x : x + 25] = label * 20_000_000
    movie = Movie.open(None, masks, voxel_size=voxel_size)
    cells = Detections.from_movie(movie, progress=False)
    write_ctc(tmp_path, movie, cells, tracklets(cells.frame, np.full(len(cells), -1)), progress=False)
    assert len(list(tmp_path.glob("mask*.tif"))) == 2
    masks[1, :, ::-1] = masks[1].copy()
    flipped = Movie.open(None, masks, voxel_size=voxel_size)
    with pytest.raises(InputError, match="was changed while it was tracked: cell 20000000 of frame 1"):
        write_ctc(tmp_path, flipped, cells, tracklets(cells.frame, np.full(len(cells), -1)), progress=False)


def test_cells_that_were_not_measured_may_lie_where_they_like(
    division: tuple[Movie, Detections, np.ndarray], tmp_path: Path
) -> None:
    movie, cells, mother = division
    nuclei = Detections(cells.frame, cells.label, cells.coords + 1, cells.n_frames)
    write_ctc(tmp_path, movie, nuclei, tracklets(cells.frame, mother), progress=False)
    assert (tmp_path / "mask002.tif").is_file()
