"""A simulated movie as a folder that `track`, `fit` and `evaluate` take."""

import json
import math
import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from torchtrack_uq.datasets.corrupt import KINDS, CorruptionRates
from torchtrack_uq.datasets.simulation.conditions import Conditions
from torchtrack_uq.datasets.simulation.in_memory import (
    PERFECT,
    SimulatedFrame,
    TracksSoFar,
    stream,
    warn_of_shortfall,
)
from torchtrack_uq.datasets.simulation.painting import found_mask, frame_shape, image, paint, true_mask
from torchtrack_uq.datasets.simulation.true_frames import simulate_frames
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.memory import available_memory
from torchtrack_uq.utils.output_checks import check_output_folder
from torchtrack_uq.utils.progress import with_progress
from torchtrack_uq.utils.staged_folder import staged_folder

FORMAT = "torchtrack-uq simulation 1"
SEQUENCE, SEGMENTATION, POINTS = "01", "01_ERR_SEG", "points"
_OURS = re.compile(
    rf"{SEQUENCE}|{SEQUENCE}_GT|{SEGMENTATION}|{POINTS}|detections\.csv|truth\.csv|simulation\.json"
)
_LARGEST = np.iinfo(np.uint32).max
_BYTES_A_PIXEL = 32
"""Of a frame that is painted: owners, depths, labels, brightness."""


def write_simulated(
    folder: str | os.PathLike[str],
    conditions: Conditions,
    seed: int = 0,
    errors: CorruptionRates = PERFECT,
    *,
    masks: bool = True,
    images: bool = True,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, int]:
    """Write a simulated movie, one frame at a time; the folder appears when all of it is there.

    | | |
    |---|---|
    | `01`, `01_GT/TRA` | images, and masks and tracks of the true cells, as the Cell Tracking Challenge has them |
    | `01_ERR_SEG` | masks of what the detector finds, where it makes errors; labels say nothing about tracks |
    | `points` | the true cells as an annotated movie of points: `points.csv`, `man_track.txt` |
    | `detections.csv` | what the detector finds, to be tracked: frame, (z), y, x, label |
    | `truth.csv` | which true track each of these is, 0 for none, and what is wrong with it: false, merged, split |
    | `simulation.json` | all settings, the seed and the counts |

    Args:
        folder: Gets the files.
        conditions: Of the movie.
        seed: The same seed makes the same files.
        errors: What the detector does wrong.
        masks: Whether to write masks; without, no images either.
        images: Whether to write images.
        overwrite: Whether to replace an earlier simulation in the folder.
        progress: Show a progress bar.

    Returns:
        Counts by name: frames, cells, detections, tracks, divisions.

    Raises:
        InputError: The folder holds files already, a field of no whole pixels or of too many, or as `stream`.

    Warns:
        UserWarning: There was no room for as many errors as were asked for.
    """
    target = Path(folder).expanduser()
    check_output_folder(target, overwrite)
    frames = stream(conditions, seed, errors)
    if masks:
        _check_memory(frame_shape(conditions))
    largest = _largest_label(conditions, seed, progress) if masks else 0
    with staged_folder(target, overwrite=overwrite, ours=_OURS) as staging, ExitStack() as open_files:
        tables = _Tables(staging, open_files)
        pixels = _Pixels(staging, conditions, seed, largest, errors != PERFECT, images) if masks else None
        tracks, rows, found = TracksSoFar(), [], []
        for frame in with_progress(frames, "Simulating", total=conditions.n_frames, show=progress):
            tables.add(conditions, frame)
            if pixels is not None:
                pixels.add(frame)
            rows.append(tracks.add(frame.true))
            found.append((frame.found.asked, frame.found.made, len(frame.true), len(frame.found)))
        table = np.concatenate([*rows, tracks.rest()])
        table = table[np.argsort(table[:, 0])]
        for place in (staging / POINTS, *((staging / f"{SEQUENCE}_GT" / "TRA",) if masks else ())):
            np.savetxt(place / "man_track.txt", table, fmt="%d")
        asked, made, cells, detections = (np.array(column).sum(axis=0) for column in zip(*found, strict=True))
        counts = {
            "frames": conditions.n_frames,
            "cells": int(cells),
            "detections": int(detections),
            "tracks": len(table),
            "divisions": _n_divisions(table),
        }
        said = {
            "format": FORMAT,
            "conditions": conditions.to_plain(),
            "seed": seed,
            "errors": {kind: float(getattr(errors, kind)) for kind in KINDS},
            "errors_made": {kind: int(n) for kind, n in zip(KINDS, made, strict=True)},
            "counts": counts,
        }
        (staging / "simulation.json").write_text(json.dumps(said, indent=2) + "\n")
    warn_of_shortfall(asked, made)
    return counts


