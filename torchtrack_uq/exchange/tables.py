"""Results that are tables, of LapTrack, trackpy, TrackMate, Mastodon, napari, ultrack and Trackastra."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.exchange.csv_tables import (
    check_single,
    column,
    coordinates,
    has,
    numbers_of,
    unit_of,
    without_flat_z,
)
from torchtrack_uq.exchange.tracks import TrackTable

Tables = Sequence[pd.DataFrame]


def _labels(table: pd.DataFrame, source: str) -> NDArray[np.int64] | None:
    """Labels of cells in their masks; None where a column of that name holds something else, such as classes."""
    if not has(table, "label"):
        return None
    try:
        labels = column(table, "label", source)
    except InputError:
        return None
    each = np.stack([column(table, "frame", source), labels], axis=1)
    return labels if len(np.unique(each, axis=0)) == len(each) and labels.min(initial=1) > 0 else None


def _parents(links: pd.DataFrame | None, source: str) -> list[tuple[int, int]]:
    if links is None or not len(links):
        return []
    ends = (column(links, name, source).tolist() for name in ("child_track_id", "parent_track_id"))
    return list(zip(*ends, strict=True))


def is_laptrack(tables: Tables) -> bool:
    """`track_df`, with `split_df` and `merge_df` if there are any."""
    return has(tables[0], "frame", "track_id", "tree_id")


def read_laptrack(tables: Tables) -> TrackTable:
    """What `LapTrack.predict_dataframe` returns, `track_df`, `split_df`, `merge_df`, or the CSVs they were saved to.

    The index of `track_df` is (frame, index); `label` is used where it is a column. Cells of a track follow each other,
    over gaps too; `split_df` says which track divided into which, `merge_df` which ran into which.

    Raises:
        InputError: Trees of several tracks without the tables that say how these hang together; and as `TrackTable`.

    >>> where = {"frame": [0, 1], "y": [5.0, 6.0], "x": [5.0, 5.0]}
    >>> read_laptrack([pd.DataFrame({**where, "track_id": [0, 0], "tree_id": [0, 0]})])
    TrackTable(LapTrack: 2 spots in frames 0 to 1, 1 links, 0 divisions)
    """
    spots, source = tables[0], "LapTrack"
    track, tree = (column(spots, name, source) for name in ("track_id", "tree_id"))
    pairs = [pair for table in tables[1:] for pair in _parents(table, source)]
    n_roots = len(np.unique(tree))
    if len(tables) == 1 and len(np.unique(track)) > n_roots:
        raise InputError(
            f"{source}: {len(np.unique(track))} tracks belong to {n_roots} trees, so some divide or merge; give "
            "split_df and merge_df as well: (track_df, split_df, merge_df), or all three files"
        )
    parents: dict[int, list[int]] = {}
    for child, parent in pairs:
        parents.setdefault(child, []).append(parent)
    return TrackTable.from_runs(
        source,
        column(spots, "frame", source),
        track,
        parents,
        coords=coordinates(spots, source),
        label=_labels(spots, source),
    )


def is_trackpy(tables: Tables) -> bool:
    """One table of `frame`, `particle` and positions."""
    return len(tables) == 1 and has(tables[0], "frame", "particle")


def read_trackpy(tables: Tables) -> TrackTable:
    """What `trackpy.link` returns: columns `frame`, `particle` and (`z`,) `y`, `x`; particles never divide.

    >>> read_trackpy([pd.DataFrame({"frame": [0, 1], "particle": [0, 0], "y": [5.0, 6.0], "x": [5.0, 5.0]})])
    TrackTable(trackpy: 2 spots in frames 0 to 1, 1 links, 0 divisions)
    """
    spots, source = tables[0], "trackpy"
    return TrackTable.from_runs(
        source,
        column(spots, "frame", source),
        column(spots, "particle", source),
        {},
        coords=coordinates(spots, source),
        label=_labels(spots, source),
    )


def is_trackmate_csv(tables: Tables) -> bool:
    """The tables of spots and of edges."""
    return any(has(table, "SPOT_SOURCE_ID", "SPOT_TARGET_ID") for table in tables) or has(
        tables[0], "TRACK_ID", "POSITION_X"
    )


def read_trackmate_csv(tables: Tables) -> TrackTable:
    """The tables of spots and of edges that TrackMate exports, in any order; further header rows may be there still.

    Format: https://imagej.net/plugins/trackmate/analyzing-results-with-trackmate#exporting-results-to-csv. Positions
    are in the units of the fourth row.

    Raises:
        InputError: One of the two tables is missing; and as `TrackTable`.
    """
    source = "TrackMate"
    spots = next((table for table in tables if has(table, "ID", "FRAME", "POSITION_X", "POSITION_Y")), None)
    edges = next((table for table in tables if has(table, "SPOT_SOURCE_ID", "SPOT_TARGET_ID")), None)
    if spots is None or edges is None:
        missing = (
            "edges (SPOT_SOURCE_ID, SPOT_TARGET_ID)" if edges is None else "spots (ID, FRAME, POSITION_X)"
        )
        raise InputError(f"{source}: the table of {missing} is missing; give both tables, spots and edges")
    unit = spots.attrs.get("unit")
    spots, edges = _numbers(spots, _SPOTS, source), _numbers(edges, _EDGES, source)
    track = np.full(len(spots), -1)
    if "TRACK_ID" in spots:
        named = spots["TRACK_ID"].astype(object)
        none = named.isna() | named.astype(str).str.strip().isin(["None", ""])
        track = column(spots.assign(TRACK_ID=named.mask(none, -1)), "TRACK_ID", source)
    return TrackTable.from_ids(
        source,
        column(spots, "ID", source),
        column(edges, "SPOT_SOURCE_ID", source),
        column(edges, "SPOT_TARGET_ID", source),
        frame=column(spots, "FRAME", source),
        coords=without_flat_z(coordinates(spots, source)),
        track=track,
        unit=unit_of(unit),
    )


_SPOTS = ("ID", "TRACK_ID", "FRAME", "POSITION_Z", "POSITION_Y", "POSITION_X")
_EDGES = ("SPOT_SOURCE_ID", "SPOT_TARGET_ID")


def _numbers(table: pd.DataFrame, names: Sequence[str], source: str) -> pd.DataFrame:
    """Some columns, the first of them an id, without rows of words below the header, as `pandas.read_csv` leaves them.

    Raises:
        InputError: Two columns have one of these names.
    """
    check_single(table, names, source)
    table = table[[name for name in names if name in table.columns]]
    if table[names[0]].dtype.kind in "iuf":
        return table
    kept = table[pd.to_numeric(table[names[0]], errors="coerce").notna()]
    return pd.DataFrame({name: _numbers_or_words(kept[name]) for name in kept.columns})


def _numbers_or_words(values: "pd.Series[Any]") -> "pd.Series[Any]":
    numbers = pd.to_numeric(values, errors="coerce")
    is_word = numbers.isna() & values.notna() & (values != "")
    return values if is_word.any() else numbers


def is_mastodon(tables: Tables) -> bool:
    """`MastodonTable-Spot.csv` and `MastodonTable-Link.csv`."""
    return any(_mastodon_spots(table) or _mastodon_links(table) for table in tables)


def _mastodon_spots(table: pd.DataFrame) -> bool:
    return has(table, "ID", "Spot frame", "Spot position X", "Spot position Y")


def _mastodon_links(table: pd.DataFrame) -> bool:
    return has(table, "Link target IDs Source spot id", "Link target IDs Target spot id")


def read_mastodon(tables: Tables) -> TrackTable:
    """The tables of spots and of links that Mastodon exports (`MastodonTable-Spot.csv`, `MastodonTable-Link.csv`).

    Needs the features Spot frame, Spot position and Link target IDs; compute these before the export. Positions are in
    the units of the third row.

    Raises:
        InputError: One of the two tables is missing; and as `TrackTable`.
    """
    source = "Mastodon"
    spots = next((table for table in tables if _mastodon_spots(table)), None)
    links = next((table for table in tables if _mastodon_links(table)), None)
    if spots is None or links is None:
        missing = "links (Link target IDs)" if links is None else "spots (Spot frame, Spot position)"
        raise InputError(f"{source}: the table of {missing} is missing; give both tables, spots and links")
    names = [name for name in ("Spot position Z", "Spot position Y", "Spot position X") if name in spots]
    return TrackTable.from_ids(
        source,
        column(spots, "ID", source),
        column(links, "Link target IDs Source spot id", source),
        column(links, "Link target IDs Target spot id", source),
        frame=column(spots, "Spot frame", source),
        coords=without_flat_z(np.stack([numbers_of(spots, name, source) for name in names], axis=1)),
        unit=unit_of(spots.attrs.get("unit")),
    )


def is_edge_table(tables: Tables) -> bool:
    """Trackastra's table of edges."""
    return len(tables) == 1 and has(tables[0], "source_frame", "source_label", "target_frame", "target_label")


