"""A plan says what a direct simulation says, gets worse with time and density, and what keeps the aim."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from torchtrack_uq import UncertainTracker
from torchtrack_uq.datasets.simulation import Conditions, simulate
from torchtrack_uq.errors import InputError
from torchtrack_uq.planning import Culture, Outcome, Plan, Walk, make_plan, outcome_of, predict
from torchtrack_uq.planning.plan_picture import draw_plan
from torchtrack_uq.planning.plan_table import default_intervals

CELLS = Culture(0.0025, Walk(0.4, 10.0), divide=0.0005, apart=10.0)
FAST = {"n_cells": 80, "n_frames": 5, "repeats": 3, "progress": False}


def plan_of(wrong: list[float], se: float = 0.001, aim: float = 0.01) -> Plan:
    rows = [
        {"interval": float(2**k), "density": 10.0, "wrong": w, "wrong_se": se} for k, w in enumerate(wrong)
    ]
    return Plan(pd.DataFrame(rows), aim)


def test_wrong_links_and_doubts_grow_with_interval_and_density() -> None:
    plan = make_plan(CELLS, [5, 15, 40], [12, 40], **FAST)  # type: ignore[arg-type]
    by = plan.table.set_index(["density", "interval"])
    for name in ("wrong", "doubtful", "expected"):
        for density in (12, 40):
            assert by[name][density].is_monotonic_increasing
        assert (by[name][40] >= by[name][12]).all()
    assert by["wrong"][40, 40] > 0.1 > by["wrong"][12, 5]
    assert (plan.table["wrong_se"] > 0).all()
    assert draw_plan(plan).axes[0].get_xlabel() == "image every ... min"


def test_a_prediction_agrees_with_a_direct_simulation() -> None:
    found = predict(CELLS, 15.0, n_cells=150, n_frames=6, repeats=4, seed=0)
    sigma, r = Walk(0.4, 10.0).step(15.0, 2)
    conditions = Conditions(  # in micrometres, by hand
        6,
        150,
        (math.sqrt(150 / 0.0025),) * 2,
        motion=sigma,
        persistence=r,
        divide=-math.expm1(-0.0075),
        disappear=0.0,
        appear=0.0,
        apart=10.0,
        separation=0.0,
    )
    tracker = UncertainTracker("distance", "auto")
    direct = []
    for seed in range(100, 104):
        movie = simulate(conditions, seed)
        direct.append(outcome_of(tracker, movie.detections, movie.targets(2)))
    by_hand = Outcome.mean(direct)
    for name, one, other in zip(("wrong", "doubtful", "expected"), found.errors, by_hand.errors, strict=True):
        assert abs(getattr(found, name) - getattr(by_hand, name)) < 4 * math.hypot(one, other), name


def test_the_same_seed_makes_the_same_plan_and_missed_cells_make_it_worse() -> None:
    one, again = (predict(CELLS, 10.0, n_cells=60, n_frames=5, repeats=2, seed=3) for _ in range(2))
    assert one == again
    assert one != predict(CELLS, 10.0, n_cells=60, n_frames=5, repeats=2, seed=4)
    perfect, half_blind = (
        predict(replace(CELLS, missed=missed), 15.0, n_cells=150, n_frames=6, repeats=2)
        for missed in (0.0, 0.2)
    )
    assert half_blind.wrong > perfect.wrong
    assert half_blind.doubtful > perfect.doubtful + 0.05


def test_standard_errors_cover_the_mean_of_many_movies() -> None:
    movies = [predict(CELLS, 12.0, n_cells=40, n_frames=4, repeats=4, seed=seed) for seed in range(7)]
    centre = sum(one.wrong for one in movies) / len(movies)
    z = [(one.wrong - centre) / one.errors[0] for one in movies]
    assert 0.3 < math.sqrt(sum(v**2 for v in z) / len(z)) < 2.5


def test_the_longest_interval_is_the_last_before_the_first_that_breaks_the_aim() -> None:
    assert plan_of([0.0, 0.004, 0.02, 0.001]).longest(10) == 2  # not 8, which may be chance
    assert plan_of([0.0, 0.0095]).longest(10) == 1  # within the noise of 1 %
    assert plan_of([0.02, 0.03]).longest(10) is None
    assert plan_of([0.0, 0.001]).longest(10) == 2


def test_sentences_say_what_is_not_known() -> None:
    assert "image every 2 min for at most 1 % wrong links" in plan_of([0.0, 0.004, 0.02]).sentence(10)
    assert "the next interval tried, 4 min, has 2.00%" in plan_of([0.0, 0.004, 0.02]).sentence(10)
    assert "none of the intervals in the range (1 to 2 min)" in plan_of([0.02, 0.03]).sentence(10)
    assert "nothing is known of longer ones" in plan_of([0.0, 0.001]).sentence(10)
    unclear = plan_of([0.0083, 0.02], se=0.0014).sentence(10)
    assert "every 1 min (0.83% ± " in unclear
    assert "cannot be told apart from 1 %" in unclear
    assert "--repeats" in unclear
    assert "1 min, has" not in plan_of([0.02, 0.03]).sentence(10)
    assert "cannot be told apart" not in plan_of([0.0, 0.004, 0.02]).sentence(10)
    assert "2 min, has 0.95% ± 0.10%, which cannot be told apart from 1 %" in plan_of([0.0, 0.0095]).sentence(
        10
    )
    with pytest.raises(InputError, match="expected one of 10"):
        plan_of([0.0]).sentence(11)


def test_default_intervals_are_round_and_cover_easy_and_hard() -> None:
    found = default_intervals(CELLS)
    assert len(found) >= 4
    assert {f"{t:e}"[0] for t in found} <= set("125")
    with pytest.raises(InputError, match="say which to try"):
        default_intervals(Culture(0.01, Walk(0.0)))
    for speed in (1e6, 1e-9):  # nobody images every 0.1 ms, or once in a century
        with pytest.raises(InputError, match="units that are expected"):
            default_intervals(Culture(0.001, Walk(speed)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"aim": 0.0}, "aim is 0.0"),
        ({"aim": 1.5}, "aim is 1.5"),
        ({"intervals": []}, "no interval is given"),
        ({"intervals": [-1.0]}, "interval is -1"),
        ({"intervals": [1.0, 1e6]}, "some divide twice"),
        ({"densities": []}, "no density"),
        ({"densities": [0.0]}, "expected a positive number of cells"),
        ({"densities": [1e5]}, "have no room"),
        ({"repeats": 1}, "needs at least two movies"),
        ({"n_cells": 0}, "an interval of 5 min at density 25 cannot be simulated: .*expected at least 2"),
        ({"seed": -1}, "seed is -1;"),
        ({"densities": [float("nan")]}, "density is nan"),
    ],
)
def test_plans_that_cannot_be_made_are_refused(arguments: dict[str, object], message: str) -> None:
    given = {"intervals": [5.0], "n_cells": 20, "n_frames": 3, "repeats": 2, "progress": False, **arguments}
    with pytest.raises(InputError, match=message):
        make_plan(CELLS, **given)  # type: ignore[arg-type]


def test_one_movie_has_no_standard_error() -> None:
    with pytest.raises(InputError, match="needs at least two"):
        Outcome.mean([Outcome(0.1, 0.1, 0.1, 10)])
