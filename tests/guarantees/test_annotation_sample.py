"""Samples have the probabilities that they say, and are the same for the same seed."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.support.draws import chances_of_samples
from torchtrack_uq import InputError
from torchtrack_uq.guarantees import AnnotationSample, SampledReview, inclusion_of, sample_mean, usefulness
from torchtrack_uq.guarantees.annotation_sample import odds_for, wanted_inclusion


class TestInclusionProbabilities:
    @given(st.lists(st.floats(-12, 12), min_size=1, max_size=9), st.data())
    @settings(deadline=None, max_examples=60)
    def test_are_those_of_all_samples_listed(self, log_odds: list[float], data: st.DataObject) -> None:
        odds = np.exp(log_odds)
        n = data.draw(st.integers(1, len(odds)))
        expected = np.zeros(len(odds))
        for sample, chance in chances_of_samples(odds, n):
            expected[list(sample)] += chance
        np.testing.assert_allclose(inclusion_of(odds, n), expected, rtol=1e-9)

    def test_keep_their_digits_where_some_are_near_1_in_a_large_sample(self) -> None:
        odds = np.geomspace(1e-4, 1e4, 400)
        for n in (7, 100, 250, 399):
            found = inclusion_of(odds, n)
            assert found.sum() == pytest.approx(n, rel=1e-12)
            assert (np.diff(found) >= -1e-15).all()
            np.testing.assert_allclose(1 - found, inclusion_of(1 / odds, 400 - n), rtol=1e-7, atol=1e-12)

    @given(
        st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e3)), min_size=1, max_size=40),
        st.floats(0.05, 1),
        st.data(),
    )
    @settings(deadline=None, max_examples=100)
    def test_are_a_share_spread_evenly_and_the_rest_by_usefulness(
        self, useful: list[float], random: float, data: st.DataObject
    ) -> None:
        n = data.draw(st.integers(1, len(useful)))
        wanted = wanted_inclusion(useful, n, random)
        assert wanted.sum() == pytest.approx(n)
        assert (wanted >= random * n / len(useful) * (1 - 1e-9)).all()
        assert (wanted <= 1 + 1e-12).all()
        more = np.argsort(useful, kind="stable")
        assert (np.diff(wanted[more]) >= -1e-9).all()
        sample = AnnotationSample.draw(useful, n, random=random)
        assert len(sample) == n
        np.testing.assert_allclose(sample.inclusion, wanted, rtol=1e-4)

    def test_are_met_for_two_of_which_one_is_nearly_certain(self) -> None:
        """Where adding logits would swing for ever."""
        np.testing.assert_allclose(odds_for(np.array([0.9, 0.1]), 1)[1], [0.9, 0.1], rtol=1e-6)


class TestDraws:
    def test_come_as_often_as_they_should(self) -> None:
        useful = [0.0, 0.2, 0.5, 1.0, 5.0]
        counts: dict[tuple[int, ...], int] = {}
        for seed in range(1500):
            drawn = tuple(sorted(AnnotationSample.draw(useful, 2, random=0.3, seed=seed).cell.tolist()))
            counts[drawn] = counts.get(drawn, 0) + 1
        sample = AnnotationSample.draw(useful, 2, random=0.3)
        for members, chance in chances_of_samples(sample.odds, 2):
            spread = np.sqrt(1500 * chance * (1 - chance))
            assert abs(counts.get(members, 0) - 1500 * chance) < 4 * spread + 1

    def test_are_the_same_for_the_same_seed_only(self) -> None:
        useful = np.linspace(0, 1, 200)
        first, again, other = (AnnotationSample.draw(useful, 20, seed=seed) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first.cell, again.cell)
        assert set(first.cell) != set(other.cell)

    def test_all_of_them(self) -> None:
        sample = AnnotationSample.draw([0.0, 1.0, 2.0], 3)
        assert sorted(sample.cell) == [0, 1, 2]
        assert sample.weight.tolist() == [1, 1, 1]
        assert sample.new_conformal_weight == 0

    def test_the_first_few_come_in_proportion(self) -> None:
        useful = [0.0, 0.2, 0.5, 5.0]
        seen = np.zeros(4)
        for seed in range(1500):
            few = AnnotationSample.draw(useful, 3, random=0.3, seed=seed).first(1)
            seen[few.cell] += 1
        np.testing.assert_allclose(seen / 1500, few.inclusion, atol=0.05)

    @pytest.mark.parametrize(
        ("useful", "n", "random", "message"),
        [
            ([1.0, -1.0], 1, 0.5, "usefulness"),
            ([1.0, np.nan], 1, 0.5, "usefulness"),
            ([1.0, 1.0], 3, 0.5, "cannot draw 3 of 2"),
            ([1.0, 1.0], 0, 0.5, "cannot draw 0"),
            ([], 1, 0.5, "cannot draw"),
            ([1.0, 1.0], 1, 0.0, "drawn evenly"),
            ([1.0, 1.0], 1, 1.5, "drawn evenly"),
        ],
    )
    def test_arguments_that_cannot_be_used(
        self, useful: list[float], n: int, random: float, message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            AnnotationSample.draw(useful, n, random=random)

    def test_pieces_that_do_not_fit(self) -> None:
        one = np.ones(3)
        with pytest.raises(InputError, match="expected"):
            AnnotationSample(np.array([0]), one, np.ones(2))
        with pytest.raises(InputError, match="must lie in"):
            AnnotationSample(np.array([0]), one * 2, one)
        with pytest.raises(InputError, match="beyond the 3"):
            AnnotationSample(np.array([3]), one, one)
        with pytest.raises(InputError, match="twice"):
            AnnotationSample(np.array([1, 1]), one, one)
        with pytest.raises(InputError, match="from 1 to"):
            AnnotationSample(np.array([1]), one, one).first(2)
        with pytest.raises(InputError, match=r"\[0, 1\]"):
            usefulness([0.5, 1.1])


class TestSampleMean:
    @given(
        st.lists(st.tuples(st.floats(0.05, 5), st.floats(-3, 3), st.floats(-3, 3)), min_size=3, max_size=7)
    )
    @settings(deadline=None, max_examples=30)
    def test_with_expected_values_is_unbiased_whatever_they_are(
        self, daughters: list[tuple[float, float, float]]
    ) -> None:
        odds, value, expected = np.array(daughters).T
        inclusion = inclusion_of(odds, 2)
        mean = 0.0
        for members, chance in chances_of_samples(odds, 2):
            sample = AnnotationSample(np.array(members), inclusion, odds)
            mean += chance * sample_mean(sample, value[list(members)], expected).mean
        assert mean == pytest.approx(value.mean(), abs=1e-9)

    def test_standard_error_is_that_of_many_draws(self) -> None:
        rng = np.random.default_rng(0)
        useful = rng.exponential(size=300)
        value = useful + rng.normal(size=300)
        found = [
            sample_mean(s, value[s.cell])
            for s in (AnnotationSample.draw(useful, 60, random=0.5, seed=seed) for seed in range(200))
        ]
        means = np.array([estimate.mean for estimate in found])
        errors = np.array([estimate.standard_error for estimate in found])
        assert abs(means.mean() - value.mean()) < 4 * means.std() / 200**0.5
        assert errors.mean() == pytest.approx(means.std(), rel=0.2)

    def test_of_all_is_the_mean_without_error_and_of_one_has_none(self) -> None:
        all_of_them = AnnotationSample.draw(np.ones(3), 3)
        assert sample_mean(all_of_them, np.array([3.0, 3.0, 0.0])).standard_error == 0
        assert np.isnan(sample_mean(AnnotationSample.draw(np.ones(3), 1), [1.0]).standard_error)

    def test_lengths_that_differ(self) -> None:
        sample = AnnotationSample.draw(np.ones(5), 2)
        with pytest.raises(InputError, match="values"):
            sample_mean(sample, np.ones(5))
        with pytest.raises(InputError, match="expected is"):
            sample_mean(sample, np.ones(2), np.ones(2))


class TestSampledReview:
    def test_refuses_what_does_not_fit(self) -> None:
        sample = AnnotationSample.draw(np.ones(5), 2)
        p, linked, right = np.full(5, 0.9), np.ones(5, np.bool_), np.ones(2, np.bool_)

        def refused(message: str, **changed: NDArray[np.generic]) -> None:
            arguments = {"probability": p, "linked": linked, "correct": right} | changed
            with pytest.raises(InputError, match=message):
                SampledReview(sample=sample, **arguments)  # type: ignore[arg-type]

        refused("probability", probability=p[:2])
        refused("linked", linked=p)
        refused("correct", correct=np.ones(5, np.bool_))
        refused(r"\[0, 1\]", probability=p * np.nan)

    def test_says_what_can_be_promised_if_not_what_was_asked(self) -> None:
        p = np.full(2000, 0.95)
        sample = AnnotationSample.draw(usefulness(p), 200)
        review = SampledReview(p, np.ones(2000, np.bool_), sample, np.ones(200, np.bool_))
        with pytest.raises(InputError, match=r"the smallest share that can be is 0\.0[12]"):
            review.threshold(0.01)
        accepted = review.threshold(0.03)
        assert (accepted.threshold, accepted.n_calibration, accepted.n_accepted, accepted.n_wrong) == (
            0,
            200,
            200,
            0,
        )
        all_wrong = SampledReview(p, np.ones(2000, np.bool_), sample, np.zeros(200, np.bool_))
        with pytest.raises(InputError, match="nor can any useful share be"):
            all_wrong.threshold(0.1)

    def test_wrong_nulls_do_not_keep_links_from_being_accepted(self) -> None:
        linked = np.arange(2000) % 10 > 0
        p = np.where(linked, 0.99, 1.0)
        sample = AnnotationSample.draw(np.ones(2000), 300)
        accepted = SampledReview(p, linked, sample, linked[sample.cell]).threshold(0.05)
        assert not accepted.nulls
        np.testing.assert_array_equal(accepted.accept(p, linked), linked)


def test_samples_are_negatively_associated_in_the_way_the_bound_needs() -> None:
    """E prod of falling functions is at most the product of expectations, for the first k of a list as well."""
    rng = np.random.default_rng(0)
    odds = np.exp(rng.normal(size=6))
    for k in (3, 2):
        inclusion = inclusion_of(odds, 3) * k / 3
        for tilt in (0.1, 1.0, 50.0):
            for size in (2, 4, 6):
                wrong = set(range(size))
                together = 0.0
                for members, chance in chances_of_samples(odds, 3):
                    kept = list(combinations(members, k))
                    together += chance * np.mean(
                        [np.exp(-tilt * sum(1 / inclusion[i] for i in few if i in wrong)) for few in kept]
                    )
                apart = np.prod([1 - inclusion[i] * -np.expm1(-tilt / inclusion[i]) for i in wrong])
                assert together <= apart + 1e-12
