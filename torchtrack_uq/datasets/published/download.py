"""Download a published data set and unpack it."""

import logging
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pooch  # type: ignore[import-untyped]
import requests

from torchtrack_uq.datasets.published.catalogue import PublishedDataset, find_dataset
from torchtrack_uq.datasets.published.resume import ResumingDownloader
from torchtrack_uq.datasets.published.unpack import unpack_zip
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.claim import claimed, clear_up


def download_dataset(
    dataset: str | PublishedDataset,
    folder: str | os.PathLike[str],
    *,
    any_version: bool = False,
    keep_archive: bool = False,
    progress: bool = True,
    **options: Any,
) -> Path:
    """Download a data set to `FOLDER/NAME`, whose sequences are then `FOLDER/NAME/01`, ...

    The archive grows as `FOLDER/NAME.zip.part`, which stays after an interruption or an error: the next call goes on
    from there. An archive that lies in `FOLDER/NAME.zip` already, from wherever it was fetched, is used. `FOLDER/NAME`
    appears when all of it is unpacked; if it is there, nothing is done.

    Args:
        dataset: A name of the catalogue, or a data set that it does not list.
        folder: Gets the folder NAME.
        any_version: Take the archive whatever its hash is.
        keep_archive: Leave `NAME.zip` after unpacking.
        progress: Show progress bars.
        options: For `ResumingDownloader`: attempts, pause, timeout.

    Returns:
        `FOLDER/NAME`.

    Raises:
        InputError: An unknown name, no network, a file that is not there or has another hash, an archive that
            cannot be unpacked, or a full disk.
    """
    found = find_dataset(dataset) if isinstance(dataset, str) else dataset
    root = Path(folder).expanduser().absolute()
    target, archive = root / found.name, root / f"{found.name}.zip"
    if target.is_dir() and any(target.iterdir()):
        clear_up(target, root)
        return target
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file; the data set needs a folder of that name: choose another -o")
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{root} cannot be made ({error.strerror}); choose another -o") from error
    with claimed(target, root):
        _download_and_unpack(found, target, archive, any_version, keep_archive, progress, options)
    return target


def _download_and_unpack(
    found: PublishedDataset,
    target: Path,
    archive: Path,
    any_version: bool,
    keep_archive: bool,
    progress: bool,
    options: dict[str, Any],
) -> None:
    if found.record is not None and not archive.exists():
        found = look_up_record(found, archive, float(options.get("timeout", 30.0)))
    known_hash = None if any_version else found.known_hash
    if not archive.exists():
        _fetch(found, archive, known_hash, progress, options)
    elif known_hash is not None and not _matches(archive, known_hash):
        raise InputError(
            f"{archive} is not the archive of {found.name} that is known ({known_hash}); remove it to download it "
            "anew, or pass --any-version to use it"
        )
    note = _provenance(found, archive, known_hash)
    unpack_zip(archive, target, finish=lambda new: _write_note(new, note), progress=progress)
    if not keep_archive:
        archive.unlink()


def look_up_record(dataset: PublishedDataset, archive: Path, timeout: float = 30.0) -> PublishedDataset:
    """Ask Zenodo where a record's file is and what its hash is.

    The API's entry has `files`, each with `key`, `size`, `checksum` ("md5:...") and `links.self`.

    Raises:
        InputError: The record cannot be reached, or lists no such file.
    """
    advice = _advice(dataset, archive)
    try:
        response = requests.get(str(dataset.record), timeout=timeout)
        response.raise_for_status()
        files = {str(file["key"]): file for file in response.json()["files"]}
        file = files.get(str(dataset.file))
        if file is None:
            raise InputError(f"{dataset.record} lists no {dataset.file}, only {', '.join(files)}; {advice}")
        return replace(dataset, url=str(file["links"]["self"]), known_hash=str(file["checksum"]))
    except requests.HTTPError as error:
        raise InputError(f"{dataset.record} does not answer ({error}); {advice}") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise InputError(
            f"cannot reach {dataset.record}: check the network and run the same command again; {advice}"
        ) from error
    except (requests.RequestException, KeyError, TypeError) as error:
        raise InputError(
            f"{dataset.record} does not answer as a Zenodo record does ({error!r}); {advice}"
        ) from error


def _fetch(
    dataset: PublishedDataset, archive: Path, known_hash: str | None, progress: bool, options: dict[str, Any]
) -> None:
    downloader = ResumingDownloader(
        archive.with_name(archive.name + ".part"),
        advice=_advice(dataset, archive),
        checked=known_hash is not None,
        progress=progress,
        **options,
    )
    pooch.get_logger().setLevel(logging.WARNING)  # it reports every download, and advises on hashes
    try:
        pooch.retrieve(str(dataset.url), known_hash, archive.name, archive.parent, downloader=downloader)
        downloader.forget()
    except InputError:
        raise
    except ValueError as error:  # pooch's only way to say that a hash is wrong
        downloader.forget()
        raise InputError(
            f"the archive of {dataset.name} is not the one that is known: {str(error).split('. ')[0]}; it was removed. "
            "Run the same command again; if the same hash comes up, the publisher has replaced the archive, and "
            "--any-version takes it"
        ) from error


def _matches(archive: Path, known_hash: str) -> bool:
    algorithm, _, digest = known_hash.rpartition(":")
    return bool(pooch.file_hash(str(archive), alg=algorithm or "sha256") == digest.lower())


def _advice(dataset: PublishedDataset, archive: Path) -> str:
    return f"or get it from {dataset.home} in another way, save it as {archive} and run the command again"


def _provenance(dataset: PublishedDataset, archive: Path, known_hash: str | None) -> str:
    digest = known_hash or f"sha256:{pooch.file_hash(str(archive))} (not checked against a known one)"
    return (
        f"{dataset.name}: {dataset.what}\n{dataset.url or dataset.home}\n{digest}\n"
        f"unpacked {datetime.now(UTC):%Y-%m-%d}\n\n{dataset.terms}\n"
    )


def _write_note(folder: Path, note: str) -> None:
    (folder / "SOURCE.txt").write_text(note, encoding="utf-8")
