"""What all commands have in common: help, warnings, errors, and a reader that stops reading."""

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from torchtrack_uq.cli import main
from torchtrack_uq.cli.shared import nothing_written_on_error

COMMAND = Path(sys.executable).parent / "torchtrack-uq"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], int]:
    """Runs something in place of a command."""

    def run(do: Callable[[], object]) -> int:
        monkeypatch.setattr("torchtrack_uq.cli.download._download", lambda options: do())
        return main(["download", "--list"])

    return run


def test_the_installed_command_shows_its_help() -> None:
    printed = subprocess.run([COMMAND, "--help"], check=True, capture_output=True, text=True).stdout
    assert "track" in printed
    assert "demo" in printed


@pytest.mark.parametrize("arguments", [["download", "--list"], ["--help"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_who_has_seen_enough_is_no_failure(arguments: list[str], unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [COMMAND, *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_output_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as status:
        main(["track", "--help"])
    assert not status.value.code


def test_another_broken_pipe_is_an_error(
    run: Callable[[Callable[[], object]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise BrokenPipeError(32, "Broken pipe")

    assert run(fail) == 1
    assert "Broken pipe" in capsys.readouterr().err


def test_nothing_was_written_is_said_of_work_that_writes_all_or_nothing(
    run: Callable[[Callable[[], object]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(error: BaseException) -> None:
        raise error

    def fail_within(error: BaseException) -> None:
        with nothing_written_on_error():
            fail(error)

    assert run(lambda: fail(OSError(28, "No space left on device"))) == 1
    assert capsys.readouterr().err == (
        "torchtrack-uq: [Errno 28] No space left on device; make room on the disk of data, or choose an output on "
        "another one\n"
    )
    assert run(lambda: fail_within(OSError(28, "No space left on device"))) == 1
    assert "No space left on device; nothing was written; make room" in capsys.readouterr().err
    assert run(lambda: fail(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "torchtrack-uq: interrupted\n"
    assert run(lambda: fail_within(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "torchtrack-uq: interrupted; nothing was written\n"


def test_warnings_of_every_command_are_one_line_each_said_once(
    run: Callable[[Callable[[], object]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    def warn() -> None:
        for sentence in ("the movie is short", "the movie is short", "it is dark"):
            warnings.warn(sentence, stacklevel=1)

    assert run(warn) == 0
    assert capsys.readouterr().err == "warning: the movie is short\nwarning: it is dark\n"


def test_what_only_programmers_can_act_on_is_said_to_who_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def warn(options: object) -> None:
        warnings.warn("this argument will be renamed", FutureWarning, stacklevel=1)
        warnings.warn("the movie is short", stacklevel=1)

    monkeypatch.setattr("torchtrack_uq.cli.download._download", warn)
    assert main(["download", "--list"]) == 0
    assert capsys.readouterr().err == "warning: the movie is short\n"
    assert main(["download", "--list", "-v"]) == 0
    said = capsys.readouterr().err
    assert "this argument will be renamed (FutureWarning, " in said
    assert "torch " in said
    assert "done in " in said


def test_verbose_shows_where_an_error_arose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["track", "-m", str(tmp_path / "missing"), "-o", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main([*arguments, "-v"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_running_out_of_memory_is_one_sentence(
    run: Callable[[Callable[[], object]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise MemoryError

    assert run(fail) == 1
    assert capsys.readouterr().err.startswith("torchtrack-uq: out of memory; take fewer frames")


def test_the_help_says_what_exit_statuses_mean(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "Exit status: 0 done" in capsys.readouterr().out


def test_what_breaks_while_a_library_is_interrupted_is_an_interruption(
    run: Callable[[Callable[[], object]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped in the import of an extension, a second import of it fails."""

    def fail() -> None:
        raise ImportError('generic_type: type "ObjSense" is already registered!')

    def stopped() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            fail()

    assert run(stopped) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "torchtrack-uq: ended by SIGTERM\n"
    with pytest.raises(ImportError, match="already registered"):
        run(fail)
