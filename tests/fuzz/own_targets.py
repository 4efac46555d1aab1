"""Readers of what the package writes and people edit: results, calibrations, decisions, models, tables of movies."""

from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from tests.fuzz.target import Target
from tests.support.exchange import gap_and_division
from tests.support.transformer import small_transformer
from torchtrack_uq import TrackingResult
from torchtrack_uq.batch.movies import BatchMovie, read_movies
from torchtrack_uq.batch.record import BatchRecord
from torchtrack_uq.calibration.annotations import drawn_evenly, read_decisions
from torchtrack_uq.calibration.file import Calibration
from torchtrack_uq.cli.batch_rows import track_options, wrong_with
from torchtrack_uq.guarantees.acceptance import AcceptanceThreshold, ReviewStatistic
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.results.saved_tracks import SavedTracks
from torchtrack_uq.results.track_files import export_tracks
from torchtrack_uq.review.decision_log import Decision, DecisionLog
from torchtrack_uq.trackers.trackastra.folder import save_trackastra_folder
from torchtrack_uq.trackers.trackastra.tracker import TrackastraTracker
from torchtrack_uq.training.fine_tuned import load_fine_tuned
from torchtrack_uq.training.run import checkpoint_to_continue

HEADER = "frame,label,verdict,mother_frame,mother"
CELLS = Detections.from_points(
    np.repeat(np.arange(4), 3), np.arange(24, dtype=np.float32).reshape(12, 2), np.tile([1, 2, 3], 4)
)
OPTIONS = {name: action.nargs == 0 for name, action in track_options().items()}


@cache
def _result() -> TrackingResult:
    return gap_and_division()


def _calibration(folder: Path) -> None:
    right = np.arange(50) % 9 > 0
    Calibration(
        1.5,
        "AS",
        "distance",
        2,
        {"appear": 1.0, "disappear": 0.5, "divide": -2.0},
        120,
        0.4,
        0.3,
        0.05,
        0.02,
        0.5,
        ["a/01"],
        "f" * 64,
        review=ReviewStatistic.of(np.linspace(0.5, 1, 50), right),
        method_options={"k": 10},
        standard_errors={"temperature": 0.1, "appear": 0.2},
    ).save(folder / "c.json")


def _read_calibration(folder: Path) -> Calibration:
    found = Calibration.load(folder / "c.json")
    layer = found.layer()
    assert 0 < float(layer.temperature.detach()) < np.inf
    found.save(folder / "again.json")
    assert Calibration.load(folder / "again.json").temperature == found.temperature
    return found


def _log(folder: Path) -> None:
    (folder / "d.csv").write_text(
        f"{HEADER},time,who\n1,1,mother,0,1,2026-01-01T00:00:00+00:00,me\n1,2,none,,,2026-01-01T00:00:00+00:00,me\n"
        "2,3,bad,,,2026-01-01T00:00:00+00:00,me\n1,2,undo,,,2026-01-01T00:00:00+00:00,me\n"
    )


def _read_log(folder: Path) -> None:
    """Read it, and write one more decision: it is there in the end, and so are all others."""
    log = DecisionLog(folder / "d.csv", "me")
    log.append(Decision(3, 1, "none"))
    again = DecisionLog(folder / "d.csv")
    assert again.decisions == log.decisions
    assert again.standing() == log.standing()


def _annotations(folder: Path) -> None:
    (folder / "a.csv").write_text(
        f"{HEADER}\n1,1,mother,0,1\n2,2,none,,\n3,3,bad,,\n3,1,mother,2,1\n2,1,,,\n"
    )


def _read_annotations(folder: Path) -> Any:
    found = read_decisions(folder / "a.csv", CELLS, max_gap=2)
    drawn_evenly(folder / "a.csv")
    given = np.flatnonzero(found.mother >= 0)
    assert (CELLS.frame[found.mother[given]] < CELLS.frame[given]).all()
    return found


def _saved(folder: Path) -> None:
    _result().save(folder / "out", progress=False)
    for file in [*(folder / "out").iterdir()]:
        kept = file.name in ("state.npz", "cells.csv", "links.csv", "settings.json") or file.suffix == ".tif"
        if file.is_file() and not kept:
            file.unlink()


def _load(folder: Path) -> TrackingResult:
    """Open, and make what a result is asked for."""
    result = TrackingResult.load(folder / "out")
    result.links, result.cells, result.review()
    p = result.probabilities
    assert bool((p.log_link <= 1e-6).all()), "a probability above 1"
    return result


def _export(folder: Path) -> None:
    """Read tables of results, and make every other table of them."""
    tracks = SavedTracks.read(folder / "out")
    for name in ("napari-csv", "mastodon", "trackmate"):
        export_tracks(tracks, name, folder / name)
    ElementTree.parse(folder / "trackmate")


def _model(folder: Path) -> None:
    training = {
        "delta_cutoff": 2,
        "layer": {"method": "AS", "temperature": 1.2, "appear": 0.1, "disappear": 0.1, "divide": 0.1},
    }
    save_trackastra_folder(small_transformer(), folder / "model", training)


def _movies(folder: Path) -> None:
    (folder / "a.csv").write_text("frame,y,x\n0,1,1\n1,1,1\n2,1,1\n3,1,1\n")
    (folder / "movies.csv").write_text(
        'name,points,Stride,voxel_size,trust-masks,tracker\nfirst,a.csv,2,"0.5,0.5",,distance\nb,a.csv,,,,\n'
    )


def _note(folder: Path) -> None:
    (folder / "logs").mkdir()
    (folder / "logs" / "a.json").write_text(
        '{"format": "torchtrack-uq batch 1", "fingerprint": {"a": [1, 2]}, "seconds": 1.5}\n'
    )


def _run(folder: Path) -> None:
    (folder / "last.ckpt").write_bytes(b"")
    (folder / "run.yaml").write_text("features: wrfeat\nseed: 1\nsteps: 100\nmovies:\n- a\n- b\n")


TARGETS = [
    Target("calibration", _calibration, _read_calibration),
    Target(
        "acceptance threshold",
        lambda folder: AcceptanceThreshold(0.01, 0.05, 0.9, True, 1000, 900, 2).save(folder / "t.json"),
        lambda folder: AcceptanceThreshold.load(folder / "t.json").promise,
    ),
    Target("decision log", _log, _read_log),
    Target("annotations", _annotations, _read_annotations),
    Target("state.npz", _saved, _load, ("state.npz",)),
    Target(
        "saved tables and settings",
        _saved,
        _export,
        ("cells.csv", "links.csv", "settings.json"),
    ),
    Target("model folder", _model, lambda f: TrackastraTracker.from_folder(f / "model", device="cpu")),
    Target(
        "fine-tuned model",
        _model,
        lambda f: load_fine_tuned(f / "model", device="cpu"),
        ("train_config.yaml",),
    ),
    Target(
        "table of movies",
        _movies,
        lambda folder: read_movies(folder / "movies.csv", OPTIONS, wrong_with, []),
        ("movies.csv",),
    ),
    Target("note of a batch", _note, lambda f: BatchRecord(f).fingerprint(BatchMovie("a", (), ()))),
    Target(
        "run to continue",
        _run,
        lambda f: checkpoint_to_continue(
            f, {"features": "wrfeat", "seed": 1, "steps": 100, "movies": ["a", "b"]}
        ),
        ("run.yaml",),
    ),
]
