"""The bound on errors that nobody saw holds however looks were chosen, and whenever a person stops."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchtrack_uq import InputError
from torchtrack_uq.guarantees import Looks
from torchtrack_uq.guarantees.unseen_errors import log_stakes


def looks(n: int, cell: object, drawn: object, wrong: object, **more: object) -> Looks:
    flags = [np.asarray(one, np.bool_) for one in (drawn, wrong)]
    answered = np.asarray(more.pop("answered", np.ones(len(flags[0]))), np.bool_)
    return Looks(n, np.asarray(cell, np.int64), *flags, answered, **more)  # type: ignore[arg-type]


def adversarial_review(
    rng: np.random.Generator, wrong: np.ndarray, expected: np.ndarray, n_looks: int
) -> Looks:
    """Looks that go where errors were found before, to what is believed doubtful, or are drawn, by turns."""
    n = len(wrong)
    unseen = np.ones(n, np.bool_)
    cell, drawn = [], []
    for _ in range(n_looks):
        left = np.flatnonzero(unseen)
        drawn.append(bool(rng.random() < 0.5) or not cell)
        if drawn[-1]:
            one = int(rng.choice(left))
        elif wrong[cell[-1]]:
            one = int(left[np.argmin(abs(left - cell[-1]))])
        else:
            one = int(left[np.argmax(expected[left])])
        cell.append(one)
        unseen[one] = False
    return looks(n, cell, drawn, wrong[cell], expected=expected)


@pytest.mark.parametrize("believed", ["the truth", "the opposite", "nothing is wrong"])
def test_the_bound_holds_at_all_times_at_once_for_looks_chosen_by_an_adversary(believed: str) -> None:
    delta, n, reviews, rng = 0.2, 60, 300, np.random.default_rng(0)
    failed = 0
    for _ in range(reviews):
        wrong = np.zeros(n, np.bool_)
        wrong[: rng.integers(0, 25)] = True
        expected = {"the truth": 0.9 * wrong, "the opposite": 0.9 * ~wrong}.get(believed, np.zeros(n))
        whole = adversarial_review(rng, wrong, np.asarray(expected, np.float64), 30)
        seen = [
            Looks(n, *(one[:k] for one in (whole.cell, whole.drawn, whole.wrong, whole.answered)), expected)
            for k in range(1, 31)
        ]
        failed += any(one.errors_left(delta) < wrong.sum() - one.wrong.sum() for one in seen)
    assert failed <= delta * reviews + 3 * np.sqrt(delta * (1 - delta) * reviews)


def test_the_capital_is_a_martingale_under_the_truth() -> None:
    """The mean over all orders of draws, in exact sums, of the capital bet against the true number of errors is 1."""
    n, n_drawn = 6, 4
    wrong = np.array([True, True, False, False, False, False])
    rates = np.array([0.3, 0.05, 0.2, 0.4])
    total, orders = 0.0, list(permutations(range(n), n_drawn))
    for order in orders:
        hit = wrong[list(order)]
        chance = Fraction(1)
        for t, x in enumerate(hit.tolist()):
            m, left = int(wrong.sum() - hit[:t].sum()), n - t
            chance *= Fraction(m if x else left - m, left)
        total += np.exp(log_stakes(np.ones(n_drawn, np.bool_), hit, rates)) / float(chance)
    assert total / len(orders) <= 1 + 1e-12  # orders that cannot be are bet on, too
    assert total / len(orders) > 0.5


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_number_above_the_bound_is_refuted_and_the_bound_itself_is_not(data: st.DataObject) -> None:
    n = data.draw(st.integers(5, 40))
    k = data.draw(st.integers(1, n - 1))
    drawn = np.array(data.draw(st.lists(st.booleans(), min_size=k, max_size=k)))
    wrong = np.array(data.draw(st.lists(st.booleans(), min_size=k, max_size=k)))
    delta = data.draw(st.sampled_from([0.05, 0.3]))
    one = looks(n, np.arange(k), drawn, wrong)
    stakes = log_stakes(drawn, wrong, np.full(k, 0.01))

    def refuted(m: int) -> bool:
        log_chance = 0.0
        for t in range(k):
            if drawn[t]:
                left, errors = n - t, m + int(wrong[t:].sum())
                log_chance += np.log(max((errors if wrong[t] else left - errors) / left, 1e-300))
        return bool(stakes - log_chance >= -np.log(delta))

    bound = one.errors_left(delta)
    assert all(refuted(m) for m in range(bound + 1, n - k + 1))
    assert not refuted(bound) or all(refuted(m) for m in range(n - k + 1))


def test_looks_that_were_chosen_tell_nothing_about_the_rest() -> None:
    none = np.zeros(50)
    assert looks(100, np.arange(50), none, none).errors_left() == 50


def test_looks_without_a_verdict_stop_the_count_there_and_errors_found_later_still_count() -> None:
    n, drawn, wrong = 500, np.ones(100), np.zeros(100)
    wrong[80:90] = 1
    answered = np.ones(100)
    answered[40] = 0
    before = looks(n, np.arange(40), drawn[:40], wrong[:40]).errors_left()
    after = looks(n, np.arange(100), drawn, wrong, answered=answered)
    assert after.errors_left() == before - 10
    with pytest.raises(InputError, match="1 looks have no verdict yet"):
        after.draws_to_go(0.01)


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_as_many_more_draws_as_are_said_reach_the_share_and_one_fewer_does_not(share: float) -> None:
    n, k = 2000, 60
    wrong = np.zeros(k)
    wrong[3] = 1
    more = looks(n, np.arange(k), np.ones(k), wrong).draws_to_go(share)
    for extra, enough in ((more, True), (more - 1, False)):
        then = looks(n, np.arange(k + extra), np.ones(k + extra), np.append(wrong, np.zeros(extra)))
        assert (then.share_left() <= share) is enough


def test_nothing_is_left_after_all_were_looked_at() -> None:
    everything = looks(20, np.arange(20), np.zeros(20), np.ones(20))
    assert everything.errors_left() == everything.share_left() == everything.draws_to_go(0.01) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((5, [0, 0], [True, True], [False, False]), "looked at twice"),
        ((5, [7], [True], [False]), "run beyond the 5 decisions"),
        ((5, [1], [True, False], [False]), "drawn is"),
    ],
)
def test_looks_that_cannot_be_are_refused(arguments: tuple[object, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        looks(*arguments)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="probabilities"):
        looks(3, [0], [True], [False], expected=np.full(3, np.nan))
