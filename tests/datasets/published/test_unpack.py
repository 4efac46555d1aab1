"""Archives are unpacked whole or not at all, and never outside of their folder."""

import stat
import zipfile
from pathlib import Path

import pytest

from tests.support.archives import ARCHIVE, names, zipped
from torchtrack_uq.datasets.published.unpack import unpack_zip
from torchtrack_uq.errors import InputError


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/etc/evil.txt", "a/../../evil.txt", "C:/evil.txt", "..\\evil.txt"]
)
def test_members_outside_of_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"good.txt": b"1", name: b"2"}))
    with pytest.raises(InputError, match="do not use this archive"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "a", progress=False)
    assert names(tmp_path) == ["a.zip"]


def test_links_in_an_archive_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(InputError, match="a link or a path outside"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "a", progress=False)


def test_a_damaged_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    broken = bytearray(ARCHIVE)
    broken[5000:5100] = bytes(100)
    for content in (bytes(broken), ARCHIVE[:-500], b"no archive", zipped({})):
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(InputError, match="run the same command again"):
            unpack_zip(tmp_path / "a.zip", tmp_path / "a", progress=False)
        assert names(tmp_path) == ["a.zip"]


def test_an_archive_of_several_folders_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"00/t0000.tif": b"1", "00_GT/TRA/man_track.txt": b"2"}))
    (tmp_path / "a").mkdir()
    unpack_zip(tmp_path / "a.zip", tmp_path / "a", progress=False)
    assert names(tmp_path / "a") == ["00", "00_GT"]
    assert names(tmp_path) == ["a", "a.zip"]
