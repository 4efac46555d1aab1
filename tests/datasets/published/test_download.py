"""Downloads against a local server: whole, cut, changed, missing, wrong, interrupted, and no server at all."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import requests

from tests.support.archives import ARCHIVE, HASH, names, zipped
from tests.support.range_server import RangeServer
from torchtrack_uq.cli import main
from torchtrack_uq.datasets.published.catalogue import CATALOGUE, PublishedDataset
from torchtrack_uq.datasets.published.download import download_dataset
from torchtrack_uq.errors import InputError

NOISE = np.random.default_rng(0).bytes(1_200_000)  # does not compress, so that the archive has several chunks


@pytest.fixture(autouse=True)
def without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with RangeServer({"/Set.zip": ARCHIVE}) as running:
        yield running


@pytest.fixture
def published(server: RangeServer) -> PublishedDataset:
    return PublishedDataset("Set", "a set", "free for all", "https://home", f"{server.url}/Set.zip", HASH)


def fetch(dataset: PublishedDataset, folder: Path, **options: Any) -> Path:
    return download_dataset(dataset, folder, progress=False, pause=0.0, timeout=5.0, **options)


def assert_complete(folder: Path) -> None:
    assert (folder / "Set" / "01" / "t000.tif").read_bytes() == NOISE
    assert names(folder / "Set") == ["01", "01_GT", "SOURCE.txt"]
    assert names(folder) == ["Set"]


def test_a_set_is_downloaded_checked_and_unpacked(
    server: RangeServer, published: PublishedDataset, tmp_path: Path
) -> None:
    assert fetch(published, tmp_path / "new" / "data") == tmp_path / "new" / "data" / "Set"
    assert_complete(tmp_path / "new" / "data")
    note = (tmp_path / "new" / "data" / "Set" / "SOURCE.txt").read_text()
    assert HASH in note
    assert "free for all" in note
    fetch(published, tmp_path / "new" / "data")
    assert len(server.answers.requests) == 1  # it was there


def test_the_archive_may_stay_or_have_been_there_before(
    server: RangeServer, published: PublishedDataset, tmp_path: Path
) -> None:
    (tmp_path / "Set.zip").write_bytes(ARCHIVE)
    fetch(published, tmp_path, keep_archive=True)
    assert names(tmp_path) == ["Set", "Set.zip"]
    assert server.answers.requests == []
    shutil.rmtree(tmp_path / "Set")
    (tmp_path / "Set.zip").write_bytes(ARCHIVE + b"x")
    with pytest.raises(InputError, match="is not the archive of Set that is known"):
        fetch(published, tmp_path)
    assert names(tmp_path) == ["Set.zip"]


def test_cut_connections_are_resumed(
    server: RangeServer, published: PublishedDataset, tmp_path: Path
) -> None:
    server.answers.cuts = [500_000, 0, 300_000]
    fetch(published, tmp_path)
    assert_complete(tmp_path)
    ranges = [wanted for _, wanted in server.answers.requests]
    assert ranges[0] is None
    starts = [int(str(wanted).removeprefix("bytes=").removesuffix("-")) for wanted in ranges[1:]]
    assert starts == sorted(starts)
    assert 0 < starts[0] <= 500_000
    assert starts[-1] > starts[0]


def test_a_later_run_goes_on_from_the_part(
    server: RangeServer, published: PublishedDataset, tmp_path: Path
) -> None:
    server.answers.cuts = [500_000, 0, 0]
    with pytest.raises(InputError, match=r"check the network .* MB are kept; or get it from https://home"):
        fetch(published, tmp_path, attempts=2)
    assert names(tmp_path) == ["Set.zip.part", "Set.zip.part.version"]
    kept = (tmp_path / "Set.zip.part").stat().st_size
    assert 0 < kept <= 500_000
    assert (tmp_path / "Set.zip.part").read_bytes() == ARCHIVE[:kept]
    server.answers.cuts = []
    fetch(published, tmp_path)
    assert server.answers.requests[-1][1] == f"bytes={kept}-"
    assert_complete(tmp_path)


def test_a_file_that_changed_meanwhile_is_downloaded_anew(
    server: RangeServer, published: PublishedDataset, tmp_path: Path
) -> None:
    server.answers.cuts = [500_000, 0]
    with pytest.raises(InputError):
        fetch(published, tmp_path, attempts=1)
    other = zipped({"Set/01/t000.tif": NOISE[::-1], "Set/01_GT/x": b""})
    server.answers.files["/Set.zip"], server.answers.etag, server.answers.cuts = other, '"two"', []
    fetch(replace(published, known_hash=None), tmp_path)
    assert (tmp_path / "Set" / "01" / "t000.tif").read_bytes() == NOISE[::-1]


@pytest.mark.parametrize("known_hash", [HASH, None], ids=["hash known", "hash unknown"])  # zips hold the time
def test_a_server_without_ranges_or_versions_sends_everything_again(
    server: RangeServer, published: PublishedDataset, tmp_path: Path, known_hash: str | None
) -> None:
    server.answers.ranges, server.answers.etag, server.answers.cuts = False, "", [500_000]
    fetch(replace(published, known_hash=known_hash), tmp_path)
    assert_complete(tmp_path)
    assert (server.answers.requests[-1][1] is None) == (known_hash is None)


def test_a_part_that_is_already_complete_is_taken(
    server: RangeServer, published: PublishedDataset, tmp_path: Path
) -> None:
    (tmp_path / "Set.zip.part").write_bytes(ARCHIVE)
    fetch(published, tmp_path)
    assert_complete(tmp_path)
    assert server.answers.requests == [("/Set.zip", f"bytes={len(ARCHIVE)}-")]


def test_a_part_longer_than_the_file_is_dropped(
    server: RangeServer, published: PublishedDataset, tmp_path: Path
) -> None:
    (tmp_path / "Set.zip.part").write_bytes(ARCHIVE + b"more")
    fetch(published, tmp_path)
    assert_complete(tmp_path)


def test_a_wrong_hash_is_refused(server: RangeServer, published: PublishedDataset, tmp_path: Path) -> None:
    changed = replace(published, known_hash="sha256:" + 64 * "0")
    with pytest.raises(InputError, match=r"is not the one that is known: .*--any-version takes it"):
        fetch(changed, tmp_path)
    assert names(tmp_path) == []
    fetch(changed, tmp_path, any_version=True)
    assert_complete(tmp_path)
    assert f"{HASH} (not checked" in (tmp_path / "Set" / "SOURCE.txt").read_text()


def test_a_damaged_part_is_found_out_by_its_hash(published: PublishedDataset, tmp_path: Path) -> None:
    (tmp_path / "Set.zip.part").write_bytes(b"x" * 1000)
    with pytest.raises(InputError, match="is not the one that is known"):
        fetch(published, tmp_path)
    fetch(published, tmp_path)
    assert_complete(tmp_path)


def test_a_missing_file_is_said_at_once(
    server: RangeServer, published: PublishedDataset, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"does not exist there \(HTTP 404\); or get it from https://home"):
        fetch(replace(published, url=f"{server.url}/Other.zip"), tmp_path)
    assert len(server.answers.requests) == 1
    server.answers.failures = [403]
    with pytest.raises(InputError, match=r"is refused \(HTTP 403\)"):
        fetch(published, tmp_path)


def test_a_busy_server_is_asked_again(
    server: RangeServer, published: PublishedDataset, tmp_path: Path
) -> None:
    server.answers.failures = [503, 429]
    fetch(published, tmp_path)
    assert_complete(tmp_path)
    server.answers.failures = [503, 503]
    shutil.rmtree(tmp_path / "Set")
    with pytest.raises(InputError, match="503"):
        fetch(published, tmp_path, attempts=2)


def test_without_a_network_the_message_says_what_to_do(published: PublishedDataset, tmp_path: Path) -> None:
    unreachable = replace(published, url="http://127.0.0.1:9/Set.zip")
    with pytest.raises(
        InputError, match=r"cannot download from 127\.0\.0\.1:9 .*save it as .*Set\.zip and run"
    ):
        fetch(unreachable, tmp_path, attempts=2)
    assert names(tmp_path) == []


def test_an_interruption_keeps_the_part(
    server: RangeServer,
    published: PublishedDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = requests.Response.iter_content

    def interrupted(self: requests.Response, size: int = 1) -> Iterator[bytes]:
        yield next(whole(self, size))
        raise KeyboardInterrupt

    monkeypatch.setitem(CATALOGUE, "Set", published)
    with monkeypatch.context() as patch:
        patch.setattr(requests.Response, "iter_content", interrupted)
        assert main(["download", "set", "-o", str(tmp_path), "--quiet"]) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert names(tmp_path) == ["Set.zip.part", "Set.zip.part.version"]
    kept = (tmp_path / "Set.zip.part").stat().st_size
    assert main(["download", "set", "-o", str(tmp_path), "--quiet"]) == 0
    assert server.answers.requests[-1][1] == f"bytes={kept}-"
    assert_complete(tmp_path)
    out = capsys.readouterr().out
    assert f"Set is in {tmp_path / 'Set'}, sequences 01" in out
    assert "terms: free for all" in out


def test_an_interruption_while_hashing_loses_nothing(
    server: RangeServer, published: PublishedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pooch.core.hash_matches", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(published, tmp_path)
    assert (tmp_path / "Set.zip.part").read_bytes() == ARCHIVE
    fetch(published, tmp_path)
    assert server.answers.requests[-1][1] == f"bytes={len(ARCHIVE)}-"
    assert_complete(tmp_path)


def test_file_systems_without_links_do_as_well(
    published: PublishedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("torchtrack_uq.datasets.published.resume.os.link", refused)
    fetch(published, tmp_path)
    assert_complete(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_while_writing(published: PublishedDataset, tmp_path: Path) -> None:
    (tmp_path / "Set.zip.part").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"is full: 1\.2 MB more are needed.*what was downloaded is kept"):
        fetch(published, tmp_path)


def test_a_disk_that_is_too_small_is_said_before_writing(
    published: PublishedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"more are needed, 0\.0 MB are free"):
        fetch(published, tmp_path)
    assert names(tmp_path) == []
    (tmp_path / "Set.zip").write_bytes(ARCHIVE)
    with pytest.raises(InputError, match=r"unpacking Set\.zip needs 1\.2 MB"):
        fetch(published, tmp_path)
    assert names(tmp_path) == ["Set.zip"]


def record(server: RangeServer, content: bytes = ARCHIVE, **changes: Any) -> PublishedDataset:
    """A Zenodo record of two files, as the API shows it."""
    entry = {
        "key": "ctc_format.zip",
        "size": len(content),
        "checksum": f"md5:{hashlib.md5(ARCHIVE).hexdigest()}",
        "links": {"self": f"{server.url}/api/records/7/files/ctc_format.zip/content"},
        **changes,
    }
    listed = {"id": 7, "files": [{"key": "videos.zip"}, entry]}
    server.answers.files["/api/records/7"] = json.dumps(listed).encode()
    server.answers.files["/api/records/7/files/ctc_format.zip/content"] = content
    return PublishedDataset(
        "Set", "a set", "CC-BY", "https://home", record=f"{server.url}/api/records/7", file="ctc_format.zip"
    )


def test_a_zenodo_record_tells_place_and_hash(server: RangeServer, tmp_path: Path) -> None:
    fetch(record(server), tmp_path)
    assert_complete(tmp_path)
    with pytest.raises(InputError, match="is not the one that is known: MD5 hash"):
        fetch(record(server, content=ARCHIVE + b"x"), tmp_path / "other")


def test_a_record_that_is_not_as_expected(server: RangeServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lists no ctc_format\.zip, only videos\.zip, new\.zip"):
        fetch(record(server, key="new.zip"), tmp_path)
    with pytest.raises(InputError, match="does not answer as a Zenodo record does"):
        fetch(record(server, links={}), tmp_path)
    dataset = record(server)
    server.answers.files["/api/records/7"] = b"<html>"
    with pytest.raises(InputError, match="does not answer as a Zenodo record does"):
        fetch(dataset, tmp_path)
    del server.answers.files["/api/records/7"]
    with pytest.raises(InputError, match="404"):
        fetch(dataset, tmp_path)
    unreachable = replace(dataset, record="http://127.0.0.1:9/api/records/7")
    with pytest.raises(InputError, match=r"cannot reach .*check the network.* save it as .*Set\.zip and run"):
        fetch(unreachable, tmp_path)
    (tmp_path / "Set.zip").write_bytes(ARCHIVE)
    fetch(unreachable, tmp_path)
    assert_complete(tmp_path)


def test_a_file_in_the_way_is_not_touched(published: PublishedDataset, tmp_path: Path) -> None:
    (tmp_path / "Set").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        fetch(published, tmp_path)
    with pytest.raises(InputError, match="cannot be made"):
        fetch(published, tmp_path / "Set" / "below")
    assert (tmp_path / "Set").read_text() == "mine"
