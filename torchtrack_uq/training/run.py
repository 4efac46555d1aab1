"""What training runs share: their output folder, resuming, and Lightning's trainer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
import yaml

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.trackers.trackastra.folder import EVENT_HEADS
from torchtrack_uq.trackers.trackastra.view import ModelView
from torchtrack_uq.training.callbacks import CHECKPOINT
from torchtrack_uq.training.checkpoint_file import WholeCheckpoints
from torchtrack_uq.training.module import LinkScorer
from torchtrack_uq.training.quiet import plain_interruptions, quiet_lightning
from torchtrack_uq.training.sampler import WindowSampler
from torchtrack_uq.training.settings import RunSettings
from torchtrack_uq.training.window_data import WindowDataModule
from torchtrack_uq.utils.files import write_atomically
from torchtrack_uq.utils.temporary_names import is_temporary

_OUTPUT_FILES = {
    "run.yaml",
    "validation.csv",
    "config.yaml",
    "train_config.yaml",
    "model.pt",
    EVENT_HEADS,
    CHECKPOINT,
}
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
_MAY_CHANGE = {"steps", "minutes", "validate_every"}  # when a run is continued


def first_held_out_frame(movie: AnnotatedMovie, held_out: float) -> int:
    """The first frame of the last `held_out` share of a movie's frames.

    >>> from torchtrack_uq.datasets import Lineage
    >>> from torchtrack_uq.movies.detections import Detections
    >>> import numpy as np
    >>> cells = Detections.from_points(np.arange(10), np.zeros((10, 2)), label=np.ones(10, int))
    >>> first_held_out_frame(AnnotatedMovie("one cell", cells, Lineage.from_rows([(1, 0, 9, 0)])), 0.2)
    8
    """
    return round(movie.detections.n_frames * (1 - held_out))


def refuse_other_dimensions(movies: Sequence[AnnotatedMovie], ndim: int) -> None:
    """Raise InputError where a movie has not the dimensions of the model."""
    for movie in movies:
        if movie.detections.ndim != ndim:
            raise InputError(f"{movie.name} is {movie.detections.ndim}D; this trains a {ndim}D model")


def windows_to_train_on(
    movies: Sequence[AnnotatedMovie], settings: RunSettings, window: int, view: ModelView, **options: Any
) -> tuple[WindowSampler, list[int]]:
    """Windows of the frames that are not held out, and the first held-out frame of each movie.

    Args:
        movies: Annotated movies.
        settings: Of the run.
        window: Frames of a window.
        view: How the model sees movies.
        options: Others of `WindowSampler`.

    Raises:
        InputError: A movie cannot be trained on.
    """
    cuts = [first_held_out_frame(movie, settings.held_out) for movie in movies]
    kept = [movie.frames(0, cut) for movie, cut in zip(movies, cuts, strict=True)]
    sampler = WindowSampler(
        kept, window=window, max_cells=settings.max_cells, seed=settings.seed, view=view, **options
    )
    return sampler, cuts


def checkpoint_to_continue(folder: Path, run: Mapping[str, Any], *, overwrite: bool = False) -> Path | None:
    """The checkpoint of an earlier run in a folder, None for a new run; writes down what the run computes.

    Args:
        folder: The output folder.
        run: Everything that decides what is computed; a continued run may differ in its budget only.
        overwrite: Begin anew, whatever run or model is there; its model stays until the new run has one.

    Raises:
        InputError: The folder holds another run, a finished model that no checkpoint belongs to, or something else.
    """
    checkpoint, run_file, model = folder / CHECKPOINT, folder / "run.yaml", folder / "model.pt"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; expected a folder for the model")
    others = (item.name for item in folder.iterdir()) if folder.exists() else ()
    if any(name not in _OUTPUT_FILES and not is_temporary(name) for name in others):
        raise InputError(f"{folder} is not empty and holds no run to continue; choose another output folder")
    if overwrite:
        checkpoint.unlink(missing_ok=True)  # first, since it would be continued
        (folder / "validation.csv").unlink(missing_ok=True)
    elif run_file.is_file() and (checkpoint.is_file() or model.is_file()):
        before = _read_yaml(run_file)
        fixed = (run.keys() | before.keys()) - _MAY_CHANGE
        if changed := sorted(str(key) for key in fixed if before.get(key) != run.get(key)):
            raise InputError(
                f"{folder} holds a run with other {', '.join(changed)}; "
                "continue it with the same, choose another output folder, or begin anew with --overwrite"
            )
    if not overwrite and model.is_file() and not checkpoint.is_file():
        done = _read_yaml(folder / "train_config.yaml").get("steps_done")
        if not run_file.is_file() or not isinstance(done, int) or done >= run["steps"]:
            raise InputError(
                f"{folder} holds a finished model and no {CHECKPOINT} to continue from; choose another output folder, "
                "or replace the model with --overwrite"
            )
    write_atomically(run_file, yaml.safe_dump(dict(run)).encode())
    return checkpoint if checkpoint.is_file() else None


def _read_yaml(file: Path) -> dict[str, Any]:
    """Empty where there is no such file."""
    if not file.exists():
        return {}
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} holds no table of settings; remove it to begin anew")
    return content


def is_finished(checkpoint: Path, settings: RunSettings) -> bool:
    """Whether a run with these settings has used up its steps or minutes.

    Raises:
        InputError: The checkpoint is damaged.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        steps, seconds = int(state["global_step"]), float(state["link_scorer"]["seconds"])
    except Exception as error:
        raise InputError(f"{checkpoint} cannot be read, remove it to start again: {error}") from error
    return steps >= settings.steps or (settings.minutes is not None and seconds >= 60 * settings.minutes)


def fit(
    scorer: LinkScorer,
    sampler: WindowSampler,
    validation: pl.Callback,
    folder: Path,
    checkpoint: Path | None,
    *,
    device: torch.device,
    precision: Precision = "32-true",
    progress: bool = False,
) -> None:
    """Train a scorer on windows until its settings' budget is used up.

    Args:
        scorer: The module.
        sampler: The windows.
        validation: Validates and saves.
        folder: The output folder.
        checkpoint: To continue, or None.
        device: From `choose_device`.
        precision: As Lightning calls it.
        progress: Show Lightning's progress bar.
    """
    settings = scorer.settings
    with quiet_lightning():
        trainer = pl.Trainer(
            accelerator=device.type,
            devices=1 if device.index is None or device.type == "cpu" else [device.index],
            precision=precision,
            max_steps=settings.steps,
            gradient_clip_val=5.0,
            callbacks=[validation],
            plugins=[WholeCheckpoints()],
            logger=False,
            enable_checkpointing=False,
            default_root_dir=folder,
            reload_dataloaders_every_n_epochs=1,
            enable_model_summary=False,
            enable_progress_bar=progress,
            num_sanity_val_steps=0,
        )
        apart = 1.1 * scorer.model.config["spatial_pos_cutoff"]
        data = WindowDataModule(sampler, settings.batch_size, settings.steps, pack_apart=apart)
        with plain_interruptions():
            trainer.fit(scorer, datamodule=data, ckpt_path=checkpoint)
