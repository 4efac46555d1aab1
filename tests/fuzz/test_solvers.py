"""Every answer of the solvers is what enumeration says, on scores that nobody would choose; other ones each night."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import frames_of_parts
from tests.fuzz.frames_of_parts import frame_of_parts, truth_of, wrong_in_frame
from tests.fuzz.solver_cases import wrong_in_case
from tests.support.brute_force import all_assignments, posterior
from torchtrack_uq.assignment import AssignmentProblem


@given(seed=st.integers(0, 1 << 40))
@settings(max_examples=25)
def test_no_answer_about_a_frame_of_many_parts_is_wrong(seed: int) -> None:
    assert not list(wrong_in_frame(seed, Counter()))


@given(seed=st.integers(0, 1 << 40))
@settings(max_examples=50)
def test_no_answer_of_any_method_is_wrong(seed: int) -> None:
    assert not list(wrong_in_case(seed, Counter()))


@pytest.mark.parametrize("seed", range(5))
def test_parts_are_enumerated_as_brute_force_does(seed: int) -> None:
    frame = frame_of_parts(seed)
    q = frame.problem
    best, log_z, p, _ = truth_of(frame, frame.temperature)
    for part in range(12):
        j = slice(*frame.daughter_start[part : part + 2])
        i = slice(*frame.mother_start[part : part + 2])
        here = (q.daughter >= j.start) & (q.daughter < j.stop)
        alone = AssignmentProblem(
            q.mother[here] - i.start,
            q.daughter[here] - j.start,
            q.score[here],
            q.appear[j],
            q.disappear[i],
            q.divide[i],
        )
        truth = posterior(alone, frame.temperature)
        assert best[part] == pytest.approx(all_assignments(alone)[1].max(), rel=1e-12)
        assert log_z[part] == pytest.approx(truth["log_z"], rel=1e-9)
        start = q.n_links
        np.testing.assert_allclose(p[:start][here], truth["link"], atol=1e-9)
        np.testing.assert_allclose(p[start : start + q.n_daughters][j], truth["null"], atol=1e-9)


def test_a_wrong_answer_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = frames_of_parts.truth_of

    def off(*args: object) -> tuple[np.ndarray, ...]:
        best, log_z, p, change = right(*args)  # type: ignore[arg-type]
        p, change = p.copy(), change.copy()
        p[3] += 0.01
        change[np.abs(change).argmax()] *= 1.5
        return best, log_z + 0.1, p, change

    monkeypatch.setattr(frames_of_parts, "truth_of", off)
    wrong = " ".join(wrong_in_frame(0, Counter()))
    for what in ("exact: off", "auto: off", "exact: log Z", "derivative"):
        assert what in wrong
