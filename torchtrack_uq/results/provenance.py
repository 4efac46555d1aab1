"""How a result was made: what `settings.json` says, and the metadata of every graph that is written."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from torchtrack_uq import __version__
from torchtrack_uq.calibration.file import Calibration
from torchtrack_uq.calibration.movie_prior import MoviePrior
from torchtrack_uq.layers.event_model import EventModel
from torchtrack_uq.layers.uncertainty import UncertaintyLayer
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import FrameSource
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.trackers.identity import tracker_identity
from torchtrack_uq.trackers.protocol import Tracker
from torchtrack_uq.utils.optional import installed_version

FORMAT = "torchtrack-uq settings 1"
_WATCHED = ("torch", "numpy", "trackastra", "geff")
"""Packages whose versions may change numbers or files."""


class Made(Protocol):
    """What settings are of: a `TrackingResult`."""

    @property
    def movie(self) -> Movie | None:
        """Images and masks; None for points."""
        ...

    @property
    def detections(self) -> Detections:
        """The movie's N cells."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the tracker put down of the run."""
        ...


def run_settings(
    tracker: Tracker,
    layer: UncertaintyLayer,
    max_gap: int,
    prior: MoviePrior | None = None,
    calibration: Calibration | None = None,
) -> dict[str, Any]:
    """What made the probabilities, as plain values that a file can hold.

    Args:
        tracker: What scored the links.
        layer: What the probabilities are of, with the temperature and the event scores of this movie.
        max_gap: How many frames links may span.
        prior: Where temperature and event scores are from, if from other movies.
        calibration: Where they are from, if from a fit.

    Returns:
        `tracker`, `method`, `temperature`, `events` (offsets in nats, None for the tracker's own scores), `max_gap`,
        `prior` and `calibration` (None where there is none).

    >>> from torchtrack_uq.trackers import DistanceTracker
    >>> run_settings(DistanceTracker(), UncertaintyLayer("AS", 2.0), max_gap=1)["method"]
    {'name': 'AS', 'options': {}}
    """
    events = layer.events
    config = getattr(tracker, "config", None)
    return {
        "tracker": {
            "name": tracker.name,
            "identity": tracker_identity(tracker),
            "class": f"{type(tracker).__module__}.{type(tracker).__qualname__}",
            "model": plain(config) if isinstance(config, Mapping) else None,
        },
        "method": {"name": layer.method, "options": plain(layer.options)},
        "temperature": float(layer.temperature.detach()),
        "events": None if events is None else plain(events.values),
        "event_model": plain(events.coefficients) if isinstance(events, EventModel) else None,
        "max_gap": max_gap,
        "prior": None if prior is None else {"name": prior.tracker, "version": prior.version},
        "calibration": None if calibration is None else _described(calibration),
    }


