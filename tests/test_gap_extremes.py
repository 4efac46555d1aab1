"""Links over gaps where there is little to link: empty frames, one or two frames, gaps longer than the movie."""

import warnings

import numpy as np
import pytest

from torchtrack_uq import Movie, TrackingResult, UncertainTracker
from torchtrack_uq.errors import InputError

TRACKERS = ("distance", "overlap", "activity")
METHODS = ("auto", "AS", "SM", "bp")


def track(movie: tuple[np.ndarray, np.ndarray], tracker: str, method: str, max_gap: int) -> TrackingResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of AS, that its list covers little
        # by the tracker's own scores: what other movies say depends on whether links may skip frames
        uncertain = UncertainTracker(tracker, method, 1.0, device="cpu", max_gap=max_gap)
        return uncertain.track(*movie, progress=False)


def is_sound(result: TrackingResult, max_gap: int) -> None:
    """Probabilities of every daughter sum to 1, links span what they may, and the review list is complete."""
    links, cells = result.links, result.cells
    totals = links.groupby(["frame", "daughter"])["probability"].sum()
    np.testing.assert_allclose(totals, 1.0, atol=1e-5)
    assert len(totals) == (cells["frame"] > 0).sum() == len(result.review())
    gap = (links["frame"] - links["mother_frame"]).dropna()
    assert gap.between(1, max_gap).all()
    doubt = result.review()["doubt"]
    assert doubt.between(0, 1).all()
    columns = ["p_missed", "p_false", "p_merged", "p_split"]
    assert cells[columns].stack().dropna().between(0, 1).all()
    assert result.summary()


@pytest.fixture(scope="module")
def movie(crop: tuple[Movie, object]) -> tuple[np.ndarray, np.ndarray]:
    whole = crop[0]
    return np.stack(list(whole.images)), np.stack(list(whole.masks))


@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.parametrize("empty", ["start", "end", "middle", "all but two"])
def test_empty_frames_anywhere(movie: tuple[np.ndarray, np.ndarray], tracker: str, empty: str) -> None:
    images, masks = movie[0], movie[1].copy()
    n = len(masks)
    frames = {"start": [0], "end": [n - 1], "middle": [n // 2], "all but two": list(range(1, n - 1))}[empty]
    masks[frames] = 0
    for max_gap in (1, 3):
        result = track((images, masks), tracker, "auto", max_gap)
        is_sound(result, max_gap)
        if empty == "middle":
            over = result.detections.frame == n // 2 + 1
            assert (result.mother[over] >= 0).any() == (max_gap > 1)


@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.parametrize("method", METHODS)
def test_two_frames_and_a_gap_of_five(
    movie: tuple[np.ndarray, np.ndarray], tracker: str, method: str
) -> None:
    two = movie[0][:2], movie[1][:2]
    far, near = (track(two, tracker, method, max_gap) for max_gap in (5, 1))
    is_sound(far, 5)
    assert far.selected.tolist() == near.selected.tolist()
    if method != "AS" and tracker != "activity":  # lists and estimates go by component
        np.testing.assert_allclose(far.links["probability"], near.links["probability"], atol=2e-3)


@pytest.mark.parametrize("tracker", TRACKERS)
def test_one_frame_is_refused(movie: tuple[np.ndarray, np.ndarray], tracker: str) -> None:
    with pytest.raises(InputError, match="tracking needs at least two"):
        track((movie[0][:1], movie[1][:1]), tracker, "auto", 5)