def _n_divisions(table: NDArray[np.int64]) -> int:
    """Tracks of which both daughters are seen, of rows of label, begin, end, parent."""
    _, n_daughters = np.unique(table[table[:, 3] > 0, 3], return_counts=True)
    return int((n_daughters > 1).sum())


class _Tables:
    """The tables that grow with the frames."""

    def __init__(self, staging: Path, files: ExitStack) -> None:
        (staging / POINTS).mkdir()
        self._files: dict[str, TextIO] = {
            name: files.enter_context((staging / file).open("w", newline="", encoding="utf-8"))
            for name, file in (
                ("points", f"{POINTS}/points.csv"),
                ("detections", "detections.csv"),
                ("truth", "truth.csv"),
            )
        }
        self._begun: set[str] = set()

    def add(self, conditions: Conditions, frame: SimulatedFrame) -> None:
        true, found, kinds = frame.true, frame.found, frame.found.kinds
        self._write(
            "points",
            {"frame": np.full(len(true), true.t), **_axes(conditions, true.place), "track": true.track},
        )
        t = np.full(len(found), true.t)
        self._write("detections", {"frame": t, **_axes(conditions, found.place), "label": found.label})
        truth = {"frame": t, "label": found.label, "track": found.track}
        shown = {name: getattr(kinds, name).astype(np.int64) for name in ("false", "merged", "split")}
        self._write("truth", truth | shown)

    def _write(self, name: str, columns: dict[str, NDArray[np.generic]]) -> None:
        first = name not in self._begun
        self._begun.add(name)
        pd.DataFrame(columns).to_csv(
            self._files[name], index=False, header=first, float_format="%.4f", lineterminator="\n"
        )


def _axes(conditions: Conditions, place: NDArray[np.float64]) -> dict[str, NDArray[np.generic]]:
    names = ("z", "y", "x")[-conditions.ndim :]
    return dict(zip(names, (place / conditions.aspect).T, strict=True))


class _Pixels:
    """The TIFFs of a movie."""

    def __init__(
        self,
        staging: Path,
        conditions: Conditions,
        seed: int,
        largest: int,
        with_errors: bool,
        images: bool,
    ) -> None:
        self._conditions, self._seed = conditions, seed
        self._digits = max(3, len(str(conditions.n_frames - 1)))
        self._dtype = np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32
        self._true = staging / f"{SEQUENCE}_GT" / "TRA"
        self._found = staging / SEGMENTATION if with_errors else None
        self._images = staging / SEQUENCE if images else None
        for folder in (self._true, self._found, self._images):
            if folder is not None:
                folder.mkdir(parents=True)

    def add(self, frame: SimulatedFrame) -> None:
        conditions, number = self._conditions, str(frame.true.t).zfill(self._digits)
        painted = paint(conditions, frame.true.place, frame.looks)
        self._save(self._true / f"man_track{number}.tif", true_mask(frame, painted).astype(self._dtype))
        if self._found is not None:
            mask = found_mask(conditions, frame, painted)
            self._save(self._found / f"mask{number}.tif", mask.astype(self._dtype))
        if self._images is not None:
            self._save(self._images / f"t{number}.tif", image(conditions, frame, painted, self._seed))

    @staticmethod
    def _save(file: Path, pixels: NDArray[np.generic]) -> None:
        tifffile.imwrite(file, pixels, compression="zlib", photometric="minisblack")


def _check_memory(shape: tuple[int, ...]) -> None:
    needed, there = _BYTES_A_PIXEL * math.prod(shape), available_memory()
    if there is not None and needed > there:
        raise InputError(
            f"masks of {' x '.join(map(str, shape))} pixels need about {needed / 2**30:.3g} GiB of memory, of which "
            f"{there / 2**30:.3g} are free; take a smaller field, or leave masks out (--no-masks)"
        )


def _largest_label(conditions: Conditions, seed: int, progress: bool) -> int:
    """Of all frames, so that they have one type of pixels."""
    largest = 0
    frames = simulate_frames(conditions, seed)
    for frame in with_progress(frames, "Counting labels", total=conditions.n_frames, show=progress):
        largest = max(largest, int(frame.track.max(initial=0)), 2 * len(frame) + 1)
    if largest > _LARGEST:
        raise InputError(
            f"the movie has tracks up to {largest}, which fit no TIFF of labels; leave masks out (--no-masks)"
        )
    return largest
