"""Train a Trackastra model on annotated movies: the work behind `torchtrack-uq train`."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml

from torchtrack_uq.atomic import write_atomically
from torchtrack_uq.datasets.ctc import read_ctc_sequence
from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.device import choose_device
from torchtrack_uq.errors import InputError
from torchtrack_uq.training.callbacks import CHECKPOINT, HeldOutValidation
from torchtrack_uq.training.data_module import WindowDataModule
from torchtrack_uq.training.module import LinkScorer, build_model
from torchtrack_uq.training.sampler import WindowSampler
from torchtrack_uq.training.settings import TrainingSettings

_OUTPUT_FILES = {"run.yaml", "validation.csv", "config.yaml", "train_config.yaml", "model.pt", CHECKPOINT}
_MAY_CHANGE = {"steps", "minutes", "validate_every"}  # when a run is continued
_ARGUMENTS = {
    "steps": "optimiser steps",
    "minutes": "time budget; training ends when either steps or minutes are used up",
    "seed": "seed of weights and windows",
    "held_out": "share of each movie, its last frames, used for validation only",
    "batch_size": "windows in a step",
    "max_cells": "cells in a window, at most",
    "learning_rate": "highest learning rate",
    "warmup_steps": "steps of linear warm-up",
    "weight_decay": "of AdamW",
    "averaging": "decay of the running average of the weights",
    "validate_every": "steps between checkpoints, each with a validation",
    "window": "frames that the model sees at once",
    "d_model": "width of the embeddings",
    "n_heads": "attention heads",
    "n_layers": "encoder layers, and as many decoder layers",
    "dropout": "dropout in attention",
    "spatial_cutoff": "longest link in pixels",
}


def first_held_out_frame(movie: AnnotatedMovie, held_out: float) -> int:
    """The first frame of the last `held_out` share of a movie's frames.

    >>> from torchtrack_uq.datasets import Lineage
    >>> from torchtrack_uq.detections import Detections
    >>> import numpy as np
    >>> cells = Detections.from_points(np.arange(10), np.zeros((10, 2)), label=np.ones(10, int))
    >>> first_held_out_frame(AnnotatedMovie("one cell", cells, Lineage.from_rows([(1, 0, 9, 0)])), 0.2)
    8
    """
    return round(movie.detections.n_frames * (1 - held_out))


def train_on_movies(
    movies: Sequence[AnnotatedMovie],
    output: str | os.PathLike[str],
    settings: TrainingSettings | None = None,
    *,
    device: str = "auto",
    report: Callable[[str], None] = print,
    progress: bool = False,
) -> Path:
    """Train a model and save it as a Trackastra folder; resumes where an interrupted run stopped.

    Args:
        movies: Annotated movies, 2D, with the features of `Detections.from_movie`.
        output: Folder that gets the model (`config.yaml`, `train_config.yaml`, `model.pt`: the best by
            held-out accuracy), `validation.csv`, `run.yaml` and `last.ckpt`, which is continued if it is
            already there, with the same settings or a longer budget.
        settings: What to compute; defaults to `TrainingSettings()`.
        device: "auto", "cpu", "cuda" or "cuda:1", as `choose_device`.
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
    for movie in movies:
        if movie.detections.ndim != 2:
            raise InputError(f"{movie.name} is {movie.detections.ndim}D; this trains 2D models")
    cuts = [first_held_out_frame(movie, settings.held_out) for movie in movies]
    sampler = WindowSampler(
        [movie.frames(0, cut) for movie, cut in zip(movies, cuts, strict=True)],
        window=settings.window,
        max_cells=settings.max_cells,
        seed=settings.seed,
    )
    checkpoint = _checkpoint_to_continue(folder, settings, [movie.name for movie in movies])
    if checkpoint is not None and _is_finished(checkpoint, settings):
        report(f"{folder} holds a finished run; nothing is left to train")
        return folder
    description: dict[str, Any] = {
        "movies": [movie.name for movie in movies],
        "first_held_out_frame": cuts,
        **asdict(settings),
    }
    validation = HeldOutValidation(movies, cuts, folder, description, report)
    scorer = LinkScorer(build_model(settings), settings)
    with _quiet_lightning():
        trainer = pl.Trainer(
            accelerator=chosen.type,
            devices=1 if chosen.index is None or chosen.type == "cpu" else [chosen.index],
            max_steps=settings.steps,
            gradient_clip_val=5.0,
            callbacks=[validation],
            logger=False,
            enable_checkpointing=False,
            default_root_dir=folder,
            reload_dataloaders_every_n_epochs=1,
            enable_model_summary=False,
            enable_progress_bar=progress,
            num_sanity_val_steps=0,
        )
        data = WindowDataModule(
            sampler, settings.batch_size, settings.steps, pack_apart=1.1 * settings.spatial_cutoff
        )
        trainer.fit(scorer, datamodule=data, ckpt_path=checkpoint)
    return folder


