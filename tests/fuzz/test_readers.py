"""No reader raises anything but its own refusal, whatever is wrong with a file; all files anew each night."""

from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.target import Files, Target
from tests.fuzz.targets import TARGETS
from tests.fuzz.trial import outcome

BY_NAME = {target.name: target for target in TARGETS}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> "Examples":
    return Examples(tmp_path_factory)


class Examples:
    """Valid files of each target, written when they are asked for."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self.of = cache(self._of)

    def _of(self, name: str) -> Files:
        return BY_NAME[name].example(self._folders.mktemp("valid"))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_valid_example_is_read(target: Target, examples: Examples) -> None:
    assert outcome(target, examples.of(target.name)) == "read"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@given(number=st.integers(1, 1 << 40))
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_damaged_files_are_read_or_refused(target: Target, examples: Examples, number: int) -> None:
    found = outcome(target, target.case(examples.of(target.name), number))
    assert found in ("read", "refused", "refused as too large"), (
        f"python -m tests.fuzz --only {target.name!r} --first {number} --cases 1"
    )


def test_what_a_reader_must_not_raise_is_seen() -> None:
    def fails(_: object) -> None:
        raise KeyError("a")

    assert outcome(Target("a", lambda _: None, fails), {}).startswith("KeyError")
    assert outcome(Target("a", lambda _: None, lambda folder: (folder / "b").read_text()), {}) == "refused"


def test_a_case_is_the_same_when_it_is_repeated(examples: Examples) -> None:
    target, files = BY_NAME["calibration"], examples.of("calibration")
    assert target.case(files, 7) == target.case(files, 7) != target.case(files, 8)
    assert target.case(files, 0) == files
