"""All metrics as numbers, and their bootstrap intervals by frame."""

import math

import numpy as np
import pytest
import torch

from tests.support.ragged import daughters, ragged_movie
from torchtrack_uq.errors import InputError
from torchtrack_uq.metrics import Interval, summarise, summarise_with_intervals
from torchtrack_uq.metrics.grouped import GroupedDaughters
from torchtrack_uq.truth.judged import JudgedDaughters, JudgedEvents, judge_events


def test_keys():
    movie = ragged_movie(0)
    found = summarise(movie.judged, judge_events(movie.probabilities, movie.targets))
    assert set(found) == {
        *(
            "n_daughters",
            "n_unreachable",
            "n_after_gap",
            "accuracy",
            "ece",
            "ece_with_mother",
            "ece_adaptive",
        ),
        *("nll", "nll_reachable", "brier", "aurc", "ause", "aurc_entropy", "ause_entropy"),
        *("ece_link", "ece_null", "ece_division", "ece_disappearance"),
    }
    assert found["n_daughters"] == len(movie.judged)
    assert all(isinstance(found[name], int) for name in ("n_daughters", "n_unreachable", "n_after_gap"))
    assert not any(name.startswith("ece_link") for name in summarise(movie.judged))


def test_both_versions_of_the_ece():
    p = torch.tensor([0.9] * 10 + [0.6] * 10)
    has_mother = torch.arange(20) < 10
    found = summarise(daughters(p, has_mother, has_mother=has_mother))
    assert found["ece_with_mother"] == pytest.approx(0.1, abs=1e-6)
    assert found["ece"] == pytest.approx((0.1 + 0.6) / 2, abs=1e-6)


def test_movies_may_come_together_or_apart():
    one, other = ragged_movie(1).judged, ragged_movie(2).judged
    assert summarise([one, other]) == pytest.approx(summarise(JudgedDaughters.concatenate([one, other])))


def test_nothing_to_judge_is_an_error_and_a_missing_subset_a_warning():
    judged = ragged_movie(0).judged
    with pytest.raises(InputError, match="no daughter has a known mother"):
        summarise(judged.where(torch.zeros_like(judged.correct)))
    with pytest.raises(InputError, match="nothing"):
        summarise([])
    with pytest.raises(InputError, match="1 movies with daughters, but 2"):
        summarise([judged], [{}, {}])
    with pytest.warns(UserWarning, match="nothing to judge for ece_with_mother"):
        found = summarise(judged.where(~judged.has_mother))
    assert math.isnan(found["ece_with_mother"])
    assert math.isfinite(found["ece"])


def test_a_resample_is_what_the_resampled_movies_give():
    movies = [ragged_movie(seed, per_frame=10) for seed in (0, 1)]
    events = [judge_events(movie.probabilities, movie.targets) for movie in movies]
    judged = [movie.judged for movie in movies]
    grouped = GroupedDaughters.of(judged, events)
    assert grouped.n_groups == 6
    count = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 2, 1, 3, 0, 0]])
    found = grouped.values(count)
    whole = summarise(judged, events)
    for name, values in found.items():
        assert float(values[0]) == pytest.approx(whole[name], abs=1e-12), name

    def drawn(item, frame):
        return torch.cat([(frame == t).nonzero().squeeze(1) for t in item])

    frames = ([2, 2, 3], [1, 1, 1])
    again = [part.where(drawn(t, part.frame)) for part, t in zip(judged, frames, strict=True)]
    events_again = []
    for part, t in zip(events, frames, strict=True):
        chosen = {}
        for kind, item in part.items():
            # mothers are judged with the frame of their daughters
            at = drawn(t, item.frame + (kind in ("division", "disappearance")))
            chosen[kind] = JudgedEvents(item.probability[at], item.happened[at], item.frame[at])
        events_again.append(chosen)
    resampled = summarise(again, events_again)
    for name, values in found.items():
        assert float(values[1]) == pytest.approx(resampled[name], abs=1e-9), name


