import numpy as np
import pytest

from torchtrack_uq.assignment import AssignmentProblem


def build(**changes):
    arguments = {
        "mother": [0, 1, 1], "daughter": [0, 0, 1], "score": [0.0, -1.0, -2.0],
        "n_mothers": 2, "n_daughters": 2,
        "appear": 0.0, "disappear": 0.0, "divide": 0.0,
    }  # fmt: skip
    return AssignmentProblem.build(**(arguments | changes))


@pytest.mark.parametrize("name", ["score", "appear", "disappear", "divide"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e10])
def test_scores_that_are_not_log_weights_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be finite"):
        build(**{name: value})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mother": [0, 1]}, "same length|shape"),
        ({"daughter": [0, 0]}, "same length"),
        ({"score": [0.0, 1.0]}, r"score must be a scalar or have shape \(3,\)"),
        ({"appear": [0.0]}, r"appear must be a scalar or have shape \(2,\)"),
        ({"disappear": [0.0] * 3}, "disappear must be a scalar"),
        ({"mother": [0, 2, 1]}, r"mother must lie in 0 .. 1 .* got 2 at link 1"),
        ({"mother": [0, -1, 1]}, "got -1 at link 1"),
        ({"daughter": [0, 0, 7]}, "daughter must lie in 0 .. 1"),
        ({"mother": [1, 1, 1]}, "mother 1 and daughter 0 at link 1 again"),
        ({"mother": [[0, 1, 1]]}, "one dimension"),
        ({"n_mothers": -1}, "at least 0"),
    ],
)
def test_malformed_problems_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_lengths_that_differ_are_refused_by_the_constructor():
    with pytest.raises(ValueError, match="disappear and divide must have the same length, got 2 and 1"):
        AssignmentProblem(np.array([0]), np.array([0]), np.zeros(1), np.zeros(1), np.zeros(2), np.zeros(1))
    with pytest.raises(ValueError, match="mother and score"):
        AssignmentProblem(np.array([0]), np.array([0]), np.zeros(2), np.zeros(1), np.zeros(1), np.zeros(1))


def test_indices_that_are_not_integers_are_refused():
    with pytest.raises(TypeError, match="mother must hold integers, got dtype float64"):
        build(mother=[0.0, 1.0, 1.0])


def test_the_problem_keeps_its_own_copy():
    score = np.zeros(3)
    problem = build(score=score)
    score[0] = 9.0
    assert problem.score[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        problem.score[0] = 1.0


def test_forbidden_links_are_left_out_of_the_grouped_links():
    problem = build(score=[-np.inf, -1.0, -2.0])
    assert problem.links.mother.tolist() == [1, 1]
    assert problem.links.link.tolist() == [1, 2]
    assert problem.links.start.tolist() == [0, 1, 2]
    assert problem.links.mother_start.tolist() == [0, 0, 2]
