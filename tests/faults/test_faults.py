"""Faults at random moments of every command, and what must hold after each of them.

A handful runs with all tests; `pytest -m nightly tests/faults` runs more than a hundred of each.
"""

import os
import random
import re
import signal
import time
from collections.abc import Collection

import pytest

from tests.faults.commands import BY_NAME, COMMANDS, World, comparable, snapshot, split
from tests.faults.counts import count
from tests.faults.runner import Ended
from torchtrack_uq.cli.main import build_parser

SENTENCE = re.compile(r"(?:warning: [^\n]+\n)*torchtrack-uq: [^\n]+\n")
OFTEN = 8
"""Trials of each command at night."""
EVERY_DAY = {"track points", "track over earlier results and notes", "export", "train"}
"""Commands that stand for the others in most tests that run every day."""


def parametrised(often: int, daily: Collection[str] = EVERY_DAY) -> pytest.MarkDecorator:
    """One trial of some commands every day, and `often` of each at night."""
    cases = [
        pytest.param(
            command.name,
            seed,
            id=f"{command.name}-{seed}",
            marks=[] if seed == 0 and command.name in daily else [pytest.mark.nightly],
        )
        for seed in range(often)
        for command in COMMANDS
    ]
    return pytest.mark.parametrize(("name", "seed"), cases)


def one_sentence(ended: Ended) -> bool:
    return SENTENCE.fullmatch(ended.err) is not None


def moment(name: str, seed: int, n: int) -> int:
    """Which of the n changes to the file system it is to happen at; every other one is among the last, which count."""
    draw = random.Random(f"{name} {seed}")
    if seed == 1:
        return n - 1
    return draw.randrange(n) if seed % 2 else max(n - 1 - draw.randrange(80), 0)


@parametrised(OFTEN)
def test_kill_9_at_a_change_of_the_file_system(world: World, name: str, seed: int) -> None:
    command = BY_NAME[name]
    at = moment(name, seed, world.reference(command)[1].seen)
    copy = world.fresh()
    # the number of changes is not quite the same in every run, and the last may not be met
    assert world.runner.run(command.arguments, copy, at=at, what="kill").status in (-signal.SIGKILL, 0)
    count("kill -9", name, world.check_after_fault(command, copy))


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", BY_NAME)
def test_kill_9_at_a_moment(world: World, name: str, seed: int) -> None:
    command = BY_NAME[name]
    world.reference(command)
    start = time.monotonic()
    world.runner.run(command.arguments, world.fresh())
    lasts = time.monotonic() - start
    copy = world.fresh()
    process = world.runner.start(command.arguments, copy)
    time.sleep(random.Random(f"{name} {seed}").uniform(0, lasts))
    os.kill(process, signal.SIGKILL)
    world.runner.end(process)
    count("kill -9", name, world.check_after_fault(command, copy))


@parametrised(4)
def test_a_signal_at_a_moment(world: World, name: str, seed: int) -> None:
    command = BY_NAME[name]
    world.reference(command)
    number = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)[seed]
    copy = world.fresh()
    process = world.runner.start(command.arguments, copy)
    time.sleep(random.Random(f"{name} {seed}").uniform(0.02, 0.6))
    os.kill(process, number)
    ended = world.runner.end(process)
    if ended.status not in (0, -number):  # done before, or not begun
        assert ended.status == 128 + number, ended
        assert one_sentence(ended), ended.err
    assert not list(copy.rglob("*.uq-*")), "a signal leaves time to clean up"
    count(signal.Signals(number).name, name, world.check_after_fault(command, copy))


@parametrised(6)
def test_a_disk_that_is_full_at_a_moment(world: World, name: str, seed: int) -> None:
    """Nothing new can be made from some moment on."""
    command = BY_NAME[name]
    at = moment(name, seed, world.reference(command)[1].seen)
    copy = world.fresh()
    ended = world.runner.run(command.arguments, copy, at=at, what="full")
    if ended.status == 0:  # all was made before
        assert comparable(split(snapshot(copy), command)[0]) == comparable(world.reference(command)[0])
    else:
        assert ended.status in (1, 2), ended
        assert one_sentence(ended), ended.err
        assert "No space left" in ended.err
    count("full disk", name, world.check_after_fault(command, copy))


@parametrised(4)
def test_files_that_cannot_grow(world: World, name: str, seed: int) -> None:
    """A quota, met in the middle of writing a file (RLIMIT_FSIZE)."""
    command = BY_NAME[name]
    files = [len(content) for content in world.reference(command)[0].values()]
    size = max(int(max(files) * random.Random(f"{name} {seed}").uniform(0.05, 0.9)), 200)
    copy = world.fresh()
    ended = world.runner.run(command.arguments, copy, size=size)
    assert ended.status in (1, 2), ended
    assert one_sentence(ended), ended.err
    count("quota", name, world.check_after_fault(command, copy))


@parametrised(1)
def test_a_place_that_cannot_be_written_to_is_refused_at_once(world: World, name: str, seed: int) -> None:
    command = BY_NAME[name]
    world.reference(command)
    copy = world.fresh()
    ended = world.runner.run(command.arguments, copy, what="read-only")
    assert ended.status in (1, 2), ended
    assert one_sentence(ended), ended.err
    assert "Read-only" in ended.err
    count("read-only", name, world.check_after_fault(command, copy))


@parametrised(3)
def test_an_output_that_vanishes(world: World, name: str, seed: int) -> None:
    """Somebody removes the folder that output goes to, or a disk is unplugged: one sentence, or the output is whole."""
    command = BY_NAME[name]
    if command.replaces or command.name == "download":
        pytest.skip("what is there before would be gone")
    at = moment(name, seed, world.reference(command)[1].seen)
    copy = world.fresh()
    ended = world.runner.run(command.arguments, copy, at=at, what="vanish", gone=str(copy / "new"))
    if ended.status:
        assert ended.status in (1, 2), ended
        assert one_sentence(ended), ended.err
    count("vanishing output", name, world.check_after_fault(command, copy))


@parametrised(1)
def test_two_runs_into_one_place(world: World, name: str, seed: int) -> None:
    """One is refused, or both were in time; what is there is whole."""
    command = BY_NAME[name]
    if not command.whole:
        pytest.skip("its files appear one by one, or it goes on where another run stopped")
    world.reference(command)
    copy = world.fresh()
    processes = [world.runner.start(command.arguments, copy) for _ in range(2)]
    ends = [world.runner.end(process) for process in processes]
    assert 0 in [ended.status for ended in ends], ends
    for ended in ends:
        assert ended.status in (0, 2), ended
        assert ended.status == 0 or one_sentence(ended), ended.err
    if command.again == ("--overwrite",):
        assert sorted(ended.status for ended in ends) == [0, 2]
    count("two runs", name, world.check_after_fault(command, copy))


def test_the_counts_know_every_command(world: World) -> None:
    (commands,) = build_parser()._subparsers._group_actions  # type: ignore[union-attr]
    writing = {command.arguments[0] for command in COMMANDS}
    # batch and demo write as track does, compile and info nothing of the user's, and review has tests of its own
    others = {"batch", "compile", "demo", "info", "review"}
    assert set(commands.choices) - writing == others
