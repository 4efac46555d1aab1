"""The map, the family and the drawings of points say what the result says, in the user's own numbers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from torchtrack_uq import InputError, UncertainTracker
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.review.decision_log import DecisionLog
from torchtrack_uq.review.doubt_map import doubt_map
from torchtrack_uq.review.family import family
from torchtrack_uq.review.kept_frames import KeptFrames
from torchtrack_uq.review.positions import circles, window_around
from torchtrack_uq.review.queue_filter import QueueFilter
from torchtrack_uq.review.server import make_app
from torchtrack_uq.review.session import ReviewSession


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> ReviewSession:
    """Points in frames 480, 482, ..., of which the first one divides before frame 486."""
    rng = np.random.default_rng(0)
    rows = []
    for t in range(6):
        place = [(10.0, 10.0 + t)] if t < 3 else [(6.0, 12.0), (14.0, 12.0)]
        place += [(40.0, 10.0), (44.0, 13.0), (47.0, 9.0)]
        rows += [
            {"frame": 480 + 2 * t, "id": 7 + k, "y": y, "x": x}
            for k, (y, x) in enumerate(np.add(place, rng.normal(0, 1, (len(place), 2))))
        ]
    result = UncertainTracker("distance").track_points(pd.DataFrame(rows), progress=False)
    return ReviewSession(result, DecisionLog(tmp_path_factory.mktemp("numbered") / "decisions.csv"))


@pytest.fixture
def client(numbered: ReviewSession) -> TestClient:
    client = TestClient(make_app(numbered, "a-secret"), base_url="http://127.0.0.1:8000")
    client.get("/?token=a-secret")
    return client


def test_bars_sum_to_the_wrong_decisions_that_are_expected(session: ReviewSession) -> None:
    for most in (3, 7, 100):
        bars = doubt_map(session.current, session.queue, most_bars=most)["bars"]
        assert len(bars) <= most
        total = sum(bar["expected"] * (bar["last"] - bar["first"] + 1) for bar in bars)
        assert total == pytest.approx(session.progress.expected_errors, abs=0.01)


@pytest.mark.parametrize("most", [1, 10, 60, 10_000])
def test_spots_hold_every_row_of_the_queue_once(session: ReviewSession, most: int) -> None:
    queue = session.queue
    found = doubt_map(session.current, queue, most_spots=most)
    spots, field = found["spots"], found["field"]
    assert len(spots) <= max(most, 1)
    assert sum(spot["n"] for spot in spots) == found["n"] == len(queue)
    assert sum(spot["expected"] for spot in spots) == pytest.approx(
        (1 - queue["probability"]).sum(), abs=0.05
    )
    assert all(field["left"] <= spot["x"] <= field["right"] for spot in spots)
    places = {key: k for k, key in enumerate(zip(queue["frame"], queue["label"], strict=True))}
    named = sorted(places[spot["frame"], spot["label"]] for spot in spots)
    assert named[0] == 0  # a spot leads to the first look in its square
    assert len(set(named)) == len(spots)


def test_no_doubt_is_an_empty_map(session: ReviewSession) -> None:
    assert doubt_map(session.current, session.queue.head(0))["spots"] == []


def test_filters_keep_the_rows_that_they_name(session: ReviewSession) -> None:
    queue, tracks = session.queue, session.start.cells.set_index(["frame", "label"])["track"]
    track = int(tracks[queue["frame"].iloc[0], queue["label"].iloc[0]])
    of_track = QueueFilter(track=track).rows(queue, session.start)
    expected = [tracks[key] == track for key in zip(queue["frame"], queue["label"], strict=True)]
    pd.testing.assert_frame_equal(of_track, queue[expected])
    some = QueueFilter(reason=str(queue["reason"].iloc[0]), first=3, last=9).rows(queue, session.start)
    assert len(some)
    assert some["frame"].between(3, 9).all()
    assert set(some["reason"]) == {queue["reason"].iloc[0]}


def test_a_family_holds_the_division_with_the_probabilities_of_its_links(numbered: ReviewSession) -> None:
    result = numbered.start
    daughter = int(result.detections.find(486, 7))
    found = family(result, daughter)
    own = {one["number"]: one for one in found["branches"]}
    assert own[found["number"]]["begin"] == 486
    mother = own[own[found["number"]]["parent"]]
    assert (mother["begin"], mother["end"], mother["probability"]) == (480, 484, None)
    sisters = [one for one in found["branches"] if one["parent"] == mother["number"]]
    assert len(sisters) == 2
    for one in sisters:
        cell = int(result.detections.find(*one["first"]))
        assert one["probability"] == pytest.approx(result.decision_probability[cell])
    assert family(result, daughter, above=0)["older"]
    assert family(result, daughter, most=2)["left_out"] == 1
    with pytest.raises(InputError, match="cell is 10000"):
        family(result, 10_000)


def test_points_are_asked_for_by_the_frame_numbers_of_their_table(client: TestClient) -> None:
    about = client.get("/api/about").json()
    assert (about["first_frame"], about["last_frame"], about["frame_step"]) == (480, 490, 2)
    assert not about["has_pixels"]
    box = client.get("/api/question/486/7").json()["box"]
    asked = {name: box[name] for name in ("top", "left", "size")}
    assert 7 in [cell["label"] for cell in client.get("/api/outlines/486", params=asked).json()]
    for frame in (0, 3, 481, 492):
        assert client.get(f"/api/outlines/{frame}", params=asked).status_code == 400
    assert client.get("/api/outlines/486", params=asked | {"size": "nan"}).status_code == 400
    assert "no pixels" in client.get("/api/frame/486.png", params=asked).json()["error"]
    assert client.get("/api/family/486/99").status_code == 409


def test_circles_are_around_the_points_of_the_window_and_of_its_depth() -> None:
    shown = [[0.0, 5.0, 5.0], [0.0, 5.0, 25.0], [1.0, 12.0, 8.0], [-1.0, 15.0, 20.0]]
    place = np.array([*shown, [900.0, 5.0, 6.0], [0.0, 300.0, 5.0]])
    cells = Detections.from_points(np.zeros(6, int), place)
    window = window_around(cells, [0, 1])
    found = circles(cells, 0, window)
    assert [cell["label"] for cell in found] == [1, 2, 3, 4]
    ring = np.array(found[1]["paths"][0])
    np.testing.assert_allclose(ring.mean(axis=0), [25, 5], atol=0.1)


def test_kept_frames_are_those_of_the_movie_and_no_more_than_fit(session: ReviewSession) -> None:
    movie = session.start.movie
    assert movie is not None
    one = movie.masks.read(0).nbytes
    kept = KeptFrames(movie.masks, most_bytes=2 * one)
    for t in (0, 1, 2, 1, 0):
        np.testing.assert_array_equal(kept.read(t), movie.masks.read(t))
    assert kept.read(0) is kept.read(0)
    assert sum(frame.nbytes for frame in kept._kept.values()) <= 2 * one


def test_a_folder_of_results_names_the_movie(session: ReviewSession, folder: Path) -> None:
    client = TestClient(make_app(session, "a-secret"), base_url="http://127.0.0.1:8000")
    about = client.get("/api/about?token=a-secret").json()
    assert (about["movie"], about["who"], about["n_cells"]) == (
        folder.name,
        "me",
        len(session.start.detections),
    )