class TestIntervals:
    def test_hold_the_value_and_depend_on_the_seed_alone(self):
        movies = [ragged_movie(seed) for seed in (0, 1, 2)]
        judged = [movie.judged for movie in movies]
        events = [judge_events(movie.probabilities, movie.targets) for movie in movies]
        found = summarise_with_intervals(judged, events, n_resamples=200, seed=1)
        plain = summarise(judged, events)
        assert set(found) == set(plain) - {"n_daughters", "n_unreachable", "n_after_gap"}
        for name, (value, lower, upper) in found.items():
            assert value == pytest.approx(plain[name])
            assert 0 <= lower <= value <= upper, name
            assert upper > lower, name
        assert summarise_with_intervals(judged, events, n_resamples=200, seed=1) == found
        assert summarise_with_intervals(judged, events, n_resamples=200, seed=2) != found

    def test_chunks_change_nothing(self, monkeypatch):
        judged = ragged_movie(0, per_frame=20).judged
        whole = summarise_with_intervals(judged, n_resamples=50)
        monkeypatch.setattr("torchtrack_uq.metrics.summary._CHUNK", 7 * len(judged))
        for name, interval in summarise_with_intervals(judged, n_resamples=50).items():
            assert interval == pytest.approx(whole[name])

    def test_accuracy_of_independent_frames_is_held_as_often_as_promised(self):
        generator = torch.Generator().manual_seed(0)
        held = 0
        for _ in range(40):
            correct = torch.rand(300, generator=generator) < 0.8
            frame = torch.arange(300) // 15
            found = summarise_with_intervals(
                daughters(torch.full((300,), 0.8), correct, frame), n_resamples=150
            )
            held += found["accuracy"].lower <= 0.8 <= found["accuracy"].upper
        assert held >= 32  # 38 expected; under 32 at a coverage of 90 % once in 100

    def test_frames_that_stand_or_fall_together_widen_it(self):
        correct = torch.arange(400) % 4 != 0
        p = torch.full((400,), 0.75)
        mixed = daughters(p, correct, torch.arange(400) // 20)
        together = daughters(p, correct, torch.arange(400) % 20)
        width = {}
        for name, judged in (("mixed", mixed), ("together", together)):
            _, lower, upper = summarise_with_intervals(judged, n_resamples=200)["accuracy"]
            width[name] = upper - lower
        assert width["together"] > 0.3
        assert width["mixed"] == pytest.approx(0)

    def test_one_frame_has_none(self):
        with pytest.warns(UserWarning, match="one frame"):
            found = summarise_with_intervals(daughters(torch.tensor([0.9, 0.8]), torch.tensor([True, False])))
        assert found["accuracy"].value == 0.5
        assert math.isnan(found["accuracy"].lower)

    def test_a_perfect_tracker(self):
        n = 40
        judged = daughters(torch.ones(n), torch.ones(n, dtype=torch.bool), torch.arange(n) // 10)
        found = summarise_with_intervals(judged, n_resamples=20)
        assert found["accuracy"] == Interval(1.0, 1.0, 1.0)
        assert found["nll"] == Interval(0.0, 0.0, 0.0)

    @pytest.mark.parametrize("options", [{"n_resamples": 0}, {"level": 1.0}, {"level": 0.0}])
    def test_refused(self, options):
        with pytest.raises(InputError, match="n_resamples"):
            summarise_with_intervals(ragged_movie(0, per_frame=6).judged, **options)


def test_memory_of_a_bootstrap_is_bounded():
    from torchtrack_uq.metrics import summary

    sizes = []
    values = GroupedDaughters.values
    judged = daughters(torch.full((20000,), 0.9), torch.arange(20000) % 10 != 0, torch.arange(20000) // 4000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            GroupedDaughters,
            "values",
            lambda self, count: (sizes.append(count.shape[0] if count.ndim > 1 else 1), values(self, count))[
                1
            ],
        )
        summarise_with_intervals(judged, n_resamples=250)
    assert max(sizes) * 20000 <= summary._CHUNK
    assert np.sum(sizes) == 251
