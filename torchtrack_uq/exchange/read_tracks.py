"""The one reader of other trackers' results, told apart by what they hold."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd

from torchtrack_uq.errors import InputError
from torchtrack_uq.exchange.btrack_results import (
    is_btrack_csv,
    is_hdf5,
    is_napari_triple,
    read_btrack_csv,
    read_btrack_hdf5,
    read_napari_triple,
)
from torchtrack_uq.exchange.csv_tables import read_csv
from torchtrack_uq.exchange.ctc_folder import is_ctc_folder, read_ctc_folder
from torchtrack_uq.exchange.geff_graph import find_geff, read_geff
from torchtrack_uq.exchange.graphs import read_networkx_tracks
from torchtrack_uq.exchange.tables import (
    is_edge_table,
    is_laptrack,
    is_mastodon,
    is_napari_table,
    is_trackmate_csv,
    is_trackpy,
    read_edge_table,
    read_laptrack,
    read_mastodon,
    read_napari_table,
    read_trackmate_csv,
    read_trackpy,
)
from torchtrack_uq.exchange.trackmate_file import is_trackmate_xml, read_trackmate_xml
from torchtrack_uq.exchange.tracks import TrackTable


@dataclass(frozen=True)
class TableFormat:
    """One format that is a table or some.

    Attributes:
        name: What to call it.
        recognises: Whether tables are in this format.
        read: Reads them.
    """

    name: str
    recognises: Callable[[Sequence[pd.DataFrame]], bool]
    read: Callable[[Sequence[pd.DataFrame]], TrackTable]


TABLES = [
    TableFormat("TrackMate CSV (spots and edges)", is_trackmate_csv, read_trackmate_csv),
    TableFormat("Mastodon CSV (spots and links)", is_mastodon, read_mastodon),
    TableFormat("LapTrack (track_df, split_df, merge_df)", is_laptrack, read_laptrack),
    TableFormat("trackpy", is_trackpy, read_trackpy),
    TableFormat("btrack CSV", is_btrack_csv, read_btrack_csv),
    TableFormat("Trackastra's edges", is_edge_table, read_edge_table),
    TableFormat("napari or ultrack tracks", is_napari_table, read_napari_table),
]
"""Formats of tables, tried in order."""
_OTHERS = "TrackMate XML, btrack HDF5, geff, Cell Tracking Challenge folder"


def read_tracks(
    source: Any,
    *,
    pixel_size: float | Sequence[float] | None = None,
    first_frame: int = 0,
    progress: bool = True,
) -> TrackTable:
    """Read a finished tracking, whatever made it.

    Args:
        source: A file or a folder: TrackMate XML, btrack HDF5, a geff graph, a Cell Tracking Challenge result, or a CSV
            of LapTrack, trackpy, btrack, Trackastra (edges), ultrack or napari; several files where a format has
            several tables (TrackMate's spots and edges, Mastodon's spots and links, LapTrack's tracks, splits and
            merges), or the folder that holds the two of Mastodon. Or in memory: a DataFrame, or several;
            what btrack's `to_napari` returns; a networkx graph; a `TrackTable`.
        pixel_size: Size of a pixel in the units of the coordinates, one number or one an axis ((z,) y, x), where these
            are not pixels. TrackMate's XML states it.
        first_frame: What the first frame is called there, 1 for formats that count from 1.
        progress: Whether to show progress bars.

    Raises:
        InputError: No format that is known, or a file that contradicts itself.

    >>> read_tracks(pd.DataFrame({"frame": [0, 1], "particle": [0, 0], "y": [5.0, 6.0], "x": [5.0, 5.0]}))
    TrackTable(trackpy: 2 spots in frames 0 to 1, 1 links, 0 divisions)
    """
    if isinstance(source, list | tuple) and len(source) == 1:
        source = source[0]
    if isinstance(source, TrackTable):
        table = source
    elif isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        if path.is_file() and is_trackmate_xml(path):  # states the size itself
            return read_trackmate_xml(path, pixel_size).from_frame(first_frame)
        table = _from_path(path, progress)
    elif isinstance(source, nx.Graph):
        table = read_networkx_tracks(source)
    elif isinstance(source, pd.DataFrame):
        table = _from_tables([source], "the table")
    elif is_napari_triple(source):
        table = read_napari_triple(source)
    elif isinstance(source, Sequence) and source:
        table = _from_several(source)
    else:
        raise InputError(f"a {type(source).__name__} is no tracking; expected {_expected()}")
    return table.in_pixels(pixel_size).from_frame(first_frame)


def _from_several(source: Sequence[Any]) -> TrackTable:
    tables, names = [], []
    for item in source:
        if isinstance(item, pd.DataFrame):
            tables.append(item)
        elif isinstance(item, str | os.PathLike) and Path(item).is_file():
            tables.append(_csv(Path(item)))
            names.append(str(item))
        elif item is not None:
            raise InputError(f"{item!r} is no table and no file; expected the tables of one tracking")
    return _from_tables(tables, " and ".join(names) or "these tables")


def _from_path(path: Path, progress: bool) -> TrackTable:
    if not path.exists():
        raise InputError(f"{path} does not exist; expected a finished tracking")
    if path.is_dir():
        return _from_folder(path, progress)
    if is_hdf5(path):
        return read_btrack_hdf5(path)
    return _from_tables([_csv(path)], str(path))


def _from_folder(path: Path, progress: bool) -> TrackTable:
    ours_of_points = (path / "tracks.geff").is_dir() and not any(path.glob("mask*.tif"))
    if is_ctc_folder(path) and not ours_of_points:
        return read_ctc_folder(path, progress=progress)
    group = find_geff(path)
    if group is not None:
        return read_geff(group)
    pair = [path / f"MastodonTable-{name}.csv" for name in ("Spot", "Link")]
    if all(file.is_file() for file in pair):
        return _from_tables([_csv(file) for file in pair], str(path))
    raise InputError(
        f"{path} is no tracking that is known: it has no res_track.txt, is no geff graph, and holds no "
        "MastodonTable-Spot.csv with MastodonTable-Link.csv"
    )


def _csv(path: Path) -> pd.DataFrame:
    with path.open("rb") as stream:
        start = stream.read(1024)
    if b"\0" in start and not start.startswith((b"\x1f\x8b", b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path} is no tracking that is known; expected {_expected()}")
    return read_csv(path)


def _from_tables(tables: Sequence[pd.DataFrame], name: str) -> TrackTable:
    found = next(
        (one for one in TABLES if any(one.recognises([t, *_without(tables, t)]) for t in tables)), None
    )
    if found is None:
        columns = ", ".join(map(str, [*tables[0].columns][:12]))
        raise InputError(
            f"{name} with columns {columns} is no tracking that is known; expected {_expected()}; spots that "
            "nobody linked yet are tracked by torchtrack-uq track --points FILE"
        )
    first = next(t for t in tables if found.recognises([t, *_without(tables, t)]))
    return found.read([first, *_without(tables, first)])


def _without(tables: Sequence[pd.DataFrame], one: pd.DataFrame) -> list[pd.DataFrame]:
    return [table for table in tables if table is not one]


def _expected() -> str:
    return f"one of {', '.join(one.name for one in TABLES)}, {_OTHERS}"