def settings_of(result: Made) -> dict[str, Any]:
    """All that `settings.json` says.

    Args:
        result: Its `settings` are taken over; a result that was made by hand has none.

    Returns:
        `format`, `package`, `command` (None where it was called from Python), the result's `settings`, `input` (where
        it came from, its shape, its scale and a digest of the cells), `versions` and `date` (ISO 8601, UTC).

    >>> from types import SimpleNamespace
    >>> cells = Detections.from_points(np.array([0, 1]), np.array([[4.0, 4.0], [5.0, 4.0]]))
    >>> found = settings_of(SimpleNamespace(movie=None, detections=cells, settings={"method": "mine"}))
    >>> found["method"], found["input"]["n_cells"], found["input"]["masks"]
    ('mine', 2, None)
    """
    return {
        "format": FORMAT,
        "package": {"name": "torchtrack-uq", "version": __version__},
        "command": None,  # of Python; the command line puts down its own
        **{name: plain(value) for name, value in result.settings.items()},
        "input": _input(result.movie, result.detections),
        "versions": {name: installed_version(name) for name in _WATCHED},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def with_corrections(settings: Mapping[str, Any], daughters: int, bad: int) -> dict[str, Any]:
    """Settings of a result that a person has corrected, perhaps not for the first time.

    Args:
        settings: Before.
        daughters: How many cells were decided.
        bad: How many of the detections were struck out.

    >>> with_corrections({"method": "mine", "corrections": {"daughters": 2, "bad": 0}}, 3, 1)
    {'method': 'mine', 'corrections': {'daughters': 5, 'bad': 1}}
    """
    before = settings.get("corrections") or {"daughters": 0, "bad": 0}
    done = {"daughters": before["daughters"] + daughters, "bad": before["bad"] + bad}
    return {**settings, "corrections": done}


def cells_since(folder: Path, settings: Mapping[str, Any]) -> str | None:
    """Since when a folder of results is of the cells that it is of, where it was of others before.

    Decisions in the folder, which the new results leave there, are by frame and label: those from before are of others.

    Args:
        folder: That results are about to be written to, perhaps over earlier ones.
        settings: Of the new results, as `settings_of` gives them.

    Returns:
        Their date, that of the earlier results if these are of the same cells; None where there never were others.
    """
    try:
        before = json.loads((folder / "settings.json").read_text())
        same = before["input"]["cells_sha256"] == settings["input"]["cells_sha256"]
        since = before.get("cells_since")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return since if same else str(settings["date"])


def cells_digest(detections: Detections) -> str:
    """SHA-256 of the table of cells: frames and labels (int64), then centroids (float32), all little-endian.

    Two results with the same digest are of the same cells, whatever their files are called.
    """
    digest = hashlib.sha256()
    columns = ((detections.frame, "<i8"), (detections.label, "<i8"), (detections.coords, "<f4"))
    for values, dtype in columns:
        digest.update(np.ascontiguousarray(values, dtype=dtype).tobytes())
    return digest.hexdigest()


def plain(value: Any) -> Any:
    """The same as JSON holds it: mappings, lists, texts, finite numbers; whatever else there is by its name.

    >>> plain({"k": np.int64(3), "folder": Path("a"), "rate": float("nan"), "sizes": (1, 2)})
    {'k': 3, 'folder': 'a', 'rate': None, 'sizes': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)


def as_json(settings: Mapping[str, Any]) -> bytes:
    """The file's content."""
    return (json.dumps(settings, indent=2, allow_nan=False) + "\n").encode()


def input_paths(movie: Movie | None) -> list[Path]:
    """Files and folders that a movie is read from; none for arrays in memory."""
    sources = [] if movie is None else [movie.masks, movie.images]
    paths = [path_of(source) for source in sources if source is not None]
    return [path for path in paths if path is not None]


def path_of(source: FrameSource) -> Path | None:
    """File or folder that frames are read from; None for arrays in memory, whatever else is called as they are."""
    path = Path(source.name)
    return path if source.name not in ("masks", "images") and path.exists() else None


def _described(calibration: Calibration) -> dict[str, Any]:
    names = (
        "fingerprint",
        "date",
        "movies",
        "n_daughters",
        "method",
        "tracker",
        "stride",
        "max_gap",
        "prior",
    )
    return {name: plain(getattr(calibration, name)) for name in names}


def _input(movie: Movie | None, detections: Detections) -> dict[str, Any]:
    diameter = detections.features.get("equivalent_diameter_area")
    images = None if movie is None else movie.images
    return {
        "masks": None if movie is None else _source(movie.masks),
        "images": None if images is None else _source(images),
        "n_frames": detections.n_frames,
        "n_cells": len(detections),
        "frame_shape": plain(detections.field_shape),
        "stride": detections.stride,
        "voxel_size_um": plain(detections.voxel_size),
        "interval_s": plain(detections.interval),
        "median_diameter_px": None if diameter is None or not diameter.size else float(np.median(diameter)),
        "cells_sha256": cells_digest(detections),
    }


def _source(source: FrameSource) -> dict[str, Any]:
    path = path_of(source)
    return {
        "path": None if path is None else os.fspath(path.resolve()),
        "shape": [source.n_frames, *source.frame_shape],
        "dtype": str(source.dtype),
    }
