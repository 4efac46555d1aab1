"""Mothers by hand on a lineage with two generations of divisions, a gap, a newcomer and a leaver.

Track 1 lives in frames 0 and 1 and divides into 2 and 3 (frames 2, 3); 2 divides into 4 and 5 (frames
4, 5), 3 into 6 and 7 (frames 4, 5). Track 8 enters in frame 3; 9 is its child after a gap. Track 10 is
not visible in frame 2.
"""

from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrack_uq.datasets import AnnotatedMovie, Lineage, match_movie
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import open_frames
from torchtrack_uq.movies.movie import Movie

ROWS = [
    (1, 0, 1, 0),
    (2, 2, 3, 1),
    (3, 2, 3, 1),
    (4, 4, 5, 2),
    (5, 4, 5, 2),
    (6, 4, 5, 3),
    (7, 4, 5, 3),
    (8, 3, 3, 0),
    (9, 5, 5, 8),
    (10, 0, 5, 0),
]


FRAMES = [[1, 10], [1, 10], [2, 3], [2, 3, 8, 10], [4, 5, 6, 7, 10], [4, 5, 6, 7, 9, 10]]


@pytest.fixture
def movie() -> AnnotatedMovie:
    frame = np.repeat(np.arange(6), [len(labels) for labels in FRAMES])
    label = np.concatenate(FRAMES)
    cells = Detections.from_points(frame, np.stack([frame, label], axis=1).astype(np.float64), label)
    return AnnotatedMovie("by hand", cells, Lineage.from_rows(ROWS))


def mothers(movie: AnnotatedMovie) -> dict[tuple[int, int], int]:
    """Label of the mother, 0 for null, by (frame of the recording, label)."""
    label = movie.detections.label
    return {
        (int(t), int(k)): int(label[i]) if i >= 0 else 0
        for t, k, i, judged in zip(movie.recording_frame, label, movie.mother, movie.has_target, strict=True)
        if judged
    }


def test_mothers_at_full_rate(movie: AnnotatedMovie) -> None:
    assert mothers(movie) == {
        (1, 1): 1, (1, 10): 10,
        (2, 2): 1, (2, 3): 1,
        (3, 2): 2, (3, 3): 3, (3, 8): 0, (3, 10): 0,
        (4, 4): 2, (4, 5): 2, (4, 6): 3, (4, 7): 3, (4, 10): 10,
        (5, 4): 4, (5, 5): 5, (5, 6): 6, (5, 7): 7, (5, 9): 0, (5, 10): 10,
    }  # fmt: skip


def test_mothers_at_stride_two_skip_a_frame_and_bridge_the_gap(movie: AnnotatedMovie) -> None:
    assert mothers(movie.strided(2, offset=1)) == {
        (3, 2): 1, (3, 3): 1, (3, 8): 0, (3, 10): 10,
        (5, 4): 2, (5, 5): 2, (5, 6): 3, (5, 7): 3, (5, 9): 8, (5, 10): 10,
    }  # fmt: skip


def test_two_divisions_in_the_skipped_frames_leave_a_mother_with_four_daughters(
    movie: AnnotatedMovie,
) -> None:
    strided = movie.strided(4, offset=1)
    assert mothers(strided) == {(5, 4): 1, (5, 5): 1, (5, 6): 1, (5, 7): 1, (5, 9): 0, (5, 10): 10}
    assert strided.detections.label[strided.crowded_mothers].tolist() == [1]
    assert strided.summary() == {
        "n_frames": 2, "n_cells": 8, "n_daughters": 6, "n_unknown": 0, "n_missed_mothers": 0,
        "n_links": 5, "n_null": 1, "n_divisions": 1, "n_crowded_mothers": 1,
    }  # fmt: skip


def test_strides_compose(movie: AnnotatedMovie) -> None:
    once, twice = movie.strided(4, offset=1), movie.strided(2, offset=1).strided(2)
    assert twice.detections.stride == 4
    assert np.array_equal(once.mother, twice.mother)
    assert np.array_equal(once.recording_frame, twice.recording_frame)


def test_a_part_has_no_targets_in_its_first_frame(movie: AnnotatedMovie) -> None:
    part = movie.frames(2, 5)
    assert part.detections.n_frames == 3
    assert set(mothers(part)) == {key for key in mothers(movie) if key[0] in (3, 4)}
    assert (part.mother[~part.has_target] == -1).all()


def test_labels_that_are_no_track_are_refused() -> None:
    cells = Detections.from_points(np.array([0, 1]), np.zeros((2, 2)), np.array([1, 2]))
    with pytest.raises(InputError, match="label 2 in frame 1 is not listed as a track"):
        AnnotatedMovie("bad", cells, Lineage.from_rows([(1, 0, 1, 0)]))
    with pytest.raises(
        InputError, match="label 2 stands in frame 1, but that track is listed from frame 0 to 0"
    ):
        AnnotatedMovie("bad", cells, Lineage.from_rows([(1, 0, 1, 0), (2, 0, 0, 0)]))


