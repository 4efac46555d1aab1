"""A run killed while it replaces results leaves what the next run needs, at whichever step it was killed."""

import os
import re
import signal
import time
import warnings
from pathlib import Path

import pytest

from tests.support.forked import contents, end_of, fill, in_child, kill_at, needs_fork, start
from torchtrack_uq.utils.ending_signals import Stopped, stopping_signals
from torchtrack_uq.utils.staged_folder import recover_results, staged_folder

pytestmark = needs_fork
OURS = re.compile(r"table\.csv|mask\d+\.tif|tracks")
OLD = {"table.csv": "old", "mask1.tif": "old", "tracks/0": "old", "tracks/1": "old"}
NEW = {"table.csv": "new", "mask2.tif": "new", "tracks/0": "new"}
ALONE: dict[str, str] = {}
WITH_NOTES = {"decisions.csv": "mine", "notes/table.csv": "mine"}


def replace(folder: Path, new: dict[str, str]) -> None:
    with staged_folder(folder, overwrite=True, ours=OURS) as staging:
        fill(staging, new)


@pytest.mark.parametrize("mounted", [False, True])
@pytest.mark.parametrize("foreign", [ALONE, WITH_NOTES])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("reader", [True, False])
def test_killed_at_any_rename(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    foreign: dict[str, str],
    after: bool,
    mounted: bool,
    reader: bool,
) -> None:
    """The user's files are in their place at every moment; the next command finds old or new results, not a mixture."""
    if mounted:
        monkeypatch.setattr(os.path, "ismount", lambda folder: Path(folder).name == "out")
    for step in range(20):
        out = tmp_path / str(step) / "out"
        fill(out, OLD | foreign)

        def killed(out: Path = out, step: int = step) -> None:
            kill_at(monkeypatch, "rename", step, after=after)
            replace(out, NEW)

        status = in_child(killed)
        if out.exists():
            assert contents(out).items() >= foreign.items()
        else:
            assert not foreign
        if status == 0:
            break
        assert status == -signal.SIGKILL
        if reader:
            began = any("uq-replacing" in str(path) for path in (*out.parent.iterdir(), *out.glob(".*")))
            if began:
                with pytest.warns(UserWarning, match="they are complete now"):
                    recover_results(out)
            recover_results(out)
            seen = {name: text for name, text in contents(out).items() if ".uq-" not in name}
            assert seen in ([NEW | foreign] if began else [OLD | foreign, NEW | foreign])
        with_warning = any("uq-replacing" in path.name for path in (*out.parent.iterdir(), *out.glob(".*")))
        newest = dict.fromkeys(["table.csv", "mask3.tif"], "newest")
        if with_warning:
            with pytest.warns(UserWarning, match="they are complete now"):
                replace(out, newest)
        else:
            replace(out, newest)
        assert contents(out.parent) == {f"out/{name}": text for name, text in (newest | foreign).items()}
        assert [item.name for item in out.parent.iterdir()] == ["out"]
    else:
        pytest.fail("there is no end of renames")
    assert step > 2


@pytest.mark.parametrize("foreign", [ALONE, WITH_NOTES])
def test_a_recovery_that_is_killed_is_recovered_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foreign: dict[str, str]
) -> None:
    for first in range(1, 4):
        for second in range(6):
            out = tmp_path / f"{first}-{second}" / "out"
            fill(out, OLD | foreign)

            def killed(out: Path = out, first: int = first) -> None:
                kill_at(monkeypatch, "rename", first)
                replace(out, NEW)

            def killed_again(out: Path = out, second: int = second) -> None:
                kill_at(monkeypatch, "rename", second, after=True)
                with pytest.warns(UserWarning, match="complete now"):
                    recover_results(out)

            if in_child(killed) == 0:
                continue
            in_child(killed_again)
            try:
                with pytest.warns(UserWarning, match="complete now"):
                    recover_results(out)
            except pytest.fail.Exception:
                pass  # the last rename of it was the last one needed, and a mere folder was left
            assert contents(out) == NEW | foreign


@pytest.mark.parametrize("foreign", [ALONE, WITH_NOTES])
@pytest.mark.parametrize("call", ["unlink", "rmdir"])
def test_killed_while_it_clears_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foreign: dict[str, str], call: str
) -> None:
    for step in range(4):
        out = tmp_path / str(step) / "out"
        fill(out, OLD | foreign)

        def killed(out: Path = out, step: int = step) -> None:
            kill_at(monkeypatch, call, step)
            replace(out, NEW)

        in_child(killed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the first folder is removed before results are moved
            recover_results(out)
        assert contents(out) == NEW | foreign
        replace(out, NEW)
        assert [item.name for item in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("step", range(0, 7, 2))
def test_signals_wait_until_all_is_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, step: int
) -> None:
    fill(tmp_path / "out", OLD | WITH_NOTES)
    rename, done = os.rename, []

    def interrupted(*arguments: Path) -> None:
        if len(done) == step:
            os.kill(os.getpid(), number)
        done.append(arguments)
        rename(*arguments)

    def write() -> None:
        with stopping_signals(), staged_folder(tmp_path / "out", overwrite=True, ours=OURS) as staging:
            fill(staging, NEW)
            monkeypatch.setattr(os, "rename", interrupted)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as raised:
        write()
    assert (raised.value.number if isinstance(raised.value, Stopped) else signal.SIGINT) == number
    assert contents(tmp_path / "out") == NEW | WITH_NOTES
    assert [item.name for item in tmp_path.iterdir()] == ["out"]
    assert signal.getsignal(number) is before


def test_what_a_dead_run_was_writing_goes_and_what_others_call_so_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in (".out.partial-abc", ".out.uq-partial-mine", ".other.uq-lock"):
        (tmp_path / name).mkdir()

    def killed() -> None:
        with staged_folder(out) as staging:
            fill(staging, OLD)
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(killed) == -signal.SIGKILL
    assert len(list(tmp_path.glob(".out.uq-partial-*"))) == 2
    replace(out, NEW)
    assert contents(out) == NEW
    names = {item.name for item in tmp_path.iterdir()}
    assert names == {"out", ".out.partial-abc", ".out.uq-partial-mine", ".other.uq-lock"}


def test_a_reader_leaves_a_living_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    fill(out, OLD | WITH_NOTES)
    rename = os.rename

    def slow(*arguments: Path) -> None:
        rename(*arguments)
        time.sleep(0.05)

    def work() -> None:
        monkeypatch.setattr(os, "rename", slow)
        replace(out, NEW)

    child = start(work)
    while not list(tmp_path.glob(".out.uq-replacing*")):
        time.sleep(0.005)
    recover_results(out)  # does nothing, and says nothing
    assert end_of(child) == 0
    assert contents(tmp_path) == {f"out/{name}": text for name, text in (NEW | WITH_NOTES).items()}
