"""What a TIFF says of its axes, channels and scale: OME-XML, ImageJ's description, or next to nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.axes import ArrayHeader
from torchtrack_uq.movies.tiff_chain import check_page_chain
from torchtrack_uq.movies.units import micrometres, seconds


def read_tiff_header(file: Path, scene: int | None = None, *, scale: bool = True) -> ArrayHeader:
    """Axes, shape, dtype, channel names and scale of a TIFF, without reading pixels.

    Args:
        file: A TIFF of any kind that tifffile reads.
        scene: Which of several images (OME: positions), counted from 1.
        scale: Whether to read the scale, which takes a while.

    Raises:
        InputError: It cannot be read, or holds several images of which none was chosen.
    """
    try:
        check_page_chain(file)
        with tifffile.TiffFile(file) as tif:
            return tiff_header(tif, file, scene, scale=scale)
    except InputError:
        raise
    except Exception as error:  # whatever tifffile meets in a damaged file
        raise InputError(f"{file} cannot be read as a TIFF: {error}") from error


def tiff_header(tif: Any, file: Path, scene: int | None = None, *, scale: bool = True) -> ArrayHeader:
    """As `read_tiff_header`, of a file that is open."""
    series = tif.series[_scene(tif, file, scene)]
    if series.dtype is None:
        raise InputError(f"{file} has pixels of no single type; expected one integer or float type")
    if not len(series.keyframe.dataoffsets):  # tifffile would take zeros for them, a strip at a time
        raise InputError(f"{file} does not say where in it the pixels are; it is damaged")
    axes = series.axes.replace("I", "Q")
    stored_in, interval = "TIFF", None
    channels: tuple[str, ...] = ()
    edges: dict[str, float] = {}
    imagej: Mapping[str, Any] = tif.imagej_metadata or {}
    if tif.is_ome:
        stored_in = "OME-TIFF"
        if scale:
            channels, edges, interval = _ome(tif.ome_metadata, 0 if scene is None else scene - 1)
    elif tif.is_imagej:
        stored_in = "ImageJ TIFF"
        if axes == "ZYX" and not imagej.get("hyperstack"):
            axes = "QYX"  # ImageJ calls what is along any plain stack slices
        if scale:
            edges, interval = _imagej(imagej, tif.pages[0])
    shape = tuple(int(size) for size in series.shape)
    return ArrayHeader(axes, shape, np.dtype(series.dtype), stored_in, channels, edges, interval)


def _scene(tif: Any, file: Path, scene: int | None) -> int:
    n = len(tif.series)
    if n == 0:
        raise InputError(f"{file} holds no image")
    if scene is None:
        if tif.is_ome and n > 1:
            raise InputError(f"{file} holds {n} images (positions); choose one with --scene, from 1 to {n}")
        alike = [
            one for one in tif.series if (one.shape, one.dtype) == (tif.series[0].shape, tif.series[0].dtype)
        ]
        if len(alike) > 1:  # as a writer leaves them to which each frame was given by itself
            raise InputError(
                f"{file} holds {len(alike)} images of shape {alike[0].shape} and does not say that they are one movie; "
                "save them as one array (numpy.stack), or choose one with --scene"
            )
        return 0  # elsewhere, what follows the first is a preview or a label
    if scene > n:
        raise InputError(f"{file} holds {n} image{'s' if n > 1 else ''}, so there is no scene {scene}")
    return scene - 1


def _ome(xml: str, image: int) -> tuple[tuple[str, ...], dict[str, float], float | None]:
    """Channel names, edges and interval; the units' defaults are those of the OME schema, µm and s."""
    found = [
        element
        for element in ElementTree.fromstring(xml).iter()
        if element.tag.rpartition("}")[2] == "Pixels"
    ]
    if image >= len(found):
        return (), {}, None
    pixels = found[image]
    edges = {}
    for axis in "ZYX":
        edge = micrometres(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        if edge is not None:
            edges[axis] = edge
    interval = seconds(pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s"))
    names = tuple(
        element.get("Name") or "" for element in pixels if element.tag.rpartition("}")[2] == "Channel"
    )
    return (names if any(names) else ()), edges, interval


def _imagej(metadata: Mapping[str, Any], page: Any) -> tuple[dict[str, float], float | None]:
    """Edges and interval; ImageJ counts pixels per unit in the resolution tags, and its default unit is the pixel."""
    unit = metadata.get("unit", "pixel")
    edges: dict[str, float] = {}
    for axis in "YX":
        tag = page.tags.get(f"{axis}Resolution")
        numerator, denominator = (0, 1) if tag is None else tag.value
        edge = micrometres(denominator / numerator, unit) if numerator else None
        if edge is not None:
            edges[axis] = edge
    depth = micrometres(metadata.get("spacing"), unit)
    if depth is not None and edges:
        edges["Z"] = depth
    return edges, seconds(metadata.get("finterval"), metadata.get("tunit", "sec"))
