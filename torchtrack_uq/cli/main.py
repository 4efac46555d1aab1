"""Entry point: parses arguments, runs one command, turns errors into one sentence."""

import argparse
import io
import os
import platform
import sys
import time
import traceback
from collections.abc import Sequence
from typing import NoReturn

from torchtrack_uq import __version__
from torchtrack_uq.cli import (
    compile_ahead,
    correct,
    doubt,
    download,
    evaluate,
    export,
    fit,
    info,
    lineages,
    many_movies,
    plan,
    review,
    sample,
    simulate,
    track,
    train,
)
from torchtrack_uq.cli.shared import plain_warnings
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.cores import left_at_work
from torchtrack_uq.utils.ending_signals import Stopped, interruption_behind, stopping_signals
from torchtrack_uq.utils.no_space import advice_without_space
from torchtrack_uq.utils.optional import installed_version


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="torchtrack-uq",
        description="Cell tracking that says how sure it is: link probabilities, tracks and a list of links to review.",
        epilog="Exit status: 0 done; 1 failed on the way, such as a full disk; 2 unusable input or options, refused "
        "before anything was written; 130 interrupted; 128 + n ended by signal n, as 143 by SIGTERM.",
    )
    parser.add_argument("--version", action="version", version=f"torchtrack-uq {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    info.add_commands(commands)
    track.add_commands(commands)
    many_movies.add_commands(commands)
    fit.add_commands(commands)
    evaluate.add_commands(commands)
    sample.add_commands(commands)
    review.add_commands(commands)
    correct.add_commands(commands)
    doubt.add_commands(commands)
    export.add_commands(commands)
    lineages.add_commands(commands)
    plan.add_commands(commands)
    simulate.add_commands(commands)
    download.add_commands(commands)
    train.add_commands(commands)
    compile_ahead.add_commands(commands)
    for command in commands.choices.values():
        command.add_argument(
            "-v",
            "--verbose",
            action="store_true",
            help="say which versions run, how long it took, and where in the code a warning or an error arose",
        )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed, 2 unusable input, 130 interrupted, 128 + a signal.

    A reader of the output that has seen enough, such as `head`, is no failure.
    """
    _print_anything()
    try:
        try:
            return _run(sys.argv[1:] if arguments is None else arguments)
        finally:
            if sys.stdout is not None:  # as where a service runs the command without an output
                sys.stdout.flush()  # here, where a closed pipe can be dealt with, and not when Python ends
    except BrokenPipeError:
        _drop_output()
        return 0


def command(arguments: Sequence[str] | None = None) -> NoReturn:
    """`main` as a process of its own, which ends with it: an interrupted one does not wait for kernels that it left."""
    status = main(arguments)
    if status > 128:  # all is cleaned up
        try:
            wait = not left_at_work()
        except KeyboardInterrupt:
            wait = False
        if not wait:
            os._exit(status)
    sys.exit(status)


def _run(arguments: Sequence[str]) -> int:
    options = build_parser().parse_args(arguments)
    options.command_line = ["torchtrack-uq", *arguments]  # for settings.json
    start = time.perf_counter()
    if options.verbose:
        print(_versions(), file=sys.stderr)
    try:
        with stopping_signals(), plain_warnings(verbose=options.verbose):
            _compute(options)
            if options.verbose:
                print(f"torchtrack-uq: done in {time.perf_counter() - start:.1f} s", file=sys.stderr)
    except InputError as error:
        _show_where(options)
        print(f"torchtrack-uq: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            print(flush=True)  # raises again if it is the output that nobody reads
        _show_where(options)
        print(f"torchtrack-uq: {_with_place(error, options)}", file=sys.stderr)
        return 1
    except MemoryError:
        _show_where(options)
        print(
            "torchtrack-uq: out of memory; take fewer frames (--stride), fewer cells a frame or a machine with "
            "more, or another tracker: distance needs least",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt as interrupt:
        return _interrupted(interrupt)
    except Exception as error:
        interruption = interruption_behind(error)
        if interruption is None:
            raise
        _show_where(options)
        return _interrupted(interruption)
    return 0


def _interrupted(interrupt: KeyboardInterrupt) -> int:
    print(f"torchtrack-uq: {str(interrupt) or 'interrupted'}", file=sys.stderr)
    return 128 + interrupt.number if isinstance(interrupt, Stopped) else 130


def _with_place(error: OSError, options: argparse.Namespace) -> str:
    """What the system said; of a full disk which one it is, and what to do."""
    advice = advice_without_space(error, getattr(options, "output", None))
    return str(error) if advice is None else f"{error}; {advice}"


def _compute(options: argparse.Namespace) -> None:
    if getattr(options, "quiet", True):  # commands without `--quiet` show no progress
        options.run(options)
        return
    from torchtrack_uq.utils.compile_notice import compile_notice

    with compile_notice():
        options.run(options)


def _versions() -> str:
    """Of what a result may depend on, without importing any of it."""
    packages = ("torch", "numpy", "scipy", "trackastra")
    found = [f"{name} {installed_version(name) or 'missing'}" for name in packages]
    return f"torchtrack-uq {__version__}, Python {platform.python_version()}, {', '.join(found)}"


def _show_where(options: argparse.Namespace) -> None:
    """The traceback of the error at hand, for who asked for it."""
    if options.verbose:
        traceback.print_exc()


def _print_anything() -> None:
    """Let names that the terminal's encoding does not know, or that are no text at all, be printed with escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Send what is left of the output nowhere, so that Python has nothing to complain about when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
