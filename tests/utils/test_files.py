"""Files are written whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from tests.support.forked import contents, in_child, kill_at, needs_fork
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.files import check_output_file, staged_file, write_atomically, write_together


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.pt"
    write_atomically(file, b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("step", ["fdopen", "replace"])
def test_no_litter_stays_whichever_step_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    def fail(*arguments: object, **_: object) -> None:
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises((KeyboardInterrupt, OSError)):
        write_atomically(tmp_path / "a" / "model.pt", b"new")
    assert contents(tmp_path) == {}


def test_the_file_is_readable_by_others_and_its_folder_is_made(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b" / "model.pt", b"new")
    assert (tmp_path / "a" / "b" / "model.pt").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "a" / "b" / "model.pt").stat().st_mode) == 0o644
    assert [item.name for item in (tmp_path / "a" / "b").iterdir()] == ["model.pt"]


def test_a_link_stays_a_link_and_a_long_name_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "to").symlink_to(tmp_path / "file")
    write_atomically(tmp_path / "to", b"new")
    assert (tmp_path / "to").is_symlink()
    write_atomically(tmp_path / ("ü" * 120), b"long")
    with staged_file(tmp_path / ("x" * 250)) as staging:
        staging.write_bytes(b"long")
    assert contents(tmp_path) == {"to": "new", "file": "new", "ü" * 120: "long", "x" * 250: "long"}


def test_a_device_is_written_to_and_not_replaced() -> None:
    if not Path("/dev/null").exists():
        pytest.skip("no /dev/null here")
    write_atomically(Path("/dev/null"), b"nothing")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(InputError, match="a device or a pipe"):
        check_output_file(Path("/dev/null"), overwrite=True)


def test_a_full_disk_is_an_error_that_leaves_what_was_there(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OSError, match="No space left"):
        write_together({tmp_path / "a": b"a", Path("/dev/full"): b"b"})
    assert contents(tmp_path) == {}


def test_a_file_that_appears_in_the_meantime_stays(tmp_path: Path) -> None:
    with (  # noqa: PT012
        pytest.raises(InputError, match="appeared in the meantime"),
        staged_file(tmp_path / "table") as staging,
    ):
        staging.write_text("ours")
        (tmp_path / "table").write_text("theirs")
    assert contents(tmp_path) == {"table": "theirs"}


@needs_fork
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", [0, 1])
def test_killed_at_any_step_it_leaves_whole_files_and_no_litter_after_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, after: bool
) -> None:
    write_together({tmp_path / "a": b"old", tmp_path / "b": b"old"})

    def killed() -> None:
        kill_at(monkeypatch, "replace", step, after=after)
        write_together({tmp_path / "a": b"new", tmp_path / "b": b"new"})

    assert in_child(killed) == -9
    assert {text for name, text in contents(tmp_path).items() if name in "ab"} <= {"old", "new"}
    write_together({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert contents(tmp_path) == {"a": "new", "b": "new"}


def test_what_a_living_run_is_writing_stays(tmp_path: Path) -> None:
    with staged_file(tmp_path / "a") as staging:
        staging.write_text("slow")
        write_atomically(tmp_path / "a", b"fast")
        assert staging.read_text() == "slow"
        (tmp_path / "a").unlink()
    assert contents(tmp_path) == {"a": "slow"}


def test_what_cannot_be_written_is_refused_before_work_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for file, overwrite, why in (
        (tmp_path, True, "is a folder"),
        (tmp_path / "file", False, "is there already"),
        (tmp_path / "file" / "below.csv", True, "is a file; choose another place"),
    ):
        with pytest.raises(InputError, match=why):
            check_output_file(file, overwrite)
    check_output_file(tmp_path / "new" / "below.csv", overwrite=False)
    assert contents(tmp_path) == {"file": "mine"}


def test_of_several_files_none_is_written_where_one_appears_in_the_meantime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def appears(source: Path, target: Path) -> None:
        if target.name == "b":
            target.write_text("theirs")
        link(source, target)

    monkeypatch.setattr(os, "link", appears)
    with pytest.raises(InputError, match="appeared in the meantime"):
        write_together({tmp_path / "a": b"ours", tmp_path / "b": b"ours"}, overwrite=False)
    assert contents(tmp_path) == {"b": "theirs"}
