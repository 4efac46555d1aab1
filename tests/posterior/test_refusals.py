"""What is refused for its size says which component it is, how large, and what to do."""

import re

import numpy as np
import pytest

from tests.support.problems import standard_instance
from torchtrack_uq import AssignmentPosterior, CandidateGraph, InputError
from torchtrack_uq.assignment import AssignmentProblem


def not_convex(problem: AssignmentProblem) -> AssignmentProblem:
    """The same with second daughters that are likelier than first ones."""
    return AssignmentProblem(
        problem.mother,
        problem.daughter,
        problem.score,
        problem.appear,
        problem.disappear,
        np.full_like(problem.divide, 1.0) - problem.disappear,
    )


CROWD = CandidateGraph.from_problem(standard_instance(300, 0.5))
ODD = CandidateGraph.from_problem(not_convex(standard_instance(300, 0.5)))
SIZE = r"a component with \d+ daughters and \d+ mothers \(frontier of \d+ mothers\) exceeds memory_limit=1000000 bytes"


def refusal(method: str, graph: CandidateGraph, memory_limit: int = 1_000_000) -> str:
    with pytest.raises(InputError) as caught:
        AssignmentPosterior(method, memory_limit=memory_limit)(graph)
    message = str(caught.value)
    assert "cannot be linked" not in message
    return message


def test_exact_names_the_component_and_sends_to_auto() -> None:
    message = refusal("exact", CROWD)
    assert message.startswith("frames 0 and 1 are too ambiguous for method exact: ")
    assert re.search(SIZE, message)
    assert message.endswith("or use method auto")


@pytest.mark.parametrize("method", ["exact", "auto"])
def test_where_auto_is_no_way_out_nobody_is_sent_there(method: str) -> None:
    message = refusal(method, ODD)
    assert message.startswith(f"frames 0 and 1 are too ambiguous for method {method}: ")
    assert re.search(SIZE, message)
    assert "lower the divide scores" in message
    assert "auto" not in message.partition("bytes")[2]


def test_auto_never_sends_to_auto() -> None:
    for limit in (1, 1_000, 100_000):
        message = ""
        try:
            AssignmentPosterior("auto", memory_limit=limit)(CROWD)
        except InputError as error:
            message = str(error)
        assert "use method auto" not in message
        assert not message or "too ambiguous for method auto" in message


def test_what_cannot_be_linked_still_says_so() -> None:
    problem = AssignmentProblem.build([], [], [], 1, 1, appear=-np.inf)
    with pytest.raises(InputError, match="frames 0 and 1 cannot be linked"):
        AssignmentPosterior("exact")(CandidateGraph.from_problem(problem))


def test_gradients_that_do_not_fit_name_movie_and_frames_and_what_trains_instead() -> None:
    calm = CandidateGraph.from_problem(standard_instance(20, 0.05))
    both = CandidateGraph.batch([calm, CROWD])
    both = both.with_scores(both.score.clone().requires_grad_(), both.appear, both.disappear, both.divide)
    found = AssignmentPosterior("auto")(both)
    with pytest.raises(InputError, match=r"^frames 0 and 1 of movie 1 of the batch: .*estimate.*joint_nll"):
        found.link.sum().backward()
