"""Folders of results are written whole or not at all."""

import os
import re
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.forked import contents, fill
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils import output_checks
from torchtrack_uq.utils import staged_folder as module
from torchtrack_uq.utils.output_checks import check_apart, check_file_apart, check_output_folder
from torchtrack_uq.utils.replace_folder import HalfReplacedError
from torchtrack_uq.utils.staged_folder import output_folder, recover_results, staged_folder

OURS = re.compile(r"table\.csv|mask\d+\.tif")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("existing", [True, False])
def test_an_error_half_way_leaves_everything_as_it_was(
    tmp_path: Path, error: BaseException | type[BaseException], existing: bool
) -> None:
    folder = tmp_path / "a" / "out"
    if existing:
        fill(folder, {"links.csv": "earlier"})
    with pytest.raises((KeyboardInterrupt, OSError)), staged_folder(folder, overwrite=True) as staging:  # noqa: PT012
        (staging / "links.csv").write_text("half")
        raise error
    left = sorted(str(item.relative_to(tmp_path)) for item in tmp_path.rglob("*"))
    assert left == (["a", "a/out", "a/out/links.csv"] if existing else [])
    if existing:
        assert (folder / "links.csv").read_text() == "earlier"


def test_a_new_folder_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    with staged_folder(tmp_path / "a" / "out") as staging:
        (staging / "table.csv").write_text("new")
        assert not (tmp_path / "a" / "out").exists()
    assert contents(tmp_path) == {"a/out/table.csv": "new"}
    assert [item.name for item in (tmp_path / "a").iterdir()] == ["out"]