def read_edge_table(tables: Tables) -> TrackTable:
    """What `trackastra.tracking.graph_to_edge_table` writes: frames and labels of both ends of each edge.

    Cells without any edge are not in it, and neither are positions: it goes with the masks that were tracked.

    >>> edges = {"source_frame": [0], "source_label": [7], "target_frame": [1], "target_label": [9], "weight": [0.8]}
    >>> read_edge_table([pd.DataFrame(edges)]).label
    array([7, 9])
    """
    source, edges = "Trackastra", tables[0]
    ends = [
        np.stack([column(edges, f"{end}_{name}", source) for name in ("frame", "label")], axis=1)
        for end in ("source", "target")
    ]
    spots, row = np.unique(np.concatenate(ends), axis=0, return_inverse=True)
    row = row.reshape(-1)
    return TrackTable(
        source,
        spots[:, 0],
        None,
        mother=row[: len(edges)],
        daughter=row[len(edges) :],
        label=spots[:, 1],
        notes=("cells without any link are not in a table of edges; their starts and ends are not judged",),
    )


def is_napari_table(tables: Tables) -> bool:
    """One table of `track_id`, `t` and positions, as napari, ultrack and others write it."""
    return len(tables) == 1 and has(tables[0], "track_id", "t")


def read_napari_table(tables: Tables) -> TrackTable:
    """A table of `track_id`, `t`, (`z`,) `y`, `x`, and `parent_track_id` where tracks divide, as ultrack exports it.

    Parents of -1, 0 or nothing mean none, as long as no track is called so.

    >>> table = {"track_id": [1, 2], "t": [0, 1], "y": [5.0, 6.0], "x": [5.0, 5.0], "parent_track_id": [-1, 1]}
    >>> read_napari_table([pd.DataFrame(table)])
    TrackTable(napari or ultrack: 2 spots in frames 0 to 1, 1 links, 0 divisions)
    """
    spots, source = tables[0], "napari or ultrack"
    track = column(spots, "track_id", source)
    parents: dict[int, list[int]] = {}
    if has(spots, "parent_track_id"):
        above = column(spots.fillna({"parent_track_id": -1}), "parent_track_id", source)
        real = (above != -1) & ((above != 0) | np.isin(0, track))
        parents = {int(child): [int(parent)] for child, parent in zip(track[real], above[real], strict=True)}
    return TrackTable.from_runs(
        source, column(spots, "t", source), track, parents, coords=coordinates(spots, source)
    )
