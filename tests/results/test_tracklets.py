import numpy as np
import pytest

from torchtrack_uq import InputError
from torchtrack_uq.results import tracklets


def test_tracks_end_at_divisions_and_carry_their_parent() -> None:
    #        0    1    2    3
    #   a:   0 -> 2 -> 4 -> 7
    #             `--> 5      (2 divides into 4 and 5)
    #   b:   1 -> 3    6 -> 8 (a gap: 6 begins a new track)
    frame = np.array([0, 0, 1, 1, 2, 2, 2, 3, 3])
    mother = np.array([-1, -1, 0, 1, 2, 2, -1, 4, 6])
    found = tracklets(frame, mother)
    assert found.track.tolist() == [1, 2, 1, 2, 3, 4, 5, 3, 5]
    assert found.table.to_numpy().tolist() == [
        [1, 0, 1, 0],
        [2, 0, 1, 0],
        [3, 2, 3, 1],
        [4, 2, 2, 1],
        [5, 2, 3, 0],
    ]


def test_tracks_follow_random_lineages() -> None:
    rng = np.random.default_rng(0)
    frame = np.repeat(np.arange(8), 12)
    mother = np.full(len(frame), -1)
    for t in range(1, 8):
        for j in np.flatnonzero(frame == t):
            open_mothers = [i for i in np.flatnonzero(frame == t - 1) if np.sum(mother == i) < 2]
            if rng.random() < 0.8:
                mother[j] = rng.choice(open_mothers)
    found = tracklets(frame, mother)
    for j, i in enumerate(mother):
        alone = i >= 0 and np.sum(mother == i) == 1
        assert (found.track[j] == found.track[i]) == alone if i >= 0 else True
        row = found.table.iloc[found.track[j] - 1]
        assert row["begin"] <= frame[j] <= row["end"]
        if row["begin"] == frame[j]:
            assert row["parent"] == (found.track[i] if i >= 0 else 0)


def test_a_movie_without_cells_has_no_tracks() -> None:
    assert len(tracklets(np.zeros(0, np.int64), np.zeros(0, np.int64)).table) == 0


@pytest.mark.parametrize(
    ("frame", "mother", "message"),
    [([0, 1, 1, 1], [-1, 0, 0, 0], "has 3 daughters"), ([0, 0], [-1, 0], "frame before its daughter")],
)
def test_impossible_lineages_are_refused(frame: list[int], mother: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tracklets(np.array(frame), np.array(mother))
