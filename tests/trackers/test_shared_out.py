"""Links that several workers score are those of one process, to the last bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.crews import Pickled
from tests.support.drifting_cells import drifting_cells
from tests.support.transformer import small_transformer
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import GRAPH_TENSORS
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.trackers import ActivityTracker, DistanceTracker, OverlapTracker
from torchtrack_uq.trackers.protocol import DivisibleTracker, Tracker
from torchtrack_uq.trackers.shared_out import SharedOut
from torchtrack_uq.trackers.trackastra import window_model
from torchtrack_uq.trackers.trackastra.tracker import TrackastraTracker
from torchtrack_uq.utils.device import one_torch_thread


def assert_same_bits(found: CandidateGraph, expected: CandidateGraph) -> None:
    assert found.max_gap == expected.max_gap
    assert expected.n_links
    for name in GRAPH_TENSORS:
        a, b = getattr(found, name), getattr(expected, name)
        assert a.dtype == b.dtype
        assert torch.equal(a, b), name


@torch.no_grad()
def both_ways(
    tracker: Tracker, cells: Detections, movie: Movie | None, n: int
) -> tuple[CandidateGraph, CandidateGraph]:
    shared = SharedOut(tracker, Pickled(n)).candidates(cells, movie, progress=False)
    with one_torch_thread():
        return shared, tracker.candidates(cells, movie, progress=False)


def squares(n_frames: int, dtype: type, seed: int = 0) -> Movie:
    """Twelve squares of random brightness that wander; one frame is empty."""
    rng = np.random.default_rng(seed)
    place = rng.integers(4, 70, (12, 2)) + np.zeros((n_frames, 1, 1), int)
    place += rng.integers(-2, 3, place.shape).cumsum(axis=0)
    masks = np.zeros((n_frames, 80, 80), np.uint16)
    images = rng.integers(0, 50, masks.shape).astype(dtype)
    for t in range(n_frames):
        for k, (y, x) in enumerate(np.clip(place[t], 0, 74)):
            masks[t, y : y + 6, x : x + 6] = k + 1
            images[t, y : y + 6, x : x + 6] += dtype(rng.integers(100, 200))
    masks[n_frames // 2] = 0
    return Movie.open(images, masks)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_cells_are_measured_alike(n: int, dtype: type) -> None:
    movie = squares(23, dtype)
    found = Detections.from_movie(movie, crew=Pickled(n), progress=False)
    expected = Detections.from_movie(movie, progress=False)
    assert len(expected) > 200
    for name in ("frame", "label", "coords"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name, column in expected.features.items():
        assert found.features[name].tobytes() == column.tobytes()


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("max_gap", [1, 3])
@pytest.mark.parametrize("kind", [OverlapTracker, ActivityTracker, DistanceTracker])
def test_trackers_of_pixels_and_of_points(kind: type, max_gap: int, n: int) -> None:
    movie = squares(40, np.uint16)
    cells = Detections.from_movie(movie, progress=False)
    tracker = kind(max_gap=max_gap)
    assert_same_bits(*both_ways(tracker, cells, movie, n))
    assert isinstance(tracker, DivisibleTracker) == (kind is not DistanceTracker)
    if isinstance(tracker, DivisibleTracker):
        assert len(tracker.shares(cells, n)) >= n
        assert len(tracker.shares(cells, 1)) == 1


def without_frames(cells: Detections, *frames: int) -> Detections:
    """The same movie with frames in which nothing was found."""
    kept = ~np.isin(cells.frame, frames)
    columns = {name: column[kept] for name, column in cells.features.items()}
    return replace(
        cells,
        frame=cells.frame[kept],
        label=cells.label[kept],
        coords=cells.coords[kept],
        features=columns,
        row=np.arange(kept.sum()),
    )


@pytest.mark.parametrize(
    ("n", "max_gap", "window", "n_frames", "local"),
    [
        (1, 2, 4, 41, False),
        (2, 1, 3, 40, False),
        (2, 2, 4, 41, False),
        (2, 2, 4, 41, True),
        (2, 2, 4, 2, True),
        (3, 3, 3, 40, False),
        (3, 3, 3, 26, True),
        (3, 3, 5, 4, False),
    ],
)
def test_the_transformer(
    n: int, max_gap: int, window: int, n_frames: int, local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over windows of consecutive frames and of every so many, of all pairs of cells and of near ones."""
    if local:
        monkeypatch.setattr(window_model, "LOCAL_FROM", 1)
    movie = drifting_cells(9, max(n_frames, 5)).detections
    cells = without_frames(movie, 17, 18, 19, 20, 21, 30, *range(n_frames, 5))
    cells = replace(cells, n_frames=n_frames)
    tracker = TrackastraTracker(small_transformer(window=window), max_gap=max_gap)
    assert_same_bits(*both_ways(tracker, cells, None, n))
    if n > 1 and n_frames > 20:
        assert len(tracker.shares(cells, n)) > len(tracker.shares(cells, 1))


def test_batches_of_windows_stay_the_same_ones() -> None:
    """What is padded may change the last bits."""
    cells = without_frames(drifting_cells(9, 40).detections, 17)
    tracker = TrackastraTracker(small_transformer(), max_gap=2, batch_size=3)
    for one in tracker.shares(cells, 2):
        assert one.starts.start % 3 == 0
    assert_same_bits(*both_ways(tracker, cells, None, 2))


@pytest.mark.parametrize("average", ["logits", "probabilities"])
@pytest.mark.parametrize("causal_norm", ["none", "linear", "softmax", "quiet_softmax"])
def test_all_ways_to_make_scores_of_logits(average: str, causal_norm: str) -> None:
    cells = drifting_cells(9, 30).detections
    tracker = TrackastraTracker(small_transformer(causal_norm=causal_norm), max_gap=2, average=average)  # type: ignore[arg-type]
    assert_same_bits(*both_ways(tracker, cells, None, 2))


def test_gradients_still_flow_in_one_process() -> None:
    tracker = TrackastraTracker(small_transformer(), max_gap=2)
    tracker.candidates(drifting_cells(5, 6).detections, progress=False).score.sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in tracker.parameters())