def train(
    folders: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    settings: TrainingSettings | None = None,
    *,
    device: str = "auto",
    report: Callable[[str], None] = print,
    progress: bool = False,
) -> Path:
    """Train on Cell Tracking Challenge sequences, `NAME/01` each; see `train_on_movies`.

    Raises:
        InputError: As `read_ctc_sequence` and `train_on_movies`.
    """
    choose_device(device)
    movies = [read_ctc_sequence(folder, progress=progress) for folder in folders]
    for movie in movies:
        counts = movie.summary()
        report(
            f"{movie.name}: {counts['n_frames']} frames, {counts['n_cells']} cells, {counts['n_links']} "
            f"links, {counts['n_divisions']} divisions, "
            f"{'with' if movie.detections.has_images else 'without'} images"
        )
    return train_on_movies(movies, output, settings, device=device, report=report, progress=progress)


def _checkpoint_to_continue(folder: Path, settings: TrainingSettings, movies: list[str]) -> Path | None:
    """The checkpoint of a run with the same movies and settings, budget aside; None for a new run."""
    checkpoint = folder / CHECKPOINT
    run_file = folder / "run.yaml"
    run = {"movies": movies, **asdict(settings)}
    if checkpoint.is_file() and run_file.is_file():
        before = yaml.safe_load(run_file.read_text())
        fixed = run.keys() - _MAY_CHANGE
        if changed := sorted(key for key in fixed if before.get(key) != run[key]):
            raise InputError(
                f"{folder} holds a run with other {', '.join(changed)}; "
                "continue it with the same, or choose another output folder"
            )
        write_atomically(run_file, yaml.safe_dump(run).encode())
        return checkpoint
    if folder.exists() and any(file.name not in _OUTPUT_FILES for file in folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no run to continue; choose another output folder")
    write_atomically(run_file, yaml.safe_dump(run).encode())
    return None


def _is_finished(checkpoint: Path, settings: TrainingSettings) -> bool:
    """Whether a run with these settings has used up its steps or minutes."""
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        steps, seconds = int(state["global_step"]), float(state["link_scorer"]["seconds"])
    except Exception as error:
        raise InputError(f"{checkpoint} cannot be read, remove it to start again: {error}") from error
    return steps >= settings.steps or (settings.minutes is not None and seconds >= 60 * settings.minutes)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Without Lightning's notes on hardware and its advice on workers, which does not apply here."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings(
                "ignore", message=".*ended before the epoch ended.*"
            )  # see WindowDataModule
            warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
            warnings.filterwarnings("ignore", message=r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*")
            yield
    finally:
        logger.setLevel(level)


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `torchtrack-uq train`; `run_train` runs what they ask for."""
    default = TrainingSettings()
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="CTC_FOLDER", help="sequence, such as data/NAME/01"
    )
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FOLDER", help="gets the model")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    for name, text in _ARGUMENTS.items():
        value = getattr(default, name)
        kind = float if name == "minutes" else type(value)
        shown = "" if value is None else f" (default {value})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=value, help=text + shown)
    parser.add_argument(
        "--random-start", action="store_true", help="initialise at random, as Trackastra does"
    )


def run_train(args: argparse.Namespace) -> int:
    """Train as `add_train_arguments` asks for; returns the exit code 0."""
    names = [*_ARGUMENTS, "random_start"]
    settings = TrainingSettings(**{name: getattr(args, name) for name in names})
    folder = train(args.folders, args.output, settings, device=args.device, progress=sys.stderr.isatty())
    print(f"Model saved in {folder}; use it with --model {folder}")
    return 0
