"""`torchtrack-uq train`."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from torchtrack_uq.cli.shared import add_segmentation_argument
from torchtrack_uq.errors import InputError
from torchtrack_uq.training.settings import FineTuningSettings, TrainingSettings
from torchtrack_uq.utils.ending_signals import Stopped
from torchtrack_uq.utils.output_checks import check_apart, check_not_start
from torchtrack_uq.utils.staged_folder import output_folder

_RUN = {
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
    "max_gap": "longest links to learn, in frames",
    "simulated": "share of simulated windows",
}
_FROM_SCRATCH = {
    "window": "frames that the model sees at once",
    "d_model": "width of the embeddings",
    "n_heads": "attention heads",
    "n_layers": "encoder layers, and as many decoder layers",
    "dropout": "dropout in attention",
    "spatial_cutoff": "longest link in pixels",
    "random_start": "initialise at random, as Trackastra does",
    "ndim": "dimensions of the model, 2 or 3",
    "usual_diameter": "diameter of cells in pixels of the model, which scales every movie to it",
    "usual_spacing": "the same for points: distance of nearest neighbours",
    "common_motion": "leave in the windows what neighbours have in common in how they move",
    "points": "share of windows without features; above 0 the model takes points as well",
}
_FINE_TUNING = {
    "train": "which weights: all, heads, or events (heads that score events from the embeddings)",
    "method": "the layer's method (default auto for joint, SM for daughters)",
    "learn_events": "learn scores of appearing, disappearing and dividing as well",
    "learn_temperature": "learn the temperature as well",
    "scale_factor": "learning rate of event scores and temperature, relative to that of the weights",
    "max_candidates": "mothers that compete for a daughter, beside the true one",
    "precision": "32, bf16 or 16; auto is bf16 on a GPU",
}


def add_commands(commands: Any) -> None:
    """Add `train` to a parser's commands."""
    parser = commands.add_parser("train", help="train a Trackastra model on annotated movies")
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="CTC_FOLDER", help="sequence, such as data/NAME/01"
    )
    add_segmentation_argument(parser)
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="FOLDER", help="gets the model")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="begin anew although FOLDER holds a model or a run; without it the same run is continued",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    scratch, tuning = TrainingSettings(), FineTuningSettings()
    shared = parser.add_argument_group("every run")
    for name, text in _RUN.items():
        values = getattr(scratch, name), getattr(tuning, name)
        if values[0] != values[1]:
            text += f" (default {values[0]}, with --start-from {values[1]})"
        _add(shared, name, values[0], text)
    group = parser.add_argument_group("from scratch")
    for name, text in _FROM_SCRATCH.items():
        _add(group, name, getattr(scratch, name), text)
    group = parser.add_argument_group("fine-tuning through the uncertainty layer")
    group.add_argument("--start-from", metavar="MODEL", help="small_2d, a model folder or a published model")
    group.add_argument(
        "--through-layer",
        choices=("joint", "daughters"),
        help="loss: log-likelihood of whole assignments (default), or of each daughter's mother",
    )
    for name, text in _FINE_TUNING.items():
        _add(group, name, getattr(tuning, name), text)
    parser.set_defaults(run=_train)


def _train(args: argparse.Namespace) -> None:
    read = [Path(path) for path in (*args.folders, *(args.segmentation or []))]
    if args.start_from:
        check_not_start(args.output, Path(args.start_from))
        read.append(Path(args.start_from))
    check_apart(args.output, read)
    with output_folder(args.output, overwrite=True), _what_is_kept(args.output):
        _train_into(args)


@contextmanager
def _what_is_kept(folder: Path) -> Iterator[None]:
    """After Ctrl-C or a signal, say what goes on from where."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        kept = (folder / "last.ckpt").is_file()
        said = f"{str(interrupt) or 'interrupted'}; " + (
            f"the same command goes on from the last checkpoint in {folder}"
            if kept
            else "there is no checkpoint yet"
        )
        if isinstance(interrupt, Stopped):
            raise Stopped(said, interrupt.number) from interrupt
        raise KeyboardInterrupt(said) from interrupt


def _train_into(args: argparse.Namespace) -> None:
    from torchtrack_uq.training.fine_tuning import fine_tune
    from torchtrack_uq.training.from_scratch import train

    options: dict[str, Any] = {
        "device": args.device,
        "overwrite": args.overwrite,
        "progress": sys.stderr.isatty(),
        "segmentation": args.segmentation,
    }
    if args.start_from is None:
        _refuse(args, [*_FINE_TUNING, "through_layer"], "fine-tuning: give --start-from MODEL as well")
        folder = train(
            args.folders, args.output, TrainingSettings(**_given(args, TrainingSettings)), **options
        )
    else:
        _refuse(args, list(_FROM_SCRATCH), "training from scratch; with --start-from the model decides")
        loss: Any = args.through_layer or "joint"
        settings = FineTuningSettings(loss=loss, **_given(args, FineTuningSettings))
        folder = fine_tune(args.folders, args.start_from, args.output, settings, **options)
    print(f"Model saved in {folder}; use it with --model {folder}")


def _add(group: Any, name: str, default: Any, text: str) -> None:
    """An option that leaves no trace if it is not given, so that each kind of run has its own default."""
    option = f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        group.add_argument(option, action="store_true", default=argparse.SUPPRESS, help=text)
        return
    kind = {"minutes": float, "method": str}.get(name, type(default))
    shown = "" if default is None or "default" in text else f" (default {default})"
    group.add_argument(option, type=kind, default=argparse.SUPPRESS, help=text + shown)


def _given(args: argparse.Namespace, settings: type[Any]) -> dict[str, Any]:
    return {item.name: getattr(args, item.name) for item in fields(settings) if item.name in args}


def _refuse(args: argparse.Namespace, names: list[str], what: str) -> None:
    for name in names:
        if getattr(args, name, None) is not None:
            raise InputError(f"--{name.replace('_', '-')} is for {what}")
