"""Tracks in geff, the graph exchange file format."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.exchange.tracks import TrackTable
from torchtrack_uq.utils.json_text import parse_json
from torchtrack_uq.utils.optional import import_optional

_TIMES = ("t", "time", "frame")
_LABELS = ("label", "seg_id", "segmentation_id", "segment_id")
_TRACKS = ("track", "track_id", "tracklet", "tracklet_id")
_PIXELS = (None, "pixel", "pixels", "voxel", "px")


def find_geff(path: Path) -> Path | None:
    """The geff group that a folder is, or `tracks.geff` or the only one that lies in it; None if there is none.

    Raises:
        InputError: There are several.
    """
    if _is_group(path):
        return path
    found = sorted(child for child in path.iterdir() if child.is_dir() and _is_group(child))
    if (ours := path / "tracks.geff") in found:  # beside it lies the one of all candidate links
        return ours
    if len(found) > 1:
        raise InputError(f"{path} holds {len(found)} geff graphs; name one, such as {found[0]}")
    return found[0] if found else None


def _is_group(path: Path) -> bool:
    for name in ("zarr.json", ".zattrs"):
        try:
            content = parse_json((path / name).read_bytes())
        except (OSError, ValueError):
            continue
        attributes = content.get("attributes", content) if isinstance(content, dict) else None
        if isinstance(attributes, dict) and "geff" in attributes:
            return True
    return False


def read_geff(path: Path) -> TrackTable:
    """Read a geff graph: its axes, and its labels and tracks where properties are called so.

    Time is the axis of type "time", positions are those of type "space"; without axes, properties `t` and (`z`,) `y`,
    `x`. Labels are the label property that related objects name, or a property `label`, `seg_id` or `segmentation_id`.
    Format: https://liveimagetrackingtools.org/geff, read by its own library.

    Args:
        path: Folder of the zarr group.

    Raises:
        InputError: geff is not installed, the file is not valid, the graph is undirected, or it has no time or place.
    """
    core = import_optional("geff.core_io", "files", "reading a geff graph")
    try:
        graph = core.read_to_memory(path)
    except Exception as error:  # geff, zarr and pydantic raise errors of many kinds at what is not valid
        raise InputError(f"{path} is no valid geff graph: {error}") from error
    metadata, properties = graph["metadata"], graph["node_props"]
    if not metadata.directed:
        raise InputError(f"{path}: the graph is undirected; expected edges from mother to daughter")
    axes = list(metadata.axes or [])
    time = next((axis.name for axis in axes if axis.type == "time"), None) or _first(properties, _TIMES)
    space = [axis for axis in axes if axis.type == "space"]
    names = [axis.name for axis in space] or [axis for axis in "zyx" if axis in properties]
    if time is None or len(names) not in (2, 3):
        raise InputError(
            f"{path}: nodes have {', '.join(properties) or 'no properties'}; expected an axis of time and two or three "
            "of space"
        )
    names = [name for axis in "zyx" for name in names if name.lower() == axis] or names
    related = [getattr(item, "label_prop", None) for item in metadata.related_objects or []]
    label = next((name for name in related if name in properties), None) or _first(properties, _LABELS)
    track = _first(properties, _TRACKS)
    units = {axis.unit for axis in space}
    edges = np.asarray(graph["edge_ids"]).astype(np.int64).reshape(-1, 2)
    labels = None if label is None else _values(path, properties, label)
    if labels is not None and (labels.dtype.kind not in "iu" or (labels <= 0).any()):
        labels = None
    columns: dict[str, Any] = {} if track is None else {"track": _values(path, properties, track)}
    return TrackTable.from_ids(
        "geff",
        np.asarray(graph["node_ids"]).astype(np.int64),
        edges[:, 0],
        edges[:, 1],
        frame=_values(path, properties, time),
        coords=np.stack([_values(path, properties, name) for name in names], axis=1),
        label=labels,
        unit="pixel" if all(unit in _PIXELS for unit in units) else str(sorted(map(str, units))[0]),
        **columns,
    )


def _first(properties: Any, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in properties), None)


def _values(path: Path, properties: Any, name: str) -> NDArray[Any]:
    found = properties[name]
    missing = found["missing"]
    if missing is not None and np.asarray(missing).any():
        raise InputError(
            f"{path}: property {name} is missing for {int(np.asarray(missing).sum())} nodes; expected it of every node"
        )
    return np.asarray(found["values"])