def test_an_empty_folder_is_taken_without_overwrite(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with staged_folder(tmp_path / "out") as staging:
        (staging / "table.csv").write_text("new")
    assert contents(tmp_path) == {"out/table.csv": "new"}


@given(
    before=st.sets(st.sampled_from(["table.csv", "table.csv.bak", "mask1.tif", "mask2.tif", "my/mask1.tif"])),
    after=st.sets(st.sampled_from(["table.csv", "mask1.tif", "mask3.tif", "log.txt"])),
)
def test_foreign_files_stay_and_what_is_ours_is_replaced_or_removed(
    before: set[str], after: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("staged") / "out"
    folder.mkdir()
    fill(folder, dict.fromkeys(before, "old"))
    with staged_folder(folder, overwrite=True, ours=OURS) as staging:
        fill(staging, dict.fromkeys(after, "new"))
    foreign = {name: "old" for name in before if not OURS.fullmatch(name)}
    assert contents(folder) == foreign | dict.fromkeys(after, "new")
    assert [item.name for item in folder.parent.iterdir()] == ["out"]


def test_without_a_pattern_nothing_that_is_not_written_again_is_removed(tmp_path: Path) -> None:
    fill(tmp_path / "out", {"table.csv": "old", "mask1.tif": "old"})
    with staged_folder(tmp_path / "out", overwrite=True) as staging:
        (staging / "table.csv").write_text("new")
    assert contents(tmp_path / "out") == {"table.csv": "new", "mask1.tif": "old"}


def test_folders_are_replaced_as_a_whole(tmp_path: Path) -> None:
    fill(tmp_path / "out", {"tracks/0": "old", "tracks/1": "old"})
    with staged_folder(tmp_path / "out", overwrite=True) as staging:
        fill(staging, {"tracks/0": "new"})
    assert contents(tmp_path / "out") == {"tracks/0": "new"}


def test_permissions_of_a_folder_that_is_replaced_stay(tmp_path: Path) -> None:
    fill(tmp_path / "out", {"table.csv": "old"})
    (tmp_path / "out").chmod(0o750)
    with staged_folder(tmp_path / "out", overwrite=True, ours=OURS) as staging:
        fill(staging, {"table.csv": "new"})
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750


def test_a_mounted_folder_is_filled_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    inode = out.stat().st_ino
    monkeypatch.setattr(os.path, "ismount", lambda folder: Path(folder) == out)
    for text, overwrite in (("old", False), ("new", True)):
        with staged_folder(out, overwrite=overwrite, ours=OURS) as staging:
            fill(staging, {"table.csv": text})
        assert contents(out) == {"table.csv": text}
    assert out.stat().st_ino == inode
    assert [item.name for item in out.iterdir()] == ["table.csv"]


def test_links_to_a_folder_stay_links_also_where_it_does_not_exist_yet(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    for name in ("disk", "new"):
        (tmp_path / f"to_{name}").symlink_to(tmp_path / name)
        with staged_folder(tmp_path / f"to_{name}") as staging:
            fill(staging, {"table.csv": name})
        assert contents(tmp_path / name) == {"table.csv": name}
        assert (tmp_path / f"to_{name}").is_symlink()


def test_what_another_program_wrote_in_the_meantime_stays(tmp_path: Path) -> None:
    with (  # noqa: PT012
        pytest.raises(InputError, match="another run wrote to"),
        staged_folder(tmp_path / "out") as staging,
    ):
        fill(staging, {"table.csv": "second"})
        fill(tmp_path / "out", {"table.csv": "first"})
    assert contents(tmp_path) == {"out/table.csv": "first"}


@pytest.mark.parametrize("foreign", [{}, {"notes.txt": "mine"}])
@pytest.mark.parametrize("step", range(6))
def test_an_error_while_moving_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, foreign: dict[str, str]
) -> None:
    """At whichever rename: the one that says it is complete, and those of whole folders or of single files."""
    before = {"table.csv": "old", "mask1.tif": "old", **foreign}
    fill(tmp_path / "out", before)
    rename, done = os.rename, []

    def fail_once(*arguments: Path) -> None:
        done.append(arguments)
        if len(done) == step + 1:
            raise OSError(5, "Input/output error")
        rename(*arguments)

    def write() -> None:
        with staged_folder(tmp_path / "out", overwrite=True, ours=OURS) as staging:
            fill(staging, {"table.csv": "new", "mask2.tif": "new"})
            monkeypatch.setattr(os, "rename", fail_once)

    if step >= 3 and not foreign:
        write()
        assert contents(tmp_path / "out") == {"table.csv": "new", "mask2.tif": "new"}
    elif step >= 5:
        write()
        assert contents(tmp_path / "out") == {"table.csv": "new", "mask2.tif": "new", **foreign}
    else:
        with pytest.raises(OSError, match="Input/output error"):
            write()
        assert contents(tmp_path / "out") == before
    assert [item.name for item in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("foreign", [{}, {"notes.txt": "mine"}])
def test_where_nothing_can_be_put_back_the_next_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foreign: dict[str, str]
) -> None:
    fill(tmp_path / "out", {"table.csv": "old", "mask1.tif": "old", **foreign})
    rename, done = os.rename, []

    def fail(*arguments: Path) -> None:
        done.append(arguments)
        if len(done) > 2:
            raise OSError(5, "Input/output error")
        rename(*arguments)

    with (  # noqa: PT012
        pytest.raises(HalfReplacedError, match="the next command that uses them goes on"),
        staged_folder(tmp_path / "out", overwrite=True, ours=OURS) as staging,
    ):
        fill(staging, {"table.csv": "new", "mask2.tif": "new"})
        monkeypatch.setattr(os, "rename", fail)
    monkeypatch.setattr(os, "rename", rename)
    with (
        pytest.warns(UserWarning, match="they are complete now"),
        output_folder(tmp_path / "out", overwrite=True),
    ):
        assert contents(tmp_path / "out") == {"table.csv": "new", "mask2.tif": "new", **foreign}
    assert [item.name for item in tmp_path.iterdir()] == ["out"]


def test_reading_results_that_are_whole_changes_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "out", {"table.csv": "old"})
    recover_results(tmp_path / "out")
    recover_results(tmp_path / "nowhere")
    assert contents(tmp_path) == {"out/table.csv": "old"}


class TestBeforeWorkStarts:
    def test_what_cannot_be_written_to_is_refused(self, tmp_path: Path) -> None:
        fill(tmp_path, {"file": "mine", "full/notes.txt": "mine"})
        with pytest.raises(InputError, match="is a file; expected a folder"):
            check_output_folder(tmp_path / "file", overwrite=True)
        with pytest.raises(InputError, match="is a file; choose another"):
            check_output_folder(tmp_path / "file" / "below" / "out", overwrite=True)
        with pytest.raises(
            InputError, match="is not empty; choose another, or replace results with --overwrite"
        ):
            check_output_folder(tmp_path / "full", overwrite=False)
        check_output_folder(tmp_path / "full", overwrite=True)
        check_output_folder(tmp_path / "new" / "below", overwrite=False)
        assert not (tmp_path / "new").exists()

    def test_a_place_without_permission_is_refused_also_behind_a_link(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "locked").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "locked" / "new")
        monkeypatch.setattr(output_checks.os, "access", lambda place, _: Path(place) != tmp_path / "locked")
        for folder in (tmp_path / "locked" / "new" / "below", tmp_path / "link"):
            with pytest.raises(InputError, match=f"{tmp_path / 'locked'} is not writable"):
                check_output_folder(folder, overwrite=False)

    def test_links_in_a_circle_and_names_that_are_too_long_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a").symlink_to(tmp_path / "b")
        (tmp_path / "b").symlink_to(tmp_path / "a")
        for folder in (tmp_path / "a", tmp_path / ("x" * 300)):
            with pytest.raises(InputError, match="choose another"), output_folder(folder):
                pass

    def test_a_folder_that_can_be_written_to_in_one_that_cannot_is_filled_where_it_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()
        inode = out.stat().st_ino
        monkeypatch.setattr(module.os, "access", lambda place, _: Path(place) != tmp_path)
        with staged_folder(out) as staging:
            assert staging.is_relative_to(out)
            fill(staging, {"table.csv": "new"})
        assert contents(tmp_path) == {"out/table.csv": "new"}
        assert out.stat().st_ino == inode

    def test_a_file_that_cannot_be_made_is_refused_where_permissions_say_otherwise(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As on some network file systems, and for root on one that is read-only."""

        def fail(*_: object, **__: object) -> int:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr("torchtrack_uq.utils.claim.os.open", fail)
        with pytest.raises(InputError, match="Read-only file system"), output_folder(tmp_path / "out"):
            pass

    def test_output_and_input_are_apart_by_whatever_name(self, tmp_path: Path) -> None:
        fill(tmp_path, {"masks/t0.tif": "", "points.csv": "", "out/links.csv": ""})
        (tmp_path / "same").symlink_to(tmp_path / "masks")
        os.link(tmp_path / "points.csv", tmp_path / "again.csv")
        for folder in (tmp_path / "same", tmp_path, tmp_path / "masks" / "below"):
            with pytest.raises(InputError, match="choose a folder apart"):
                check_apart(folder, [tmp_path / "masks"])
        for file in (tmp_path / "points.csv", tmp_path / "again.csv", tmp_path / "masks" / "t0.tif"):
            with pytest.raises(InputError, match="choose another name"):
                check_file_apart(file, [tmp_path / "points.csv", None, tmp_path / "same"])
        check_file_apart(tmp_path / "masks" / "report.json", [tmp_path / "masks"])


def test_what_a_thread_still_writes_after_an_interruption_is_removed_too(tmp_path: Path) -> None:
    """zarr writes in a thread of its own, which goes on for a moment."""

    def write(staging: Path) -> None:
        for k in range(40):
            fill(staging, {f"tracks/{k}": "late"})
            time.sleep(0.003)

    with pytest.raises(KeyboardInterrupt), staged_folder(tmp_path / "out") as staging:  # noqa: PT012
        threading.Thread(target=write, args=(staging,)).start()
        time.sleep(0.02)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
