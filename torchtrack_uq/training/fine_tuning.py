"""Fine-tune a Trackastra model on annotated movies through the uncertainty layer."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.frames import FramesLike
from torchtrack_uq.trackers.trackastra.folder import weights_digest
from torchtrack_uq.trackers.trackastra.models import bundled_models, load_model
from torchtrack_uq.trackers.trackastra.tracker import TrackastraTracker
from torchtrack_uq.training.augment import Augmentation
from torchtrack_uq.training.callbacks import HeldOutValidation
from torchtrack_uq.training.fine_tuner import LayerFineTuner
from torchtrack_uq.training.from_scratch import read_and_report
from torchtrack_uq.training.run import (
    Precision,
    checkpoint_to_continue,
    fit,
    is_finished,
    refuse_other_dimensions,
    windows_to_train_on,
)
from torchtrack_uq.training.settings import FineTuningSettings
from torchtrack_uq.training.simulated import SimulatedWindows
from torchtrack_uq.utils.device import choose_device
from torchtrack_uq.utils.output_checks import check_not_start
from torchtrack_uq.utils.staged_folder import output_folder

_PRECISIONS: dict[str, Precision] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def fine_tune_on_movies(
    movies: Sequence[AnnotatedMovie],
    start_from: str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: FineTuningSettings | None = None,
    *,
    device: str = "auto",
    overwrite: bool = False,
    report: Callable[[str], None] = print,
    progress: bool = False,
) -> Path:
    """Fine-tune a model and save it as a Trackastra folder; resumes where an interrupted run stopped.

    Args:
        movies: Annotated movies, 2D, with the features of `Detections.from_movie`.
        start_from: Model to start from, as for `load_model`: "small_2d", a folder, or a published model.
        output: Folder that gets what `train_on_movies` writes; `train_config.yaml` also holds the layer's method,
            temperature and event scores and what the loss left out. A run that is there is continued.
        settings: What to compute; defaults to `FineTuningSettings()`.
        device: "auto", "cpu", "cuda" or "cuda:1", as `choose_device`.
        overwrite: Begin anew, whatever run or model is in the folder.
        report: Gets a line after each validation.
        progress: Show Lightning's progress bar.

    Returns:
        The folder.

    Raises:
        InputError: A movie or a model cannot be trained on, the folder belongs to another run or to the model that
            this one starts from, there is no such device, or training diverges.
    """
    settings = settings or FineTuningSettings()
    folder = Path(output)
    chosen = choose_device(device)
    precision = settings.precision
    if precision == "auto":
        precision = "bf16" if chosen.type == "cuda" else "32"
    elif precision == "16" and chosen.type == "cpu":
        raise InputError("precision 16 needs a GPU; use bf16 or 32 on a CPU")
    start = bundled_models().get(str(start_from), Path(start_from).expanduser())
    check_not_start(folder, start)
    tracker = load_model(str(start_from), "cpu")
    refuse_other_dimensions(movies, int(tracker.config["coord_dim"]))
    sampler, cuts = windows_to_train_on(
        movies, settings, tracker.config["window"], tracker.view, **_windows_for(tracker, settings)
    )
    tuner = LayerFineTuner(tracker, settings=settings)
    run: dict[str, Any] = {
        "movies": [movie.name for movie in movies],
        "start_from": str(start_from),
        "start_weights": weights_digest(tracker.transformer),
        **asdict(settings),
    }
    with output_folder(folder, overwrite=True):  # what is there is looked at next
        checkpoint = checkpoint_to_continue(folder, run, overwrite=overwrite)
        if checkpoint is not None and is_finished(checkpoint, settings):
            report(f"{folder} holds a finished run; nothing is left to train")
            return folder
        described = {**run, "first_held_out_frame": cuts, "delta_cutoff": tracker.delta_cutoff}
        validation = HeldOutValidation(movies, cuts, folder, described, report, tracker.view)
        fit(
            tuner, sampler, validation, folder, checkpoint,
            device=chosen, precision=_PRECISIONS[precision], progress=progress,
        )  # fmt: skip
    if left_out := {name: n for name, n in tuner.left_out.items() if n}:
        report("left out of the loss: " + ", ".join(f"{n} {name[2:]}" for name, n in left_out.items()))
    return folder


def _windows_for(tracker: TrackastraTracker, settings: FineTuningSettings) -> dict[str, Any]:
    """Options of `WindowSampler` for a model as it is.

    Raises:
        InputError: The model cannot be trained on such windows.
    """
    usual = tracker.view.usual
    if settings.max_gap > tracker.delta_cutoff:
        raise InputError(
            f"the model was trained on links over up to {tracker.delta_cutoff} frames, got max_gap {settings.max_gap}; "
            "train one from scratch on longer ones"
        )
    if usual is None:
        if settings.simulated:
            raise InputError(
                "the model has no usual size of cells to simulate windows in; expected simulated 0"
            )
        return {"max_gap": settings.max_gap}
    ndim = int(tracker.config["coord_dim"])
    return {
        "max_gap": settings.max_gap,
        "augmentation": Augmentation(scale=1.5, points=0.25 if tracker.view.takes_points else 0.0),
        "simulated": SimulatedWindows(ndim, usual.diameter) if settings.simulated else None,
        "simulated_share": settings.simulated,
    }


def fine_tune(
    folders: Sequence[str | os.PathLike[str]],
    start_from: str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: FineTuningSettings | None = None,
    *,
    segmentation: Sequence[FramesLike] | None = None,
    device: str = "auto",
    overwrite: bool = False,
    report: Callable[[str], None] = print,
    progress: bool = False,
) -> Path:
    """Fine-tune on annotated sequences, as `read_movies` reads them; see `fine_tune_on_movies`.

    Raises:
        InputError: As `read_movies` and `fine_tune_on_movies`.
    """
    choose_device(device)
    movies = read_and_report(folders, report, segmentation=segmentation, progress=progress)
    return fine_tune_on_movies(
        movies,
        start_from,
        output,
        settings,
        device=device,
        overwrite=overwrite,
        report=report,
        progress=progress,
    )
