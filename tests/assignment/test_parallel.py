import threading
import time
from functools import partial

import numpy as np
import pytest

from tests.support.problems import standard_instance
from torchtrack_uq.assignment import AssignmentProblem, k_best, marginals, solve_each, solve_map


def test_threads_give_the_same_results_in_order():
    problems = [standard_instance(60, 0.3, seed) for seed in range(12)]
    for function in (solve_map, partial(k_best, k=20)):
        alone = [function(problem) for problem in problems]
        together = solve_each(function, problems, n_threads=4)
        for a, b in zip(alone, together, strict=True):
            assert np.array_equal(a.parent, b.parent)
            assert np.array_equal(a.log_weight, b.log_weight)
    for a, b in zip(map(marginals, problems), solve_each(marginals, problems, n_threads=3), strict=True):
        assert np.array_equal(a.link, b.link)


def test_solvers_release_the_gil():
    problem = standard_instance(20_000, 0.5)
    _ = problem.links
    solve_map(problem)
    started, ticks = threading.Event(), 0

    def work():
        started.set()
        for _ in range(3):
            solve_map(problem)

    worker = threading.Thread(target=work)
    worker.start()
    started.wait()
    while worker.is_alive():  # counts only while this thread holds the GIL
        ticks += 1
        time.sleep(0)
    # with the GIL held for the whole kernel this thread would run between the three calls only
    assert ticks > 100


def test_the_first_error_reaches_the_caller():
    bad = AssignmentProblem.build([0, 0], [0, 1], 0.0, 1, 2, divide=1.0)
    with pytest.raises(ValueError, match="disappear \\+ divide"):
        solve_each(solve_map, [standard_instance(5, 0.3), bad])


def test_no_threads_are_refused():
    with pytest.raises(ValueError, match="n_threads must be at least 1, got 0"):
        solve_each(solve_map, [], n_threads=0)
