"""Entry point: parses arguments, runs one command, turns errors into one sentence."""

import argparse
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from torchtrack_uq import __version__
from torchtrack_uq.cli import calibrate, download, track, train
from torchtrack_uq.errors import InputError


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="torchtrack-uq",
        description="Cell tracking that says how sure it is: link probabilities, tracks and a list of links to review.",
    )
    parser.add_argument("--version", action="version", version=f"torchtrack-uq {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    track.add_commands(commands)
    calibrate.add_commands(commands)
    download.add_commands(commands)
    train.add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 failed, 2 unusable input, 130 interrupted)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = build_parser().parse_args(arguments)
    before = signal.signal(signal.SIGTERM, _interrupt)  # so that half-written outputs go as after Ctrl-C
    try:
        options.run(options)
    except InputError as error:
        print(f"torchtrack-uq: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"torchtrack-uq: {error}; nothing was written", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"torchtrack-uq: {str(interrupt) or 'interrupted; nothing was written'}", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
