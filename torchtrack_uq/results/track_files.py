"""Tracks as one file for another program."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from torchtrack_uq.errors import InputError
from torchtrack_uq.results.parquet import write_parquet
from torchtrack_uq.results.saved_tracks import SavedTracks
from torchtrack_uq.results.track_csv import mastodon_table, napari_table
from torchtrack_uq.results.trackmate_xml import trackmate_xml
from torchtrack_uq.utils.files import staged_file


def export_tracks(tracks: SavedTracks, to: str, file: Path, *, overwrite: bool = False) -> None:
    """Write tracks as one file, whole or not at all.

    Args:
        tracks: `SavedTracks.of(result)` or `SavedTracks.read(folder)`.
        to: One of `FORMATS`.
        file: Where to.
        overwrite: Whether to replace a file that is there.

    Raises:
        InputError: An unknown format, a file that is there, or a format whose library is not installed.

    >>> import tempfile
    >>> import numpy as np
    >>> from torchtrack_uq import OverlapTracker, UncertainTracker
    >>> masks = np.zeros((2, 32, 32), np.uint16)
    >>> masks[:, 8:14, 8:14] = 5
    >>> result = UncertainTracker(OverlapTracker()).track(None, masks, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_tracks(SavedTracks.of(result), "mastodon", Path(folder) / "tracks.csv")
    ...     print((Path(folder) / "tracks.csv").read_text().split()[0])
    id,parent_id,frame,x,y,z,radius,label,quality,tag
    """
    if to not in FORMATS:
        raise InputError(f"format {to!r} is unknown; expected one of {', '.join(FORMATS)}")
    with staged_file(file, overwrite=overwrite) as staging:
        FORMATS[to](tracks, staging)


def _napari(tracks: SavedTracks, file: Path) -> None:
    _csv(napari_table(tracks), file)


def _mastodon(tracks: SavedTracks, file: Path) -> None:
    _csv(mastodon_table(tracks), file)


def _trackmate(tracks: SavedTracks, file: Path) -> None:
    file.write_text(trackmate_xml(tracks), encoding="utf-8", errors="replace")  # names that are no text


def _parquet(tracks: SavedTracks, file: Path) -> None:
    write_parquet(file, tracks.links)


def _csv(table: pd.DataFrame, file: Path) -> None:
    table.to_csv(file, index=False, float_format="%.9g", lineterminator="\n")


FORMATS: dict[str, Callable[[SavedTracks, Path], None]] = {
    "napari-csv": _napari,
    "mastodon": _mastodon,
    "trackmate": _trackmate,
    "parquet": _parquet,
}
"""What writes each format; `torchtrack-uq export --help` says who reads it."""
