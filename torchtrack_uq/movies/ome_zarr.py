"""OME-Zarr images (NGFF 0.1 to 0.5), and zarr arrays that say nothing; read chunk by chunk, at full resolution."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.arrays import ArrayFrames
from torchtrack_uq.movies.axes import ArrayHeader, unstated_axes
from torchtrack_uq.movies.options import ReadOptions
from torchtrack_uq.movies.units import micrometres, seconds
from torchtrack_uq.utils.optional import import_optional

_MARKERS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a zarr array or group, of either version of the format."""
    return any((folder / marker).is_file() for marker in _MARKERS)


def has_labels(folder: Path) -> bool:
    """Whether an OME-Zarr brings label images."""
    labels = folder / "labels"
    return is_zarr(folder) and labels.is_dir() and any(is_zarr(child) for child in labels.iterdir())


def open_zarr(folder: Path, options: ReadOptions) -> ArrayFrames:
    """Open the image of an OME-Zarr, or for masks its labels where it has any.

    Args:
        folder: The folder of an image, of one of its labels (`image.zarr/labels/cells`), or of a plain array.
        options: What a person said of it.

    Raises:
        InputError: It holds no image, several of which none was chosen, or axes that do not make a movie.
    """
    zarr = import_optional("zarr", "files", "reading a zarr folder")
    try:
        node = zarr.open(str(folder), mode="r")
        if isinstance(node, zarr.Group):
            node, name = _image(node, folder, options)
            header, array = _multiscale(node, name)
        else:
            shape = tuple(int(size) for size in node.shape)
            name, array = str(folder), node
            header = ArrayHeader(unstated_axes(len(shape)), shape, np.dtype(node.dtype), "zarr")
    except InputError:
        raise
    except Exception as error:  # whatever zarr meets in a damaged folder
        raise InputError(f"{folder} cannot be read as zarr: {error}") from error
    return ArrayFrames(array, name, header, options)


def _image(group: Any, folder: Path, options: ReadOptions) -> tuple[Any, str]:
    """The group with the multiscales that are meant, and its name."""
    metadata = _metadata(group)
    if "plate" in metadata or "well" in metadata:
        raise InputError(
            f"{folder} is a plate or well; give the folder of one of its images, such as {folder}/0"
        )
    if "multiscales" not in metadata:
        scenes = sorted(name for name, _ in group.groups() if name.isdecimal())
        if not scenes:
            raise InputError(
                f"{folder} is zarr without an image that says so (OME multiscales); expected OME-Zarr"
            )
        if options.scene is None and len(scenes) > 1:
            raise InputError(
                f"{folder} holds {len(scenes)} images; choose one with --scene, from 1 to {len(scenes)}"
            )
        chosen = (options.scene or 1) - 1
        if chosen >= len(scenes):
            raise InputError(f"{folder} holds {len(scenes)} images, so there is no scene {options.scene}")
        return _image(group[scenes[chosen]], folder / scenes[chosen], options)
    if options.role == "masks" and "labels" in group:
        labels = sorted(name for name, _ in group["labels"].groups())
        if len(labels) > 1:
            raise InputError(
                f"{folder} has several labels, {', '.join(labels)}; give the folder of one, such as "
                f"{folder}/labels/{labels[0]}"
            )
        if labels:
            return group["labels"][labels[0]], str(folder / "labels" / labels[0])
    return group, str(folder)


def _metadata(group: Any) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] = dict(group.attrs)
    found: Mapping[str, Any] = attributes.get("ome", attributes)  # 0.5 and before
    return found


def _multiscale(group: Any, name: str) -> tuple[ArrayHeader, Any]:
    """Header and array of the first, finest level."""
    metadata = _metadata(group)
    multiscale = metadata["multiscales"][0]
    level = multiscale["datasets"][0]
    array = group[level["path"]]
    shape = tuple(int(size) for size in array.shape)
    axes, units = _axes(multiscale.get("axes"), len(shape))
    if len(axes) != len(shape):
        raise InputError(
            f"{name} states {len(axes)} axes ({axes}) for an array of shape {shape}; expected one for each"
        )
    scale = np.ones(len(shape))
    stated = False
    for transformations in (level, multiscale):  # that of the level, then that of all levels
        for transformation in transformations.get("coordinateTransformations", ()):
            if transformation.get("type") == "scale" and "scale" in transformation:
                scale, stated = scale * np.asarray(transformation["scale"], dtype=float), True
    edges, interval = {}, None
    for axis, size, unit in zip(axes, scale, units, strict=True):
        edge = micrometres(size, unit) if stated and axis in "ZYX" else None
        if edge is not None:
            edges[axis] = edge
        if stated and axis == "T":
            interval = seconds(size, unit)
    channels = tuple(
        str(channel.get("label", "")) for channel in metadata.get("omero", {}).get("channels", ())
    )
    channels = channels if any(channels) else ()
    return ArrayHeader(axes, shape, np.dtype(array.dtype), "OME-Zarr", channels, edges, interval), array


def _axes(stated: Sequence[Any] | None, n: int) -> tuple[str, list[str]]:
    """Axes and units; before 0.3 they were always T, C, Z, Y, X, in 0.3 names only."""
    if stated is None:
        return "TCZYX"[-n:], [""] * n
    names = [str(axis["name"] if isinstance(axis, Mapping) else axis) for axis in stated]
    units = [str(axis.get("unit", "")) if isinstance(axis, Mapping) else "" for axis in stated]
    letters = "".join(name.upper() if name.lower() in "tczyx" and len(name) == 1 else "Q" for name in names)
    return letters, units
