"""One server of commands, and one world of inputs, for all fault tests of a process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.commands import World, make_world
from tests.faults.runner import Runner


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork a process")
    found = Runner(tmp_path_factory.mktemp("logs"))
    yield found
    found.close()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, runner: Runner) -> World:
    template: Path = tmp_path_factory.mktemp("world")
    make_world(template, runner)
    return World(template, tmp_path_factory.mktemp("trials"), runner)
