"""Readers of annotated movies and of other trackers' results."""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tests.exchange.small_movie import LINEAGE, as_spots, small_masks
from tests.exchange.written import mastodon_csv, trackmate_csv, trackmate_xml, ultrack_table
from tests.fuzz.target import Target
from tests.support.exchange import gap_and_division
from torchtrack_uq.datasets.ctc import read_ctc_sequence
from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.lineage import Lineage
from torchtrack_uq.datasets.points import read_points_movie
from torchtrack_uq.datasets.published.unpack import unpack_zip
from torchtrack_uq.exchange import TrackTable, read_tracks

BTRACK = Path(__file__).parents[1] / "exchange" / "files"
ROWS = "".join(" ".join(map(str, row)) + "\n" for row in LINEAGE)


def _tracks(source: Any) -> TrackTable:
    """Read, and look at everything that a result promises."""
    table = read_tracks(source, progress=False)
    n = len(table)
    assert table.frame.min() >= 0
    assert (table.gap > 0).all()
    assert table.coords is None or (np.isfinite(table.coords).all() and len(table.coords) == n)
    assert table.n_daughters.sum() == table.n_mothers.sum() == len(table.mother)
    return table


def _movie(movie: AnnotatedMovie) -> AnnotatedMovie:
    mother = np.asarray(movie.mother)
    cells = movie.detections
    daughter = np.flatnonzero(mother >= 0)
    assert (cells.frame[mother[daughter]] < cells.frame[daughter]).all()
    assert np.isfinite(cells.coords).all()
    return movie


def _ctc(folder: Path) -> None:
    annotation = folder / "set" / "01_GT" / "TRA"
    annotation.mkdir(parents=True)
    for t, mask in enumerate(small_masks()):
        tifffile.imwrite(annotation / f"man_track{t:03d}.tif", mask, compression="zlib")
    (annotation / "man_track.txt").write_text(ROWS)


def _ctc_result(folder: Path) -> None:
    for t, mask in enumerate(small_masks()):
        tifffile.imwrite(folder / f"mask{t:03d}.tif", mask, compression="zlib")
    (folder / "res_track.txt").write_text(ROWS)


def _points_movie(suffix: str) -> Any:
    def write(folder: Path) -> None:
        table = as_spots().rename(columns={"label": "track"})
        table.to_csv(folder / f"points.csv{suffix}", index=False)
        (folder / "man_track.txt").write_text(ROWS)

    return write


def _zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Set/01_GT/TRA/man_track.txt", ROWS)
        archive.writestr("Set/01/t000.tif", bytes(5000))


def _unpack(folder: Path) -> None:
    """Unpacked into its folder or not at all."""
    before = {file.name for file in folder.iterdir()}
    try:
        unpack_zip(folder / "a.zip", folder / "deep" / "down" / "out", progress=False)
    finally:
        assert {file.name for file in folder.iterdir()} <= before | {"deep"}
        inside = {str(file.relative_to(folder / "deep")) for file in (folder / "deep").rglob("*")}
        assert all(name == "down" or name.startswith("down/out") for name in inside), inside


def _geff(folder: Path) -> None:
    result = gap_and_division()
    result.save(folder / "saved", progress=False)
    shutil.copytree(folder / "saved" / "tracks.geff", folder / "g.geff")
    shutil.rmtree(folder / "saved")


def _spots(folder: Path) -> Any:
    return as_spots().assign(particle=lambda table: table["label"]).to_csv(folder / "t.csv")


def _laptrack(folder: Path) -> None:
    spots = as_spots().rename(columns={"label": "track_id"})
    spots.assign(tree_id=spots["track_id"].replace({3: 2, 4: 2})).to_csv(folder / "track.csv", index=False)
    (folder / "split.csv").write_text("parent_track_id,child_track_id\n2,3\n2,4\n")


TARGETS = [
    Target(
        "man_track.txt",
        lambda folder: (folder / "m.txt").write_text(ROWS),
        lambda f: Lineage.read(f / "m.txt"),
    ),
    Target(
        "CTC annotation",
        _ctc,
        lambda folder: _movie(read_ctc_sequence(folder / "set" / "01", progress=False)),
    ),
    Target("points movie", _points_movie(""), lambda folder: _movie(read_points_movie(folder))),
    Target("points movie, gzip", _points_movie(".gz"), lambda folder: _movie(read_points_movie(folder))),
    Target("archive", _zip, _unpack),
    Target("TrackMate XML", lambda folder: trackmate_xml(folder / "t.xml"), lambda f: _tracks(f / "t.xml")),
    Target("TrackMate CSV", trackmate_csv, lambda f: _tracks([f / "spots.csv", f / "edges.csv"])),
    Target("Mastodon CSV", mastodon_csv, _tracks),
    Target("LapTrack CSV", _laptrack, lambda f: _tracks([f / "track.csv", f / "split.csv"])),
    Target("trackpy CSV", _spots, lambda folder: _tracks(folder / "t.csv")),
    Target(
        "ultrack CSV",
        lambda folder: ultrack_table().to_csv(folder / "t.csv", index=False),
        lambda folder: _tracks(folder / "t.csv"),
    ),
    Target(
        "btrack CSV",
        lambda folder: shutil.copy(BTRACK / "btrack.csv", folder),
        lambda f: _tracks(f / "btrack.csv"),
    ),
    Target(
        "btrack HDF5",
        lambda folder: shutil.copy(BTRACK / "btrack.h5", folder),
        lambda f: _tracks(f / "btrack.h5"),
    ),
    Target("geff", _geff, lambda folder: _tracks(folder / "g.geff")),
    Target("CTC result", _ctc_result, _tracks),
]
