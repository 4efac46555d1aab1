"""Truth over gaps, held against a walk up every line of descent, cell by cell."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchtrack_uq.datasets import AnnotatedMovie, Lineage
from torchtrack_uq.datasets.detection_kinds import DetectionKinds
from torchtrack_uq.datasets.simulator import simulate_movie
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.truth import LinkTargets

N_FRAMES = 9


@st.composite
def lineages(draw: st.DrawFn) -> Lineage:
    """Up to 12 tracks; each child begins any number of frames after its mother has begun."""
    rows: list[tuple[int, int, int, int]] = []
    for k in range(1, draw(st.integers(1, 12)) + 1):
        parent = draw(st.sampled_from([0, *[row[0] for row in rows if row[1] < N_FRAMES - 1]]))
        earliest = rows[parent - 1][1] + 1 if parent else 0
        begin = draw(st.integers(earliest, N_FRAMES - 1))
        rows.append((k, begin, draw(st.integers(begin, N_FRAMES - 1)), parent))
    return Lineage.from_rows(rows)


@st.composite
def detected(draw: st.DrawFn) -> AnnotatedMovie:
    """A movie in which some cells are missed and some detections are no cells."""
    lineage = draw(lineages())
    rows = [(t, int(k)) for t in range(N_FRAMES) for k in lineage.alive(t) if draw(st.booleans())] + [
        (t, 0) for t in range(N_FRAMES) if draw(st.integers(0, 3)) == 0
    ]
    frame, track = np.array(sorted(rows), dtype=np.int64).reshape(-1, 2).T
    cells = Detections.from_points(frame, np.zeros((len(frame), 2)), n_frames=N_FRAMES)
    no = np.zeros(len(track), dtype=np.bool_)
    kinds = DetectionKinds(track == 0, no, no)
    return AnnotatedMovie("drawn", cells, lineage, track=track.copy(), kinds=kinds)


def walk(movie: AnnotatedMovie, i: int, max_gap: int) -> int:
    """The nearest detected ancestor of cell i, by going up its line one frame of the recording at a time."""
    parent = {int(k): int(p) for k, p in zip(movie.lineage.label, movie.lineage.parent, strict=True)}
    begin = {int(k): int(b) for k, b in zip(movie.lineage.label, movie.lineage.begin, strict=True)}
    where = {
        (int(t), int(k)): j
        for j, (t, k) in enumerate(zip(movie.recording_frame, movie.tracks, strict=True))
        if k
    }
    track, frame, stride = int(movie.tracks[i]), int(movie.recording_frame[i]), movie.detections.stride
    for step in range(1, max_gap * stride + 1):
        while track and begin[track] > frame - step:
            track = parent[track]
        if not track:
            return -1
        if step % stride == 0 and (frame - step, track) in where:
            return where[frame - step, track]
    return -1


@given(movie=detected(), max_gap=st.integers(1, 5), stride=st.integers(1, 3), offset=st.integers(0, 2))
def test_a_true_mother_is_the_nearest_ancestor_that_was_detected(
    movie: AnnotatedMovie, max_gap: int, stride: int, offset: int
) -> None:
    part = movie.strided(stride, offset)
    targets = part.targets(max_gap)
    assert targets.mother.tolist() == [walk(part, i, max_gap) for i in range(len(part))]
    assert targets.known.tolist() == (part.detections.frame > 0).tolist()
    assert targets.mother_known.tolist() == (part.detections.frame < part.detections.n_frames - 1).tolist()
    assert (targets.mother[torch.from_numpy(part.tracks == 0)] == -1).all()
    truth = part.detection_truth()
    assert truth is not None
    assert truth.false.tolist() == (part.tracks == 0).tolist()


@given(movie=detected())
def test_a_larger_reach_changes_nothing_but_the_truth_of_cells_without_mother(movie: AnnotatedMovie) -> None:
    one, two = movie.targets(), movie.targets(2)
    linked = one.mother >= 0
    assert torch.equal(one.mother[linked], two.mother[linked])
    assert torch.equal(one.mother, torch.from_numpy(movie.mother))
    assert torch.equal(one.known, two.known)


def test_perfect_detections_have_the_same_truth_whether_links_may_skip_frames_or_not() -> None:
    movie = simulate_movie(12, 30, divide=0.1, disappear=0.05)
    one, three = movie.targets(), movie.targets(3)
    for name in ("mother", "known", "mother_known"):
        assert torch.equal(getattr(one, name), getattr(three, name))


def test_a_line_that_the_annotation_interrupts_is_closed_by_a_gap() -> None:
    lineage = Lineage.from_rows([(1, 0, 1, 0), (2, 3, 4, 1)])  # gone in frame 2
    cells = Detections.from_points(np.array([0, 1, 3, 4]), np.zeros((4, 2)), np.array([1, 1, 2, 2]))
    movie = AnnotatedMovie("interrupted", cells, lineage)
    assert movie.targets().mother.tolist() == [-1, 0, -1, 2]
    assert movie.targets(2).mother.tolist() == [-1, 0, 1, 2]


def test_without_knowing_what_detections_are_a_missed_mother_leaves_her_daughter_open() -> None:
    lineage = Lineage.from_rows([(1, 0, 3, 0)])
    cells = Detections.from_points(np.array([0, 1, 2, 3]), np.zeros((4, 2)))
    movie = AnnotatedMovie("open", cells, lineage, track=np.array([1, 0, 0, 1]))
    assert movie.targets().known.tolist() == [False] * 4
    assert movie.targets(3).known.tolist() == [False, False, False, True]
    assert movie.targets(3).mother.tolist() == [-1, -1, -1, 0]
    assert movie.detection_truth() is None


def test_daughters_that_nobody_annotated_leave_open_what_became_of_cells_within_reach() -> None:
    frame = torch.tensor([0, 1, 2, 3])
    known = torch.tensor([True, True, False, True])
    mother = torch.tensor([-1, 0, -1, 1])
    assert LinkTargets.from_mothers(mother, frame, known).mother_known.tolist() == [True, False, False, False]
    two = LinkTargets.from_mothers(mother, frame, known, max_gap=2)
    assert two.mother_known.tolist() == [False, False, False, False]
    cells = Detections.from_points(frame.numpy(), np.zeros((4, 2)))
    movie = AnnotatedMovie("open", cells, Lineage.from_rows([(1, 0, 3, 0)]), annotated=known.numpy())
    assert movie.targets().mother_known.tolist() == [True, False, True, False]
    assert movie.targets(2).mother_known.tolist() == [False, False, True, False]


def test_impossible_reaches_and_kinds_are_refused() -> None:
    movie = simulate_movie(3, 2)
    with pytest.raises(InputError, match="max_gap is 0"):
        movie.targets(0)
    with pytest.raises(InputError, match="max_gap is 0"):
        LinkTargets.from_mothers(torch.tensor([-1]), torch.tensor([0]), max_gap=0)
    no = np.zeros(len(movie), dtype=np.bool_)
    with pytest.raises(InputError, match="of which those without a track"):
        AnnotatedMovie("x", movie.detections, movie.lineage, kinds=DetectionKinds(~no, no, no))
    with pytest.raises(InputError, match="merged is"):
        DetectionKinds(no, no[1:], no)
