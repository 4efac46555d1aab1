"""The review queue: every doubtful cell once, competitors together, the most expected errors first."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchtrack_uq import UncertainTracker
from torchtrack_uq.results.queue import LARGEST_GROUP, LEAST_DOUBT, group_daughters, review_queue
from torchtrack_uq.results.tracking_result import TrackingResult


@given(
    seed=st.integers(0, 2**31),
    n_mothers=st.integers(1, 12),
    n_daughters=st.integers(1, 30),
    largest=st.integers(1, 6),
)
@settings(deadline=None, max_examples=60)
def test_every_doubtful_daughter_is_in_one_group_of_her_frame(
    seed: int, n_mothers: int, n_daughters: int, largest: int
) -> None:
    rng = np.random.default_rng(seed)
    frame = np.concatenate([np.zeros(n_mothers, np.int64), rng.integers(1, 3, n_daughters)])
    n = len(frame)
    pairs = [(m, d) for d in range(n_mothers, n) for m in range(n_mothers) if rng.random() < 0.4]
    mother, daughter = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    error = np.where(frame > 0, rng.random(n) * (rng.random(n) < 0.7), 0)
    group = group_daughters(frame, mother, daughter, rng.random(len(mother)), error, largest)
    np.testing.assert_array_equal(group >= 0, error >= LEAST_DOUBT)
    for number in range(group.max() + 1):
        inside = np.flatnonzero(group == number)
        assert 1 <= len(inside) <= largest
        assert len(set(frame[inside])) == 1


def test_competitors_are_one_question(tracked: TrackingResult) -> None:
    queue = review_queue(tracked)
    assert (queue.groupby("rank")["frame"].nunique() == 1).all()
    assert queue["group_size"].max() <= LARGEST_GROUP
    np.testing.assert_array_equal(queue.groupby("rank").size(), queue.groupby("rank")["group_size"].first())


def test_the_most_expected_errors_an_answer_come_first(tracked: TrackingResult) -> None:
    queue = review_queue(tracked)
    each = queue.groupby("rank").first()
    first = each["expected_errors"] / each["group_size"]
    assert (np.diff(first.round(3)) <= 1e-9).all()
    total = (1 - queue["probability"]).groupby(queue["rank"]).sum()
    np.testing.assert_allclose(each["expected_errors"], total, atol=1e-9)


def test_every_doubtful_cell_is_listed_once(tracked: TrackingResult) -> None:
    queue, every = review_queue(tracked), tracked.review()
    assert not queue.duplicated(["frame", "label"]).any()
    doubtful = every[every["doubt"] >= LEAST_DOUBT]
    merged = doubtful.merge(queue, on=["frame", "label"], how="left", suffixes=("", "_queue"))
    assert merged["rank"].notna().all()
    np.testing.assert_allclose(merged["doubt"], merged["doubt_queue"])


def test_alternatives_and_the_choice_add_up(tracked: TrackingResult) -> None:
    for row in review_queue(tracked).head(50).itertuples():
        parts = [
            float(part.rsplit(" ", 1)[1].rstrip("%")) / 100
            for part in str(row.alternatives).split("; ")
            if part
        ]
        assert parts == sorted(parts, reverse=True)
        assert sum(parts) + row.probability == pytest.approx(1, abs=0.03)


def test_a_movie_without_links_has_an_empty_queue() -> None:
    masks = np.zeros((2, 20, 20), np.uint16)
    masks[0, 5:9, 5:9] = 1
    result = UncertainTracker("distance").track(None, masks, progress=False)
    queue = review_queue(result)
    assert isinstance(queue, pd.DataFrame)
    assert "rank" in queue


def test_cells_much_surer_than_the_most_doubtful_of_their_group_stand_below_it(
    tracked: TrackingResult,
) -> None:
    queue = review_queue(tracked)
    error = 1 - queue["probability"]
    largest = error.groupby(queue["rank"]).transform("max")
    assert (queue["group_size"] > 1).any()
    together = queue["group_size"] > 1
    assert (error[together] >= 0.3 * largest[together] - 1e-9).all()
