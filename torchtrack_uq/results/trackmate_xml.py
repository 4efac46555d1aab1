"""Tracks as a TrackMate file, with probabilities as features of spots and edges.

Format: as TrackMate 7 saves and loads it (https://imagej.net/plugins/trackmate; `TmXmlWriter` and `TmXmlReader` in its
source): `Model` with declared features, all spots by frame and all tracks as edges between spots, and `Settings` with
image, detector and tracker.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pandas as pd

from torchtrack_uq.results.saved_tracks import SavedTracks

VERSION = "7.14.0"
"""Of TrackMate, whose layout this is."""
_Feature = tuple[str, str, str, str, bool]
_SPOT: tuple[_Feature, ...] = (
    ("QUALITY", "Quality", "Quality", "QUALITY", False),
    ("POSITION_X", "X", "X", "POSITION", False),
    ("POSITION_Y", "Y", "Y", "POSITION", False),
    ("POSITION_Z", "Z", "Z", "POSITION", False),
    ("POSITION_T", "T", "T", "TIME", False),
    ("FRAME", "Frame", "Frame", "NONE", True),
    ("RADIUS", "Radius", "R", "LENGTH", False),
    ("VISIBILITY", "Visibility", "Visibility", "NONE", True),
)
_EDGE: tuple[_Feature, ...] = (
    ("SPOT_SOURCE_ID", "Source spot ID", "Source ID", "NONE", True),
    ("SPOT_TARGET_ID", "Target spot ID", "Target ID", "NONE", True),
    ("LINK_COST", "Edge cost", "Cost", "COST", False),
    ("PROBABILITY", "Probability of the link", "Probability", "NONE", False),
)
_TRACK: tuple[_Feature, ...] = (
    ("TRACK_INDEX", "Track index", "Index", "NONE", True),
    ("TRACK_ID", "Track ID", "ID", "NONE", True),
)
_OURS = {
    "probability": ("DECISION_PROBABILITY", "Probability of the decision about the mother"),
    "confidence": ("CONFIDENCE", "Probability of the likeliest mother or of none"),
    "entropy": ("ENTROPY", "Entropy over the mothers (nats)"),
    "p_appear": ("P_APPEAR", "Probability of having no mother"),
    "p_divide": ("P_DIVIDE", "Probability of dividing"),
    "p_disappear": ("P_DISAPPEAR", "Probability of having no daughter"),
    "p_missed": ("P_MISSED", "Probability of a miss in the frame before"),
    "p_false": ("P_FALSE", "Probability of being no cell"),
    "p_merged": ("P_MERGED", "Probability of being several cells"),
    "p_split": ("P_SPLIT", "Probability of being a part of a cell"),
}


def trackmate_xml(tracks: SavedTracks) -> str:
    """The text of a TrackMate file.

    Positions are in micrometres and seconds where voxel size and interval are known, else in pixels and frames. The
    cost of an edge is minus its score, its `PROBABILITY` the posterior one. A spot's quality is the probability of what
    was decided about its mother, 1 in the first frame. Other numbers that are not known are left out.
    As in TrackMate a track is a whole lineage, and a cell that is linked with none is a spot without track. How the
    tracks were made stands in the log.

    Args:
        tracks: What to write.
    """
    return "\n".join(_lines(tracks)) + "\n"


def _lines(tracks: SavedTracks) -> Iterator[str]:
    known = tracks.settings.get("input", {})
    units = {
        "spatialunits": "pixel" if tracks.voxel_size is None else "µm",
        "timeunits": "frame" if tracks.interval is None else "sec",
    }
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield _open("TrackMate", {"version": VERSION})
    yield f"<Log>{escape('Written by torchtrack-uq. ' + json.dumps(dict(tracks.settings)))}</Log>"
    yield _open("Model", units)
    yield from _declarations(tracks)
    yield from _spots(tracks)
    yield from _tracks(tracks)
    yield "</Model>"
    yield from _settings(tracks, known)
    yield '<GUIState state="ConfigureViews" />'
    yield "<DisplaySettings />"
    yield "</TrackMate>"


def _declarations(tracks: SavedTracks) -> Iterator[str]:
    ours = [(key, name, key.capitalize(), "NONE", False) for key, name in _columns(tracks).values()]
    yield "<FeatureDeclarations>"
    for element, features in (
        ("SpotFeatures", (*_SPOT, *ours)),
        ("EdgeFeatures", _EDGE),
        ("TrackFeatures", _TRACK),
    ):
        yield f"<{element}>"
        for feature, name, short, dimension, whole in features:
            attributes = {"feature": feature, "name": name, "shortname": short, "dimension": dimension}
            yield _empty("Feature", {**attributes, "isint": str(whole).lower()})
        yield f"</{element}>"
    yield "</FeatureDeclarations>"


def _spots(tracks: SavedTracks) -> Iterator[str]:
    cells, size = tracks.cells, tracks.voxel_size or {}
    interval = tracks.interval or 1.0
    features = {
        "QUALITY": np.where(np.isnan(tracks.probability), 1.0, tracks.probability),
        **{f"POSITION_{axis.upper()}": _along(cells, axis, size) for axis in "xyz"},
        "POSITION_T": cells["frame"].to_numpy() * interval,
        "FRAME": cells["frame"].to_numpy(),
        "RADIUS": np.full(len(cells), tracks.radius * size.get("x", 1.0)),
        "VISIBILITY": np.ones(len(cells), int),
    }
    for column, (key, _) in _columns(tracks).items():
        features[key] = tracks.probability if column == "probability" else cells[column].to_numpy(float)
    table = pd.DataFrame(features)
    names = [f"{label}" for label in cells["label"].tolist()]
    yield _open("AllSpots", {"nspots": len(cells)})
    for frame, rows in table.groupby("FRAME", sort=True):
        yield _open("SpotsInFrame", {"frame": frame})
        for i, values in zip(rows.index, rows.itertuples(index=False, name=None), strict=True):
            known = {str(key): value for key, value in zip(table, values, strict=True) if value == value}
            yield _empty("Spot", {"ID": i, "name": names[i], **known})
        yield "</SpotsInFrame>"
    yield "</AllSpots>"


def _tracks(tracks: SavedTracks) -> Iterator[str]:
    edges = tracks.edges.assign(lineage=tracks.lineage[tracks.edges["daughter"]])
    numbers = []
    yield "<AllTracks>"
    for number, (_, rows) in enumerate(edges.groupby("lineage", sort=True)):
        numbers.append(number)
        identity = {"TRACK_ID": number, "TRACK_INDEX": number}
        yield _open("Track", {"name": f"Track_{number}", **identity})
        columns = (rows[name].tolist() for name in ("mother", "daughter", "score", "probability"))
        for mother, daughter, score, probability in zip(*columns, strict=True):
            ends = {"SPOT_SOURCE_ID": mother, "SPOT_TARGET_ID": daughter}
            yield _empty("Edge", {**ends, "LINK_COST": -score, "PROBABILITY": probability})
        yield "</Track>"
    yield "</AllTracks>"
    yield "<FilteredTracks>"
    yield from (_empty("TrackID", {"TRACK_ID": number}) for number in numbers)
    yield "</FilteredTracks>"


def _settings(tracks: SavedTracks, known: Mapping[str, Any]) -> Iterator[str]:
    size = tracks.voxel_size or {}
    shape = [1, *(known.get("frame_shape") or (0, 0))][-3:]
    last = max(int(known.get("n_frames") or 0) - 1, int(tracks.cells["frame"].max()))
    source = (known.get("images") or {}).get("path") or (known.get("masks") or {}).get("path")
    image = {
        "filename": Path(source).name if source else "unknown",
        "folder": str(Path(source).parent) if source else "",
        "width": shape[2],
        "height": shape[1],
        "nslices": shape[0],
        "nframes": last + 1,
        "pixelwidth": size.get("x", 1.0),
        "pixelheight": size.get("y", 1.0),
        "voxeldepth": size.get("z", 1.0),
        "timeinterval": tracks.interval or 1.0,
    }
    crop = {
        "xstart": 0,
        "xend": shape[2] - 1,
        "ystart": 0,
        "yend": shape[1] - 1,
        "zstart": 0,
        "zend": shape[0] - 1,
    }
    yield "<Settings>"
    yield _empty("ImageData", image)
    yield _empty("BasicSettings", {**crop, "tstart": 0, "tend": last})
    yield _empty(
        "DetectorSettings", {"DETECTOR_NAME": "MANUAL_DETECTOR", "RADIUS": tracks.radius * size.get("x", 1.0)}
    )
    yield _empty("InitialSpotFilter", {"feature": "QUALITY", "value": 0.0, "isabove": "true"})
    yield "<SpotFilterCollection />"
    yield _empty("TrackerSettings", {"TRACKER_NAME": "MANUAL_TRACKER"})
    yield "<TrackFilterCollection />"
    yield "<AnalyzerCollection><SpotAnalyzers /><EdgeAnalyzers /><TrackAnalyzers /></AnalyzerCollection>"
    yield "</Settings>"


def _columns(tracks: SavedTracks) -> dict[str, tuple[str, str]]:
    return {column: feature for column, feature in _OURS.items() if column in (*tracks.cells, "probability")}


def _along(cells: pd.DataFrame, axis: str, size: Mapping[str, float]) -> np.ndarray:
    return cells[axis].to_numpy(float) * size.get(axis, 1.0) if axis in cells else np.zeros(len(cells))


def _open(name: str, attributes: Mapping[str, object]) -> str:
    return (
        f"<{name} " + " ".join(f"{key}={quoteattr(_text(value))}" for key, value in attributes.items()) + ">"
    )


def _empty(name: str, attributes: Mapping[str, object]) -> str:
    return _open(name, attributes)[:-1] + " />"


def _text(value: object) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)
