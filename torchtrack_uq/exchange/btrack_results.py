"""Results of btrack: what `to_napari` returns, and the CSV and HDF5 files that it exports."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.exchange.csv_tables import column, has, numbers_of, without_flat_z
from torchtrack_uq.exchange.tracks import TrackTable
from torchtrack_uq.utils.optional import import_optional

_SOURCE = "btrack"


def _left_out(n_dummies: int) -> tuple[str, ...]:
    if not n_dummies:
        return ()
    return (f"{n_dummies} dummies, which btrack put where it saw no cell, were left out: links span them",)


def is_napari_triple(source: Any) -> bool:
    """Tracks as napari takes them: data, properties, graph."""
    return (
        isinstance(source, Sequence)
        and len(source) == 3
        and isinstance(source[1], Mapping)
        and isinstance(source[2], Mapping)
    )


def read_napari_triple(
    source: tuple[ArrayLike, Mapping[str, ArrayLike], Mapping[int, Any]], name: str = _SOURCE
) -> TrackTable:
    """What `BayesianTracker.to_napari` returns, and what napari's Tracks layer holds.

    Args:
        source: Data (N, 4) or (N, 5): track, t, (z,) y, x; properties, of which `dummy` marks spots that are no
            detections; graph, the parents of tracks.
        name: What to call it.

    Raises:
        InputError: Another shape; and as `TrackTable`.

    >>> read_napari_triple((np.array([[1, 0, 5, 5], [1, 1, 5, 6]]), {}, {}))
    TrackTable(btrack: 2 spots in frames 0 to 1, 1 links, 0 divisions)
    """
    data, properties, graph = np.asarray(source[0], dtype=np.float64), source[1], source[2]
    if data.ndim != 2 or data.shape[1] not in (4, 5):
        raise InputError(
            f"{name}: data have shape {data.shape}; expected (N, 4) or (N, 5): track, t, (z,) y, x"
        )
    dummy = np.asarray(properties.get("dummy", np.zeros(len(data)))).astype(np.bool_)
    seen = data[~dummy]
    parents = {
        int(child): [int(parent) for parent in np.atleast_1d(np.asarray(above))]
        for child, above in graph.items()
    }
    return _table(seen[:, 1], seen[:, 0], seen[:, 2:], parents, int(dummy.sum()), name)


def is_btrack_csv(tables: Sequence[pd.DataFrame]) -> bool:
    """The columns that btrack exports."""
    return len(tables) == 1 and has(tables[0], "ID", "t", "x", "y", "parent", "dummy")


def read_btrack_csv(tables: Sequence[pd.DataFrame]) -> TrackTable:
    """The table that `BayesianTracker.export("tracks.csv")` writes, with blanks between its columns."""
    table = tables[0]
    dummy = table["dummy"].astype(str).isin(("True", "1", "1.0")).to_numpy()
    seen = table[~dummy]
    track, parent = column(seen, "ID", _SOURCE), column(seen, "parent", _SOURCE)
    parents = {
        int(child): [int(above)]
        for child, above in zip(track, parent, strict=True)
        if child != above and above > 0
    }
    axes = [axis for axis in "zyx" if has(seen, axis)]
    coords = np.stack([numbers_of(seen, axis, _SOURCE) for axis in axes], axis=1)
    return _table(column(seen, "t", _SOURCE), track, coords, parents, int(dummy.sum()), _SOURCE)


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does."""
    with path.open("rb") as stream:
        return stream.read(8) == b"\x89HDF\r\n\x1a\n"


def _opened(h5py: Any, path: Path) -> Any:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path} cannot be read as HDF5: {error}") from error


def read_btrack_hdf5(path: Path) -> TrackTable:
    """The file that `BayesianTracker.export("tracks.h5")` writes; of several types of objects the first tracked one.

    Layout: `btrack.io.hdf.HDF5FileHandler`.

    Raises:
        InputError: h5py is not installed, or the file has no tracks.
    """
    h5py = import_optional("h5py", "exchange", "reading btrack's HDF5 files")
    try:
        coords, refs, runs, table, filtered = _arrays(h5py, path)
    except InputError:
        raise
    except Exception as error:  # whatever HDF5 meets in a damaged file
        raise InputError(f"{path} cannot be read as btrack's HDF5 file: {error}") from error
    if filtered:
        raise InputError(
            f"{path} holds tracks of filtered objects, whose numbers count what the filter kept; give what "
            "tracker.to_napari() returns in place of the file"
        )
    steps = runs[:, 1] - runs[:, 0]
    if len(runs) != len(table) or (steps < 0).any() or steps.sum() != len(refs):
        raise InputError(
            f"{path}: {len(table)} tracks list {steps.clip(min=0).sum()} objects, but there are {len(refs)}; the file "
            "is not complete"
        )
    track = np.repeat(table[:, 0], steps)
    seen = refs >= 0  # dummies count from -1 down
    if seen.any() and refs.max() >= len(coords):
        raise InputError(
            f"{path}: tracks name object {refs.max()} of {len(coords)}; the file is not complete"
        )
    spots = coords[refs[seen]]
    parents = {int(row[0]): [int(row[3])] for row in table if row[3] not in (0, row[0])}
    return _table(spots[:, 0], track[seen], spots[:, [3, 2, 1]], parents, int((~seen).sum()), _SOURCE)


def _arrays(h5py: Any, path: Path) -> tuple[Any, ...]:
    """Objects, what tracks name, where each track's begin and end, their LBEPR, and whether objects were filtered."""
    with _opened(h5py, path) as file:
        kinds = sorted(file["tracks"]) if "tracks" in file else []
        if not kinds or "objects" not in file:
            raise InputError(f"{path} holds no objects and tracks of btrack; export them with tracker.export")
        tracks, objects = file["tracks"][kinds[0]], file["objects"][kinds[0]]
        coords = objects["coords"][:].astype(np.float64).reshape(-1, 5)
        refs, runs = (
            tracks["tracks"][:].astype(np.int64).ravel(),
            tracks["map"][:].astype(np.int64).reshape(-1, 2),
        )
        table = tracks["LBEPR"][:].astype(np.int64)
        return coords, refs, runs, table.reshape(len(table), -1)[:, :4], "f_expr" in tracks.attrs


def _table(
    frame: NDArray[Any],
    track: NDArray[Any],
    coords: NDArray[np.float64],
    parents: Mapping[int, Sequence[int]],
    n_dummies: int,
    name: str,
) -> TrackTable:
    seen = set(np.unique(track).tolist())
    kept = {child: above for child, above in parents.items() if child in seen}
    return TrackTable.from_runs(
        name, frame, track, kept, coords=without_flat_z(coords), notes=_left_out(n_dummies)
    )
