"""One run at a time writes to a place, and the dead do not stand in the way."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.forked import contents, end_of, fill, in_child, needs_fork, start
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils import claim as module
from torchtrack_uq.utils.claim import claimed
from torchtrack_uq.utils.run_identity import RunIdentity
from torchtrack_uq.utils.staged_folder import output_folder, staged_folder


def lock(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.uq-lock")


@needs_fork
def test_the_second_of_two_runs_is_refused_before_it_works(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"

    def work() -> None:
        with output_folder(out):
            time.sleep(0.3)
            with staged_folder(out) as staging:
                fill(staging, {"table.csv": "first"})

    child = start(work)
    while not lock(out).exists() or not lock(out).read_text():
        time.sleep(0.002)
    with (
        pytest.raises(InputError, match=rf"another run \(process {child} on .+\) is writing to"),
        output_folder(out),
    ):
        pass
    assert end_of(child) == 0
    assert contents(tmp_path) == {"deep/out/table.csv": "first"}
    with output_folder(out, overwrite=True):
        assert lock(out).exists()
    assert [item.name for item in out.parent.iterdir()] == ["out"]


@needs_fork
def test_of_many_runs_at_once_one_succeeds_and_the_others_say_why(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def work() -> None:
        time.sleep(max(0.0, begin - time.time()))
        with staged_folder(out) as staging:
            fill(staging, {f"table{i}.csv": str(os.getpid()) for i in range(30)})
            time.sleep(0.1)

    begin = time.time() + 0.2
    children = [start(lambda: _quiet(work)) for _ in range(8)]
    ends = [end_of(child) for child in children]
    assert sorted(ends) == [0] + [2] * 7
    winner = str(children[ends.index(0)])
    assert set(contents(tmp_path).values()) == {winner}
    assert [item.name for item in tmp_path.iterdir()] == ["out"]


def _quiet(work: Callable[[], None]) -> None:
    try:
        work()
    except InputError as error:
        os._exit(2 if "another run" in str(error) or "is not empty" in str(error) else 3)


@needs_fork
def test_a_killed_run_does_not_stand_in_the_way(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def killed() -> None:
        with output_folder(out):
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(killed) == -signal.SIGKILL
    assert lock(out).exists()
    with staged_folder(out) as staging:
        fill(staging, {"table.csv": "new"})
    assert [item.name for item in tmp_path.iterdir()] == ["out"]


@needs_fork
def test_a_dead_run_that_nobody_has_asked_after_is_dead(tmp_path: Path) -> None:
    """As in containers, where nobody does: its process number is still taken."""
    out = tmp_path / "out"
    child = start(lambda: module._lay_down(module.Claim(lock(out), RunIdentity.here().tag + " 1 here"), out))
    while Path(f"/proc/{child}/stat").exists() and " Z " not in Path(f"/proc/{child}/stat").read_text():
        time.sleep(0.005)
    if Path("/proc/self/stat").exists():
        with output_folder(out):
            pass
    assert end_of(child) == 0


@pytest.mark.parametrize("silent", [10.0, 1000.0])
def test_another_machine_is_waited_for_while_it_gives_signs_of_life(tmp_path: Path, silent: float) -> None:
    out = tmp_path / "out"
    lock(out).write_text("00000000-11111111-7-7 7 elsewhere")
    os.utime(lock(out), (time.time() - silent,) * 2)
    if silent > 300:
        with output_folder(out):
            pass
        assert not lock(out).exists()
    else:
        with (
            pytest.raises(InputError, match=r"process 7 on elsewhere.*if there is no such run, remove"),
            output_folder(out),
        ):
            pass
        assert lock(out).exists()


def test_a_run_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BEAT", 0.01)
    with output_folder(tmp_path / "out"):
        os.utime(lock(tmp_path / "out"), (0, 0))
        end = time.monotonic() + 20
        while lock(tmp_path / "out").stat().st_mtime == 0 and time.monotonic() < end:
            time.sleep(0.01)
        assert lock(tmp_path / "out").stat().st_mtime > 0


def test_a_process_number_that_was_given_to_another_process_is_no_sign_of_life(tmp_path: Path) -> None:
    here = RunIdentity.here()
    if not here.start:
        pytest.skip("this system does not say when a process started")
    lock(tmp_path / "out").write_text(
        RunIdentity(here.machine, here.boot, here.pid, here.start - 1).tag + " 1 here"
    )
    with output_folder(tmp_path / "out"):
        pass
    lock(tmp_path / "out").write_text(
        RunIdentity(here.machine, "deadbeef", here.pid, here.start).tag + " 1 here"
    )
    with output_folder(tmp_path / "out"):
        pass


def test_a_claim_within_a_claim_is_of_the_same_run_but_not_in_another_thread(tmp_path: Path) -> None:
    said = []

    def elsewhere() -> None:
        try:
            with output_folder(tmp_path / "out"):
                said.append("in")
        except InputError as error:
            said.append(str(error))

    with output_folder(tmp_path / "out"):
        with staged_folder(tmp_path / "out") as staging:
            fill(staging, {"a": "a"})
        assert lock(tmp_path / "out").exists()
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert "another run" in said[0] or "is not empty" in said[0]


def test_a_run_whose_place_was_taken_over_keeps_nothing(tmp_path: Path) -> None:
    """As after the machine slept, and another one waited long enough."""
    with (  # noqa: PT012
        pytest.raises(InputError, match="has taken over the place of this one"),
        staged_folder(tmp_path / "out") as staging,
    ):
        fill(staging, {"table.csv": "late"})
        lock(tmp_path / "out").write_text("00000000-11111111-7-7 7 elsewhere")
    assert contents(tmp_path) == {".out.uq-lock": "00000000-11111111-7-7 7 elsewhere"}


def test_a_claim_taken_over_by_a_faster_run_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = lock(tmp_path / "out")
    file.write_text("00000000-11111111-7-7 7 elsewhere")
    os.utime(file, (0, 0))
    rename = os.rename

    def faster(source: Path, target: Path) -> None:
        file.write_text(RunIdentity.here().tag + " 9 here")
        rename(source, target)

    monkeypatch.setattr(module.os, "rename", faster)
    with (
        pytest.raises(InputError, match="process 9 on here"),
        claimed(tmp_path / "out", tmp_path),
    ):
        pass
    assert contents(tmp_path) == {".out.uq-lock": RunIdentity.here().tag + " 9 here"}
