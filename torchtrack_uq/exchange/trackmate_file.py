"""TrackMate's own files: XML with all spots and the edges of all tracks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

import numpy as np

from torchtrack_uq.errors import InputError
from torchtrack_uq.exchange.csv_tables import unit_of
from torchtrack_uq.exchange.tracks import TrackTable

_POSITION = ("POSITION_Z", "POSITION_Y", "POSITION_X")
_SIZE = ("voxeldepth", "pixelheight", "pixelwidth")


@dataclass
class _Found:
    """What the parser has met so far."""

    root: str = ""
    unit: str = "pixel"
    size: dict[str, str] = field(default_factory=dict)
    n_slices: str = "1"
    spots: list[dict[str, str]] = field(default_factory=list)
    edges: list[tuple[str, str, str]] = field(default_factory=list)
    track: str = ""
    kept: set[str] | None = None


def is_trackmate_xml(path: Path) -> bool:
    """Whether a file is TrackMate's XML, by its first element."""
    with path.open("rb") as stream:
        return b"<TrackMate" in stream.read(4096)


def read_trackmate_xml(path: Path, pixel_size: float | Sequence[float] | None = None) -> TrackTable:
    """Read the file that TrackMate saves (versions 2 to 7: `TrackMate/Model/AllSpots` and `AllTracks`).

    Visible spots and the edges of filtered tracks, as TrackMate shows them. Positions are in the image's units; they
    are divided by the pixel size that the file states (`Settings/ImageData`). Files with a document type declaration
    are refused, since entities may expand without end; TrackMate writes none. Format:
    https://imagej.net/plugins/trackmate/scripting/trackmate-scripting and TrackMate's `TmXmlWriter`.

    Args:
        path: The file.
        pixel_size: Used in place of the file's own.

    Raises:
        InputError: No TrackMate file, one that is cut off or has a document type, or spots without position.
    """
    found = _Found()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise InputError(
            f"{path} has a document type declaration, which TrackMate never writes; it is not read"
        )

    def start(name: str, attributes: dict[str, str]) -> None:
        _element(found, name, attributes)

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    try:
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except (expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no complete XML file: {error}") from error
    if found.root != "TrackMate":
        raise InputError(f"{path} begins with <{found.root}>; expected TrackMate's own file, <TrackMate>")
    return _table(path, found, pixel_size)


def _element(found: _Found, name: str, attributes: dict[str, str]) -> None:
    found.root = found.root or name
    match name:
        case "Model":
            found.unit = attributes.get("spatialunits", "pixel")
        case "ImageData":
            found.size = {key: attributes[key] for key in _SIZE if key in attributes}
            found.n_slices = attributes.get("nslices", "1")
        case "Spot":
            found.spots.append({key: attributes[key] for key in _SPOT if key in attributes})
        case "Track":
            found.track = attributes.get("TRACK_ID", "")
        case "Edge":
            ends = (attributes.get("SPOT_SOURCE_ID", ""), attributes.get("SPOT_TARGET_ID", ""))
            found.edges.append((found.track, *ends))
        case "FilteredTracks":
            found.kept = set()
        case "TrackID" if found.kept is not None:
            found.kept.add(attributes.get("TRACK_ID", ""))


_SPOT = ("ID", "FRAME", "VISIBILITY", *_POSITION)


def _table(path: Path, found: _Found, pixel_size: float | Sequence[float] | None) -> TrackTable:
    edges = [edge for edge in found.edges if found.kept is None or edge[0] in found.kept]
    hidden = {spot for track, *ends in found.edges for spot in ends if found.kept is not None} - {
        spot for _, *ends in edges for spot in ends
    }
    shown = [s for s in found.spots if s.get("VISIBILITY", "1") != "0" and s.get("ID") not in hidden]
    try:
        ids = np.array([int(spot["ID"]) for spot in shown], dtype=np.int64)
        frame = np.array([int(float(spot["FRAME"])) for spot in shown], dtype=np.int64)
        position = np.array([[float(s[axis]) for axis in _POSITION] for s in shown]).reshape(-1, 3)
        ends = np.array([(int(a), int(b)) for _, a, b in edges], dtype=np.int64).reshape(-1, 2)
        sizes = [float(found.size.get(key, "nan")) for key in _SIZE]
        one_plane = float(found.n_slices) == 1
    except (KeyError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: a spot or an edge lacks a number ({error}); expected ID, FRAME, POSITION_X, POSITION_Y, "
            "POSITION_Z of every spot, SPOT_SOURCE_ID and SPOT_TARGET_ID of every edge, and numbers in ImageData"
        ) from error
    flat = one_plane and not position[:, 0].any()
    of_spot = {int(spot): int(track or -1) for track, *pair in edges for spot in pair}
    notes = []
    if len(shown) < len(found.spots):
        notes.append(f"{len(found.spots) - len(shown)} spots that TrackMate hides were left out")
    table = TrackTable.from_ids(
        "TrackMate",
        ids,
        ends[:, 0],
        ends[:, 1],
        frame=frame,
        coords=position[:, 1:] if flat else position,
        track=np.array([of_spot.get(int(spot), -1) for spot in ids], dtype=np.int64),
        unit=unit_of(found.unit),
        notes=tuple(notes),
    )
    sizes = sizes[1:] if flat else sizes
    # an image without calibration has pixels of size 1, and places in pixels
    stated = table.unit != "pixel" and all(math.isfinite(size) and size > 0 for size in sizes)
    return table.in_pixels(pixel_size if pixel_size is not None else sizes if stated else None)
