"""Files and folders are written whole or not at all."""

import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils import files
from torchtrack_uq.utils.files import check_output_folder, staged_folder, write_atomically

OURS = re.compile(r"table\.csv|mask\d+\.tif")


def contents(folder: Path) -> dict[str, str]:
    """Text of every file below a folder, by its path there."""
    return {str(item.relative_to(folder)): item.read_text() for item in folder.rglob("*") if item.is_file()}


def fill(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


class TestWriteAtomically:
    def test_a_failed_write_leaves_the_old_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
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
    @pytest.mark.parametrize("step", ["fdopen", "chmod", "replace"])
    def test_no_litter_stays_whichever_step_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
    ) -> None:
        def fail(*arguments: object, **_: object) -> None:
            raise error

        monkeypatch.setattr(files.os, step, fail)
        with pytest.raises((KeyboardInterrupt, OSError)):
            write_atomically(tmp_path / "a" / "model.pt", b"new")
        assert contents(tmp_path) == {}

    def test_the_file_is_readable_by_others_and_its_folder_is_made(self, tmp_path: Path) -> None:
        write_atomically(tmp_path / "a" / "b" / "model.pt", b"new")
        assert (tmp_path / "a" / "b" / "model.pt").read_bytes() == b"new"
        assert stat.S_IMODE((tmp_path / "a" / "b" / "model.pt").stat().st_mode) == 0o644
        assert [item.name for item in (tmp_path / "a" / "b").iterdir()] == ["model.pt"]


