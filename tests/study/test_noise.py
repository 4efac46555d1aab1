import math

import numpy as np

from study.noise import holm, mean_change


def test_an_interval_over_few_frame_pairs_holds_what_it_promises() -> None:
    rng = np.random.default_rng(0)
    n = np.array([5.0, 20.0, 40.0, 10.0])
    found = [mean_change(rng.normal(0, np.sqrt(n)), n) for _ in range(4000)]
    held = np.mean([one.lower <= 0 <= one.upper for one in found])
    assert 0.94 < held < 0.98  # a little long where frame pairs differ so much in size
    assert 0.01 < np.mean([one.p_worse <= 0.025 for one in found]) < 0.03
    assert math.isnan(mean_change(np.array([3.0]), np.array([1.0])).lower)


def test_holm_rejects_step_by_step() -> None:
    p = np.array([0.9, 0.012, 0.001, 0.02, math.nan])
    assert holm(p).tolist() == [False, True, True, False, False]
