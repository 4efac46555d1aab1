"""Train a Trackastra model on annotated movies from scratch."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.read import read_movies
from torchtrack_uq.movies.frames import FramesLike
from torchtrack_uq.trackers.trackastra.view import ModelView, UsualSize
from torchtrack_uq.training.augment import Augmentation
from torchtrack_uq.training.callbacks import HeldOutValidation
from torchtrack_uq.training.module import LinkScorer, build_model
from torchtrack_uq.training.run import (
    checkpoint_to_continue,
    fit,
    is_finished,
    refuse_other_dimensions,
    windows_to_train_on,
)
from torchtrack_uq.training.settings import TrainingSettings
from torchtrack_uq.training.simulated import SimulatedWindows
from torchtrack_uq.utils.device import choose_device
from torchtrack_uq.utils.staged_folder import output_folder


def train_on_movies(
    movies: Sequence[AnnotatedMovie],
    output: str | os.PathLike[str],
    settings: TrainingSettings | None = None,
    *,
    device: str = "auto",
    overwrite: bool = False,
    report: Callable[[str], None] = print,
    progress: bool = False,
) -> Path:
    """Train a model and save it as a Trackastra folder; resumes where an interrupted run stopped.

    Args:
        movies: Annotated movies in the dimensions of the settings, with the features of `Detections.from_movie`
            unless `settings.points` is positive; may be none where windows are simulated.
        output: Folder that gets the model (`config.yaml`, `train_config.yaml`, `model.pt`: the best by
            held-out accuracy), `validation.csv`, `run.yaml` and `last.ckpt`, which is continued if it is
            already there, with the same settings or a longer budget.
        settings: What to compute; defaults to `TrainingSettings()`.
        device: "auto", "cpu", "cuda" or "cuda:1", as `choose_device`.
        overwrite: Begin anew, whatever run or model is in the folder.
        report: Gets a line after each validation.
        progress: Show Lightning's progress bar.

    Returns:
        The folder.

    Raises:
        InputError: A movie cannot be trained on, the folder belongs to a run with other settings or holds
            something else, or there is no such device.
    """
    settings = settings or TrainingSettings()
    folder = Path(output)
    chosen = choose_device(device)
    refuse_other_dimensions(movies, settings.ndim)
    view = ModelView(
        UsualSize(settings.usual_diameter, settings.usual_spacing),
        takes_points=settings.points > 0,
        without_common_motion=not settings.common_motion,
    )
    sampler, cuts = windows_to_train_on(
        movies,
        settings,
        settings.window,
        view,
        max_gap=settings.max_gap,
        augmentation=Augmentation(scale=1.5, points=settings.points),
        simulated=SimulatedWindows(settings.ndim, settings.usual_diameter) if settings.simulated else None,
        simulated_share=settings.simulated,
    )
    run: dict[str, Any] = {"movies": [movie.name for movie in movies], **asdict(settings)}
    with output_folder(folder, overwrite=True):  # what is there is looked at next
        checkpoint = checkpoint_to_continue(folder, run, overwrite=overwrite)
        if checkpoint is not None and is_finished(checkpoint, settings):
            report(f"{folder} holds a finished run; nothing is left to train")
            return folder
        described = {**run, "first_held_out_frame": cuts, "delta_cutoff": settings.max_gap}
        validation = HeldOutValidation(movies, cuts, folder, described, report, view)
        scorer = LinkScorer(build_model(settings), settings)
        fit(scorer, sampler, validation, folder, checkpoint, device=chosen, progress=progress)
    return folder


def train(
    folders: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    settings: TrainingSettings | None = None,
    *,
    segmentation: Sequence[FramesLike] | None = None,
    device: str = "auto",
    overwrite: bool = False,
    report: Callable[[str], None] = print,
    progress: bool = False,
) -> Path:
    """Train on annotated sequences, as `read_movies` reads them; see `train_on_movies`.

    Raises:
        InputError: As `read_movies` and `train_on_movies`.
    """
    choose_device(device)
    movies = read_and_report(folders, report, segmentation=segmentation, progress=progress)
    return train_on_movies(
        movies, output, settings, device=device, overwrite=overwrite, report=report, progress=progress
    )


def read_and_report(
    folders: Sequence[str | os.PathLike[str]],
    report: Callable[[str], None],
    *,
    segmentation: Sequence[FramesLike] | None = None,
    progress: bool,
) -> list[AnnotatedMovie]:
    """Read sequences, `NAME/01` each, perhaps with masks of their own, and say what is in them.

    Raises:
        InputError: As `read_movies`.
    """
    movies = list(read_movies(folders, segmentation=segmentation, progress=progress))
    for movie in movies:
        counts = movie.summary()
        report(
            f"{movie.name}: {counts['n_frames']} frames, {counts['n_cells']} cells, {counts['n_links']} "
            f"links, {counts['n_divisions']} divisions, "
            f"{'with' if movie.detections.has_images else 'without'} images"
        )
    return movies