def test_impossible_parts_are_refused(movie: AnnotatedMovie) -> None:
    with pytest.raises(InputError, match="stride must be at least 1, got 0"):
        movie.strided(0)
    with pytest.raises(InputError, match="cannot begin with frame 6"):
        movie.strided(2, offset=6)
    with pytest.raises(InputError, match="frames 4 to 6 cannot be taken"):
        movie.frames(4, 7)


def assert_same_cells(found: Detections, expected: Detections) -> None:
    assert (found.n_frames, found.stride, found.has_images) == (
        expected.n_frames,
        expected.stride,
        expected.has_images,
    )
    for name in ("frame", "label", "coords"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.features.keys() == expected.features.keys()
    for name, column in expected.features.items():
        np.testing.assert_array_equal(found.features[name], column, err_msg=name)


N_FRAMES = 8


@cache
def matched(has_images: bool = False) -> AnnotatedMovie:
    """A segmentation with an error of each kind somewhere, matched to an annotation of three cells."""
    annotation = np.zeros((N_FRAMES, 20, 40), np.uint16)
    for t in range(N_FRAMES):
        for label in (1, 2, 3):
            annotation[t, 3 + t : 9 + t, 12 * label - 8 : 12 * label - 2] = label
    segmentation = annotation * np.uint16(10)
    segmentation[1][annotation[1] == 2] = 0  # missed
    segmentation[2][annotation[2] == 3] = 20  # in one with another
    segmentation[5, 0, 0] = 77  # a false positive
    images = np.random.default_rng(0).integers(0, 1000, annotation.shape).astype(np.uint16)
    movie = Movie.open(images if has_images else None, segmentation)
    lineage = Lineage.from_rows([(label, 0, N_FRAMES - 1, 0) for label in (1, 2, 3)])
    return match_movie("matched", movie, open_frames(annotation), lineage, progress=False)


class TestPixelsStayInStep:
    """The selected movie shows the selected cells, and their counts are those of its frames."""

    @given(st.integers(1, 4), st.integers(0, 7), st.integers(1, 8))
    def test_measuring_the_selected_movie_gives_the_selected_cells(
        self, stride: int, start: int, length: int
    ) -> None:
        """Without images: with them, intensities are relative to the brightest pixels of the whole movie."""
        whole = matched()
        part = whole.frames(start, min(start + length, N_FRAMES)).strided(stride)
        assert part.movie is not None
        assert_same_cells(Detections.from_movie(part.movie, progress=False), part.detections)
        frames = np.arange(N_FRAMES)[start : start + length : stride]
        np.testing.assert_array_equal(np.unique(part.recording_frame), frames)

    def test_images_are_those_of_the_same_frames(self) -> None:
        whole = matched(has_images=True)
        part = whole.strided(3, offset=1)
        assert part.movie is not None
        assert whole.movie is not None
        for t, of_whole in enumerate((1, 4, 7)):
            np.testing.assert_array_equal(part.movie.read_image(t), whole.movie.read_image(of_whole))
            np.testing.assert_array_equal(part.movie.read_mask(t), whole.movie.read_mask(of_whole))
        measured = Detections.from_movie(part.movie, progress=False)
        for name in ("frame", "label", "coords"):
            np.testing.assert_array_equal(getattr(measured, name), getattr(part.detections, name))

    @given(st.integers(1, 4), st.integers(0, 7))
    def test_counts_are_those_of_the_kept_frames(self, stride: int, offset: int) -> None:
        whole = matched()
        assert whole.counts is not None
        total = whole.counts.total()
        assert (total["n_missed"], total["n_merges"], total["n_unmatched"]) == (1, 1, 1)
        part = whole.strided(stride, offset)
        assert part.counts is not None
        for column in fields(whole.counts):
            np.testing.assert_array_equal(
                getattr(part.counts, column.name), getattr(whole.counts, column.name)[offset::stride]
            )
        detected = np.bincount(part.detections.frame, minlength=part.detections.n_frames)
        counts = part.counts
        np.testing.assert_array_equal(counts.n_matched + counts.n_merges + counts.n_unmatched, detected)
        assert part.summary()["n_missed"] == counts.total()["n_missed"]

    def test_strides_of_strides_and_parts_of_parts_are_those_of_the_recording(self) -> None:
        whole = matched()
        one, other = whole.strided(2).strided(2), whole.strided(4)
        assert_same_cells(one.detections, other.detections)
        assert one.movie is not None
        assert (one.movie.stride, one.detections.stride) == (4, 4)
        inner = whole.frames(2, 8).frames(1, 4)
        assert (inner.first_frame, inner.detections.n_frames) == (3, 3)
        assert_same_cells(inner.detections, whole.frames(3, 6).detections)
        assert inner.mother.tolist() == whole.frames(3, 6).mother.tolist()

    def test_a_movie_of_another_length_is_refused(self) -> None:
        whole = matched()
        assert whole.movie is not None
        with pytest.raises(InputError, match="the cells lie in 8 frames but the movie has 3"):
            replace(whole, movie=whole.movie.select(range(3)))