class TestStagedFolder:
    @pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
    @pytest.mark.parametrize("existing", [True, False])
    def test_an_error_half_way_leaves_everything_as_it_was(
        self, tmp_path: Path, error: BaseException | type[BaseException], existing: bool
    ) -> None:
        folder = tmp_path / "out"
        if existing:
            folder.mkdir()
            (folder / "links.csv").write_text("earlier")
        with pytest.raises((KeyboardInterrupt, OSError)), staged_folder(folder, overwrite=True) as staging:  # noqa: PT012
            (staging / "links.csv").write_text("half")
            raise error
        left = sorted(str(item.relative_to(tmp_path)) for item in tmp_path.rglob("*"))
        assert left == (["out", "out/links.csv"] if existing else [])
        if existing:
            assert (folder / "links.csv").read_text() == "earlier"

    def test_a_new_folder_appears_when_the_block_ends_and_not_before(self, tmp_path: Path) -> None:
        with staged_folder(tmp_path / "a" / "out") as staging:
            (staging / "table.csv").write_text("new")
            assert not (tmp_path / "a" / "out").exists()
        assert contents(tmp_path) == {"a/out/table.csv": "new"}
        assert [item.name for item in (tmp_path / "a").iterdir()] == ["out"]

    def test_an_empty_folder_is_taken_without_overwrite(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        with staged_folder(tmp_path / "out") as staging:
            (staging / "table.csv").write_text("new")
        assert contents(tmp_path) == {"out/table.csv": "new"}

    @given(
        before=st.sets(
            st.sampled_from(["table.csv", "table.csv.bak", "mask1.tif", "mask2.tif", "my/mask1.tif"])
        ),
        after=st.sets(st.sampled_from(["table.csv", "mask1.tif", "mask3.tif", "log.txt"])),
    )
    def test_foreign_files_stay_and_what_is_ours_is_replaced_or_removed(
        self, before: set[str], after: set[str], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        folder = tmp_path_factory.mktemp("staged") / "out"
        folder.mkdir()
        fill(folder, dict.fromkeys(before, "old"))
        with staged_folder(folder, overwrite=True, ours=OURS) as staging:
            fill(staging, dict.fromkeys(after, "new"))
        foreign = {name: "old" for name in before if not OURS.fullmatch(name)}
        assert contents(folder) == foreign | dict.fromkeys(after, "new")
        assert [item.name for item in folder.parent.iterdir()] == ["out"]

    def test_without_a_pattern_nothing_that_is_not_written_again_is_removed(self, tmp_path: Path) -> None:
        fill(tmp_path / "out", {"table.csv": "old", "mask1.tif": "old"})
        with staged_folder(tmp_path / "out", overwrite=True) as staging:
            (staging / "table.csv").write_text("new")
        assert contents(tmp_path / "out") == {"table.csv": "new", "mask1.tif": "old"}

    def test_folders_are_replaced_as_a_whole(self, tmp_path: Path) -> None:
        fill(tmp_path / "out", {"tracks/0": "old", "tracks/1": "old"})
        with staged_folder(tmp_path / "out", overwrite=True) as staging:
            fill(staging, {"tracks/0": "new"})
        assert contents(tmp_path / "out") == {"tracks/0": "new"}

    def test_a_mounted_folder_is_filled_where_it_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = tmp_path / "out"
        out.mkdir()
        inode = out.stat().st_ino
        monkeypatch.setattr(files.os.path, "ismount", lambda folder: Path(folder) == out)
        for text, overwrite in (("old", False), ("new", True)):
            with staged_folder(out, overwrite=overwrite, ours=OURS) as staging:
                fill(staging, {"table.csv": text})
            assert contents(out) == {"table.csv": text}
        assert out.stat().st_ino == inode
        assert [item.name for item in out.iterdir()] == ["table.csv"]

    def test_a_link_to_a_folder_stays_one(self, tmp_path: Path) -> None:
        (tmp_path / "disk").mkdir()
        for name in ("disk", "new"):
            (tmp_path / f"to_{name}").symlink_to(tmp_path / name)
            with staged_folder(tmp_path / f"to_{name}") as staging:
                fill(staging, {"table.csv": name})
            assert contents(tmp_path / name) == {"table.csv": name}
            assert (tmp_path / f"to_{name}").is_symlink()

    def test_what_another_run_wrote_in_the_meantime_stays(self, tmp_path: Path) -> None:
        with (  # noqa: PT012
            pytest.raises(InputError, match="another run wrote to"),
            staged_folder(tmp_path / "out") as staging,
        ):
            fill(staging, {"table.csv": "second"})
            with staged_folder(tmp_path / "out") as other:
                fill(other, {"table.csv": "first"})
        assert contents(tmp_path) == {"out/table.csv": "first"}

    @pytest.mark.parametrize(
        "step",
        [
            0,
            1,
            2,
            3,
        ],
    )
    def test_an_error_while_moving_leaves_the_folder_as_it_was(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
    ) -> None:
        """Two files are set aside, one of them outdated, then two moved in: an error at any of these steps."""
        before = {"table.csv": "old", "mask1.tif": "old", "notes.txt": "mine"}
        fill(tmp_path / "out", before)
        replace, done = files.os.replace, []

        def fail_once(*arguments: Path) -> None:
            done.append(arguments)
            if len(done) == step + 1:
                raise OSError(5, "Input/output error")
            replace(*arguments)

        def write() -> None:
            with staged_folder(tmp_path / "out", overwrite=True, ours=OURS) as staging:
                fill(staging, {"table.csv": "new", "mask2.tif": "new"})
                monkeypatch.setattr(files.os, "replace", fail_once)

        with pytest.raises(OSError, match="Input/output error"):
            write()
        assert contents(tmp_path / "out") == before
        assert [item.name for item in tmp_path.iterdir()] == ["out"]


class TestCheckOutputFolder:
    def test_what_cannot_be_written_to_is_refused_before_work_starts(self, tmp_path: Path) -> None:
        fill(tmp_path, {"file": "mine", "full/notes.txt": "mine"})
        with pytest.raises(InputError, match="is a file; expected a folder"):
            check_output_folder(tmp_path / "file", overwrite=True)
        with pytest.raises(
            InputError, match="is not empty; choose another, or replace results with --overwrite"
        ):
            check_output_folder(tmp_path / "full", overwrite=False)
        check_output_folder(tmp_path / "full", overwrite=True)
        check_output_folder(tmp_path / "new" / "below", overwrite=False)
        assert not (tmp_path / "new").exists()

    def test_a_place_without_permission_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files.os, "access", lambda place, _: Path(place) != tmp_path)
        with pytest.raises(InputError, match=f"{tmp_path} is not writable"):
            check_output_folder(tmp_path / "new" / "below", overwrite=False)
