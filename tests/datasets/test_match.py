"""A separate segmentation gets the truth of the annotated cells that it covers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from ctc_metrics.utils.representations import match as ctc_metrics_match
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from torchtrack_uq.datasets import (
    AnnotatedMovie,
    CtcSequence,
    Lineage,
    match_frame,
    match_movie,
    read_ctc_sequence,
)
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import open_frames
from torchtrack_uq.movies.movie import Movie

LABELS = arrays(np.uint16, (6, 7), elements=st.integers(0, 4))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(segmentation=LABELS, annotation=LABELS)
def test_matches_are_those_of_py_ctcmetrics(
    segmentation: np.ndarray, annotation: np.ndarray, tmp_path: Path
) -> None:
    segmentation, annotation = segmentation.copy(), annotation.copy()
    segmentation[0, 0] = annotation[0, 0] = 0  # it takes the smallest label for background, whatever that is
    files = tmp_path / "annotation.tif", tmp_path / "segmentation.tif"
    tifffile.imwrite(files[0], annotation)
    tifffile.imwrite(files[1], segmentation)
    _, _, annotated, covered_by, _ = ctc_metrics_match(str(files[0]), str(files[1]))
    match = match_frame(segmentation, annotation)
    ours = {int(a): int(d) for a, d in zip(match.annotated, match.covered_by, strict=True) if d}
    assert ours == dict(zip(annotated, covered_by, strict=True))
    matched, merges, unmatched, n_annotated, missed, _ = match.counts
    assert matched + merges + unmatched == len(match.detection)
    assert n_annotated - missed == len(annotated)
    assert (match.track > 0).sum() == matched + merges
    kinds = match.kinds
    assert (kinds.false.sum(), kinds.merged.sum()) == (unmatched, merges)
    assert (match.track == 0).tolist() == kinds.false.tolist()
    assert {int(t) for t in match.track if t} <= set(annotated)


def test_every_kind_of_error_is_counted() -> None:
    annotation = np.zeros((10, 40), np.uint16)
    segmentation = np.zeros_like(annotation)
    annotation[2:6, 2:6], segmentation[2:6, 2:5] = 1, 11  # three quarters: the same cell
    annotation[2:6, 10:14], segmentation[2:6, 10:12] = 2, 12  # exactly half is not enough
    annotation[2:6, 18:20], annotation[2:6, 20:22], segmentation[2:6, 18:22] = 3, 4, 13  # two in one
    annotation[2:6, 26:30], segmentation[2:6, 26:29], segmentation[2:6, 29:30] = 5, 14, 15  # one in two
    segmentation[8:, 36:] = 16  # nothing there
    match = match_frame(segmentation, annotation)
    assert match.detection.tolist() == [11, 12, 13, 14, 15, 16]
    assert match.track.tolist() == [1, 0, 3, 5, 0, 0]
    assert match.kinds.false.tolist() == [False, True, False, False, True, True]
    assert match.kinds.merged.tolist() == [False, False, True, False, False, False]
    assert match.kinds.split.tolist() == [False, False, False, True, True, False]
    assert match.counts == (2, 1, 3, 5, 1, 1)


def test_empty_frames_match_nothing() -> None:
    empty, full = np.zeros((3, 3), np.uint16), np.ones((3, 3), np.uint16)
    assert match_frame(empty, full).counts == (0, 0, 0, 1, 1, 0)
    assert match_frame(full, empty).counts == (0, 0, 1, 0, 0, 0)
    with pytest.raises(InputError, match="expected the same frames"):
        match_frame(empty, full[:2])


FRAMES = [[1, 5], [1, 5], [2, 3, 5], [2, 3, 5], [2, 3, 5]]


ROWS = ["1 0 1 0", "2 2 4 1", "3 2 4 1", "5 0 4 0"]


@pytest.fixture
def segmented(write_ctc: Callable[..., Path]) -> tuple[Path, list[np.ndarray]]:
    """A sequence of cell 1, which divides into 2 and 3, and cell 5; and its masks under other labels."""
    folder = write_ctc(FRAMES, ROWS)
    names = {1: 40, 2: 41, 3: 42, 5: 43}
    masks = [frame.copy() for frame in open_frames(folder.with_name("01_GT"))]
    for mask in masks:
        for track, label in names.items():
            mask[mask == track] = label
    return folder, masks


def read(segmented: tuple[Path, list[np.ndarray]], stride: int = 1, complete: bool = True) -> AnnotatedMovie:
    folder, masks = segmented
    movie = read_ctc_sequence(folder, stride, segmentation=np.stack(masks), complete=complete, progress=False)
    assert movie.counts is not None
    return movie


def truth(movie: AnnotatedMovie) -> dict[tuple[int, int], int | None]:
    """Label of the true mother by (frame of the recording, label), 0 for null, None for not known."""
    label = movie.detections.label
    columns = zip(movie.recording_frame, label, movie.mother, movie.has_target, strict=True)
    return {
        (int(t), int(k)): (int(label[i]) if i >= 0 else 0) if known else None
        for t, k, i, known in columns
        if t
    }


def test_a_perfect_segmentation_has_the_truth_of_the_annotation(
    segmented: tuple[Path, list[np.ndarray]],
) -> None:
    movie, annotated = read(segmented), read_ctc_sequence(segmented[0], progress=False)
    assert movie.mother.tolist() == annotated.mother.tolist()
    assert movie.has_target.tolist() == annotated.has_target.tolist()
    assert movie.daughters_known.tolist() == annotated.daughters_known.tolist()
    assert movie.summary() == {
        **annotated.summary(), "n_matched": 13, "n_merges": 0, "n_unmatched": 0, "n_annotated": 13,
        "n_missed": 0, "n_splits": 0,
    }  # fmt: skip


def test_a_merged_detection_stands_for_the_cell_that_it_shares_most_pixels_with() -> None:
    annotation = np.zeros((6, 20), np.uint16)
    annotation[:, 2:6], annotation[:, 6:12], annotation[:, 12:15] = 1, 2, 3
    segmentation = np.zeros_like(annotation)
    segmentation[:, 2:15] = 9
    assert match_frame(segmentation, annotation).track.tolist() == [2]


def test_a_daughter_whose_mother_was_missed_descends_from_her_nearest_ancestor_or_from_none(
    segmented: tuple[Path, list[np.ndarray]],
) -> None:
    segmented[1][1][segmented[1][1] == 40] = 0
    movie = read(segmented)
    known = truth(movie)
    assert (known[2, 41], known[2, 42], known[2, 43]) == (0, 0, 43)
    assert movie.summary()["n_missed_mothers"] == 2
    assert movie.summary()["n_missed"] == 1
    assert movie.daughters_known[:2].tolist() == [True, True]
    assert movie.targets().n_daughters.tolist()[:2] == [0, 1]
    over_gap = movie.targets(max_gap=2)
    assert movie.detections.label[over_gap.mother[movie.detections.frame == 2]].tolist() == [40, 40, 43]
    assert over_gap.n_daughters.tolist()[:2] == [2, 1]
    assert over_gap.known.tolist() == movie.has_target.tolist()
    for strided in (movie.strided(2), read(segmented, stride=2)):
        assert truth(strided)[2, 41] == truth(strided)[2, 42] == 40
        assert strided.summary()["n_missed"] == 0
        assert strided.daughters_known[strided.detections.label == 40].all()


def test_false_and_merged_detections_have_a_known_truth(segmented: tuple[Path, list[np.ndarray]]) -> None:
    masks = segmented[1]
    masks[3][masks[3] == 42] = 41  # 2 and 3 in one detection, which stands for 2
    masks[3][0, 50:] = 77
    movie = read(segmented)
    known = truth(movie)
    assert (known[3, 41], known[3, 77]) == (41, 0)
    assert (known[4, 41], known[4, 42], known[4, 43]) == (41, 0, 43)
    counts = movie.summary()
    assert (counts["n_merges"], counts["n_unmatched"], counts["n_unknown"]) == (1, 1, 0)
    targets, label, frame = movie.targets(max_gap=2), movie.detections.label, movie.detections.frame
    assert (
        targets.mother[(frame == 4) & (label == 42)].tolist()
        == np.flatnonzero((frame == 2) & (label == 42)).tolist()
    )
    assert targets.mother_known.tolist() == (frame < 4).tolist()
    kinds = movie.detection_truth()
    assert kinds is not None
    found = {name: label[getattr(kinds, name).numpy()].tolist() for name in ("false", "merged", "split")}
    assert found == {"false": [77], "merged": [41], "split": []}
    assert kinds.known.all()
    assert movie.strided(2).detection_truth().false.sum() == 0  # type: ignore[union-attr]
    sparse = read(segmented, complete=False)
    known = truth(sparse)
    assert (known[3, 77], known[4, 42]) == (
        None,
        None,
    )  # may be a cell that nobody annotated, or its daughter
    its = sparse.detection_truth()
    assert its is not None
    assert (~its.known).tolist() == (label == 77).tolist()


def test_where_only_some_cells_are_annotated_a_first_cell_may_have_a_mother(
    segmented: tuple[Path, list[np.ndarray]],
) -> None:
    folder = segmented[0]
    masks = folder.with_name("01_GT") / "TRA"
    for file in sorted(masks.glob("*.tif"))[:2]:  # followed from frame 2 on
        mask = tifffile.imread(file)
        mask[mask == 1] = 0
        tifffile.imwrite(file, mask)
    (masks / "man_track.txt").write_text("2 2 4 0\n3 2 4 0\n5 0 4 0\n")
    assert truth(read(segmented))[2, 41] == 0
    sparse = read(segmented, complete=False)
    known = truth(sparse)
    assert (known[1, 40], known[2, 41], known[2, 42]) == (None, None, None)
    assert (known[3, 41], known[3, 42], known[3, 43]) == (41, 42, 43)
    frame = sparse.detections.frame
    assert not sparse.daughters_known[frame < 2].any()  # any of them may have an unannotated daughter
    assert sparse.daughters_known[(frame == 2) | (frame == 3)].all()
    assert truth(sparse.strided(2))[2, 41] is None


def test_an_explicit_mask_is_carried_along() -> None:
    frame = np.repeat(np.arange(4), 2)
    cells = Detections.from_points(frame, np.zeros((8, 2)), np.tile([1, 2], 4))
    annotated = np.array([1, 1, 1, 1, 0, 1, 1, 1], dtype=bool)
    movie = AnnotatedMovie("two", cells, Lineage.from_rows([(1, 0, 3, 0), (2, 0, 3, 0)]), annotated=annotated)
    assert movie.has_target.tolist() == [False, False, True, True, False, True, True, True]
    assert movie.daughters_known.tolist() == [True, True, False, False, True, True, False, False]
    assert movie.frames(1, 3).has_target.tolist() == [False, False, False, True]
    assert movie.strided(2).has_target.tolist() == [False, False, False, True]
    targets = movie.targets()
    assert targets.mother.tolist() == [-1, -1, 0, 1, -1, 3, 4, 5]
    assert torch.equal(targets.known, torch.from_numpy(movie.has_target))
    with pytest.raises(InputError, match=r"expected \(8,\) bool"):
        AnnotatedMovie("two", cells, movie.lineage, annotated=annotated[:3])


def test_impossible_tracks_are_refused() -> None:
    cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
    lineage = Lineage.from_rows([(1, 0, 1, 0)])
    with pytest.raises(InputError, match="two cells of frame 0 belong to track 1"):
        AnnotatedMovie("twice", cells, lineage, track=np.array([1, 1, 1]))
    with pytest.raises(InputError, match="label 4 in frame 1 is not listed"):
        AnnotatedMovie("unlisted", cells, lineage, track=np.array([1, 0, 4]))


def test_another_movie_is_refused(segmented: tuple[Path, list[np.ndarray]]) -> None:
    folder, masks = segmented
    with pytest.raises(InputError, match=r"has frames 4 but the annotation .* 5"):
        read((folder, masks[:4]))
    with pytest.raises(
        InputError, match=r"covers more than half of one annotated cell of .* \(0 cover several\)"
    ):
        read((folder, [np.roll(mask, 30, axis=1) for mask in masks]))
    movie = Movie.open(None, np.stack(masks))
    other = Detections.from_movie(Movie.open(None, np.stack(masks[::-1])), progress=False)
    with pytest.raises(InputError, match="holds other cells in frame 0"):
        match_movie(
            "x",
            movie,
            open_frames(folder.with_name("01_GT")),
            Lineage.from_rows([]),
            detections=other,
            progress=False,
        )


def test_a_real_movie_segmented_with_errors(data_folder: Path) -> None:
    """Cells that touch run together, small ones go, labels are new: whatever is still known must be true."""
    folder = data_folder / "Fluo-N2DH-SIM+" / "01"
    sequence = CtcSequence.find(folder)
    masks = np.stack(list(open_frames(sequence.masks)))[:20, ::2, ::2]
    lineage = Lineage.read(sequence.lineage)
    clipped = Lineage.from_rows(
        [
            (int(k), int(b), min(int(e), 19), int(p))
            for k, b, e, p in zip(lineage.label, lineage.begin, lineage.end, lineage.parent, strict=True)
            if b < 20
        ]
    )
    segmentation = np.stack(
        [
            ndimage.label(ndimage.binary_dilation(ndimage.binary_erosion(mask > 0, iterations=4)))[0]
            for mask in masks
        ]
    )
    movie = match_movie("sim", Movie.open(None, segmentation), open_frames(masks), clipped, progress=False)
    full = AnnotatedMovie("sim", Detections.from_movie(Movie.open(None, masks), progress=False), clipped)
    true = truth_by_track(full)
    found = truth_by_track(movie)
    cells = {key: mother for key, mother in found.items() if key[1]}
    assert all(mother in (0, true[key]) for key, mother in cells.items())
    assert all(mother == 0 for (_, track), mother in found.items() if track == 0)
    over_gap = truth_by_track(movie, max_gap=3)
    assert over_gap.keys() == found.keys()
    assert all(over_gap[key] == mother for key, mother in cells.items() if mother)
    assert sum(map(bool, over_gap.values())) > sum(map(bool, found.values()))
    counts = movie.summary()
    assert counts["n_matched"] + counts["n_merges"] + counts["n_unmatched"] == len(movie)
    assert counts["n_merges"] + counts["n_missed"] > 0
    assert 0.5 * len(true) < len(cells) < len(true)


def truth_by_track(movie: AnnotatedMovie, max_gap: int = 1) -> dict[tuple[int, int], int]:
    """Track of the true mother, 0 for null, by (frame, track), of the known daughters."""
    track, targets = movie.tracks, movie.targets(max_gap)
    mother = targets.mother.numpy()
    return {
        (int(movie.recording_frame[i]), int(track[i])): int(track[mother[i]]) if mother[i] >= 0 else 0
        for i in np.flatnonzero(targets.known.numpy())
    }
