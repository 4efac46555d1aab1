"""A simulated detector misses, merges, splits and makes up as many cells as it is asked to, and says which."""

import numpy as np
import pytest

from torchtrack_uq.datasets import CorruptionRates
from torchtrack_uq.datasets.simulation import Conditions, simulate, stream
from torchtrack_uq.errors import InputError

CROWDED = Conditions(15, 400, (300.0, 300.0), apart=10.0, divide=0.03, disappear=0.03)
RATES = CorruptionRates(missed=0.06, merged=0.02, split=0.04, false=0.05)


def test_as_many_errors_are_made_as_asked_for() -> None:
    frames = list(stream(CROWDED, 1, RATES))
    n = sum(len(frame.true) for frame in frames)
    made = np.array([frame.found.made for frame in frames]).sum(axis=0)
    asked = np.array([frame.found.asked for frame in frames]).sum(axis=0)
    assert np.array_equal(made, asked)
    for count, share in zip(made, (0.06, 0.02, 0.04, 0.05), strict=True):
        assert abs(count - share * n) < 4 * np.sqrt(share * (1 - share) * n)


def test_it_is_known_what_every_detection_is() -> None:
    for true, looks, found in stream(CROWDED, 2, RATES):
        seen = found.of_cell >= 0
        n_cells = np.bincount(found.of_cell[seen], minlength=len(found))
        assert np.array_equal(n_cells > 1, found.kinds.merged)
        assert set(n_cells) <= {0, 1, 2}
        assert np.array_equal(found.kinds.false, found.track == 0)
        parts = found.second_part[found.second_part >= 0]
        of_split = found.of_cell[found.second_part >= 0]
        assert np.array_equal(np.sort(np.append(parts, of_split)), np.flatnonzero(found.kinds.split))
        whole = ~(found.kinds.merged | found.kinds.split | found.kinds.false)
        where = np.searchsorted(true.track, found.track[whole])
        assert np.array_equal(found.place[whole], true.place[where])  # no jitter
        for detection in np.flatnonzero(found.kinds.merged):
            a, b = np.flatnonzero(found.of_cell == detection)
            larger = a if looks.diameter[a] >= looks.diameter[b] else b
            assert found.track[detection] == true.track[larger]
            assert np.linalg.norm(true.place[a] - true.place[b]) < 1.5 * looks.diameter.max()


def test_labels_of_an_imperfect_detector_do_not_tell_who_is_who() -> None:
    movie = simulate(CROWDED, 3, RATES)
    linked = np.flatnonzero(movie.mother >= 0)
    same = movie.detections.label[linked] == movie.detections.label[movie.mother[linked]]
    assert same.mean() < 0.02
    perfect = simulate(CROWDED, 3)
    assert perfect.track is None
    assert np.array_equal(perfect.tracks, perfect.detections.label)


def test_the_truth_of_an_imperfect_movie_is_that_of_its_cells() -> None:
    movie, perfect = simulate(CROWDED, 4, RATES), simulate(CROWDED, 4)
    truth = {
        (t, track): perfect.tracks[m]
        for t, track, m in zip(perfect.detections.frame, perfect.tracks, perfect.mother, strict=True)
        if m >= 0
    }
    linked = np.flatnonzero(movie.mother >= 0)
    assert len(linked) > 4000
    for i in linked:
        assert movie.tracks[movie.mother[i]] == truth[movie.detections.frame[i], movie.tracks[i]]
    found = movie.detection_truth()
    assert found is not None
    assert int(found.false.sum()) == int((movie.tracks == 0).sum()) > 0


def test_measured_points_lie_around_true_ones() -> None:
    conditions = Conditions(
        10, 500, (2000.0, 2000.0), jitter=1.5, apart=20.0, divide=0, disappear=0, appear=0
    )
    errors = []
    for true, _, found in stream(conditions, 5):
        inside = ((true.place > 10) & (true.place < 1990)).all(axis=1)
        errors.append((found.place - true.place)[inside])
    assert np.concatenate(errors).std(axis=0) == pytest.approx([1.5, 1.5], rel=0.05)


def test_want_of_room_is_said() -> None:
    lonely = Conditions(3, 20, (2000.0, 2000.0), apart=100.0, divide=0, appear=0, disappear=0)
    with pytest.warns(UserWarning, match="made were merged 0 of"):
        simulate(lonely, 0, CorruptionRates(merged=0.3))


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        (CorruptionRates(missed=0.5, merged=0.3), "sum to more than 1"),
        (CorruptionRates(boundary=0.1), "no noise on their outlines"),
    ],
)
def test_rates_that_cannot_be_are_refused(rates: CorruptionRates, message: str) -> None:
    with pytest.raises(InputError, match=message):
        stream(Conditions(), 0, rates)


def test_a_movie_may_die_out_and_all_its_cells_may_be_missed() -> None:
    dies = Conditions(4, 5, disappear=1.0, divide=0.0, appear=0.0, border="gone")
    assert len(simulate(dies, 0, CorruptionRates(false=0.5, split=0.2))) >= 5
    assert len(simulate(Conditions(3, 5), 0, CorruptionRates(missed=1.0))) == 0
