"""Every command that writes, in a small world of files, and what its output is held against."""

import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
import torch

from tests.faults.runner import Ended, Runner

_TRAIN = ("--steps", "2", "--validate-every", "1", "--d-model", "72", "--n-layers", "1", "--batch-size", "2")
_QUIET = ("--quiet",)
_DOWNLOAD = ("--any-version", "--keep-archive", *_QUIET)


@dataclass(frozen=True)
class Command:
    """A command line in the world that `make_world` makes.

    Attributes:
        name: What to call it.
        arguments: The command line.
        outputs: What it writes, by paths in the world.
        again: Arguments with which it replaces its complete output; None where it does so without any.
        replaces: Whether its output is there before.
        whole: Whether all of its output appears at once.
    """

    name: str
    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    again: tuple[str, ...] | None = ("--overwrite",)
    replaces: bool = False
    whole: bool = True


COMMANDS = (
    Command("track points", ("track", "--points", "spots.csv", "-o", "new/out", "--quiet"), ("new/out",)),
    Command("track masks", ("track", "-m", "seg", "-o", "new", "--tracker", "overlap", "--quiet"), ("new",)),
    Command(
        "track over earlier results",
        ("track", "--points", "spots.csv", "-o", "old", "--temperature", "2", "--quiet", "--overwrite"),
        ("old",),
        again=(),
        replaces=True,
    ),
    Command(
        "track over earlier results and notes",
        ("track", "-m", "seg", "-o", "notes", "--tracker", "overlap", "--quiet", "--overwrite"),
        ("notes",),
        again=(),
        replaces=True,
    ),
    Command("doubt", ("doubt", "theirs.csv", "-o", "new", "--quiet"), ("new",)),
    Command("correct", ("correct", "tracked", "decisions.csv", "-o", "new", "--quiet"), ("new",)),
    Command(
        "export", ("export", "tracked", "--to", "trackmate", "-o", "new/tracks.xml"), ("new/tracks.xml",)
    ),
    Command("sample", ("sample", "tracked", "-n", "5", "-o", "new/list.csv"), ("new/list.csv",)),
    Command(
        "lineages",
        ("lineages", "tracked", "-n", "20", "-o", "new/counts.csv"),
        ("new/counts.csv", "new/counts.png"),
        whole=False,
    ),
    Command(
        "fit",
        ("fit", "set/01", "--tracker", "distance", "-o", "new/T.json", *_QUIET),
        ("new/T.json",),
        again=(),
    ),
    Command(
        "evaluate",
        (
            "evaluate",
            "set/01",
            "--tracker",
            "distance",
            "--json",
            "new/e.json",
            "--picture",
            "new/e.png",
            "--quiet",
        ),
        ("new/e.json", "new/e.png"),
        again=(),
        whole=False,
    ),
    Command(
        "simulate",
        ("simulate", "-o", "new", "--frames", "5", "--cells", "9", "--size", "60,60", *_QUIET),
        ("new",),
    ),
    Command(
        "plan",
        (
            *("plan", "-o", "new/plan.csv", "--density", "9", "--speed", "1", "--every", "1,2"),
            *("--cells", "9", "--frames", "3", "--repeats", "2", *_QUIET),
        ),
        ("new/plan.csv", "new/plan.png"),
        whole=False,
    ),
    Command("train", ("train", "set/01", "-o", "new", *_TRAIN, "--device", "cpu"), ("new",), whole=False),
    Command(
        "download",
        ("download", "Fluo-N2DL-HeLa", "-o", "data", *_DOWNLOAD),
        ("data/Fluo-N2DL-HeLa",),
        again=(),
    ),
)
BY_NAME = {command.name: command for command in COMMANDS}
_VARYING = {
    "settings.json",
    "report.html",
    "state.npz",
    ".zattrs",
    "zarr.json",
    "SOURCE.txt",
    "last.ckpt",
    "T.json",
    "validation.csv",
}
"""They hold a date, or what a run took."""


def make_world(place: Path, runner: Runner) -> None:
    """Inputs of all commands, and results of earlier ones."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 60, (8, 2))
    paths = start + np.cumsum(rng.normal(0, 1, (10, 8, 2)), axis=0)
    table = pd.DataFrame(paths.reshape(-1, 2), columns=["y", "x"]).assign(frame=np.repeat(np.arange(10), 8))
    table.to_csv(place / "spots.csv", index=False)
    theirs = table.assign(particle=np.tile(np.arange(8), 10))
    theirs.to_csv(place / "theirs.csv", index=False)
    masks = np.zeros((6, 48, 48), np.uint16)
    for t in range(6):
        masks[t, 5:15, 5 + t : 15 + t], masks[t, 20:30, 30:42], masks[t, 34 : 40 + t, 6:14] = 1, 2, 3
    annotation = place / "set" / "01_GT" / "TRA"
    annotation.mkdir(parents=True)
    (place / "seg").mkdir()
    for t, mask in enumerate(masks):
        tifffile.imwrite(annotation / f"man_track{t:03d}.tif", mask)
        tifffile.imwrite(place / "seg" / f"mask{t:03d}.tif", mask)
    (annotation / "man_track.txt").write_text("1 0 5 0\n2 0 5 0\n3 0 5 0\n")
    (place / "data").mkdir()
    with zipfile.ZipFile(place / "data" / "Fluo-N2DL-HeLa.zip", "w") as archive:
        for file in sorted((place / "set").rglob("*.*")):
            archive.write(file, Path("Fluo-N2DL-HeLa") / file.relative_to(place / "set"))
    for out in ("tracked", "old", "notes"):
        ended = runner.run(("track", "--points", "spots.csv", "-o", out, "--quiet"), place)
        assert ended.status == 0, ended.err
    (place / "notes" / "decisions.csv").write_text("mine")
    (place / "notes" / "pictures").mkdir()
    (place / "notes" / "pictures" / "mask000.tif").write_text("mine")
    cells = pd.read_csv(place / "tracked" / "cells.csv")
    first = cells.loc[cells["frame"] == 3].iloc[0]
    text = f"frame,label,verdict,mother_frame,mother\n3,{int(first['label'])},none,,\n"
    (place / "decisions.csv").write_text(text)


def snapshot(place: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path there."""
    found = (item for item in sorted(place.rglob("*")) if item.is_file())
    return {str(item.relative_to(place)): item.read_bytes() for item in found}


def comparable(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same without content that differs from run to run."""
    return {name: b"" if Path(name).name in _VARYING else content for name, content in files.items()}


def split(files: dict[str, bytes], command: Command) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A command's output, and all else."""
    outputs = tuple(f"{output}/" for output in command.outputs)
    ours = {n: c for n, c in files.items() if f"{n}/".startswith(outputs)}
    return ours, {n: c for n, c in files.items() if n not in ours}


def temporary(files: dict[str, bytes]) -> list[str]:
    """Paths that bear one of our temporary names."""
    return [name for name in files if ".uq-" in name]


def check_loads(command: Command, place: Path) -> None:
    """What a killed training run leaves under final names is whole."""
    if command.name == "train":
        for name in ("model.pt", "last.ckpt"):
            if (place / "new" / name).exists():
                torch.load(place / "new" / name, weights_only=True, map_location="cpu")


class World:
    """A folder with all inputs, copied for every trial.

    Args:
        template: What `make_world` made.
        place: Where trials go.
        runner: Runs the commands.
    """

    def __init__(self, template: Path, place: Path, runner: Runner) -> None:
        self.template, self.place, self.runner = template, place, runner
        self.before = snapshot(template)
        self.count = 0
        self._reference: dict[str, tuple[dict[str, bytes], Ended]] = {}

    def fresh(self) -> Path:
        """A copy of the inputs."""
        self.count += 1
        copy = self.place / str(self.count)
        shutil.copytree(self.template, copy)
        return copy

    def reference(self, command: Command) -> tuple[dict[str, bytes], Ended]:
        """What the command writes where nothing happens, and how it ends."""
        if command.name not in self._reference:
            copy = self.fresh()
            ended = self.runner.run(command.arguments, copy)
            assert ended.status == 0, ended.err
            assert "Traceback" not in ended.err
            files = snapshot(copy)
            assert not temporary(files)
            output, others = split(files, command)
            assert others == split(self.before, command)[1]
            self._reference[command.name] = (output, ended)
            shutil.rmtree(copy)
        return self._reference[command.name]

    def check_after_fault(self, command: Command, copy: Path) -> str:
        """All that must hold after a command was killed or failed; returns what was left: "before" or "complete".

        Nothing else was touched, output is as before or complete (or, of commands that write step by step, each file is
        whole), and the same command again ends well, with the same result and without litter.
        """
        output, others = split(snapshot(copy), command)
        expected, _ = self.reference(command)
        was = split(self.before, command)[0]
        litter = temporary(others)
        kept = {name: content for name, content in others.items() if name not in litter}
        assert kept == split(self.before, command)[1], "files of others were touched"
        final = {name: content for name, content in output.items() if ".uq-" not in name}
        for name in ("notes/decisions.csv", "notes/pictures/mask000.tif"):
            assert (copy / name).read_text() == "mine"
        complete = comparable(final) == comparable(expected)
        check_loads(command, copy)
        if command.whole and not command.replaces:
            assert complete or final == was, f"partial output under a final name: {sorted(final)}"
        return self._again(command, copy, complete)

    def _again(self, command: Command, copy: Path, complete: bool) -> str:
        again: Sequence[str] = ()
        if complete and command.again is None:
            return "complete"
        if complete and command.name != "train":
            again = command.again or ()
        ended = self.runner.run((*command.arguments, *again), copy)
        if ended.status == 2 and "--overwrite" in ended.err and not command.whole:
            ended = self.runner.run((*command.arguments, "--overwrite"), copy)
        assert ended.status == 0, ended.err
        assert "Traceback" not in ended.err, ended.err
        output, others = split(snapshot(copy), command)
        expected, _ = self.reference(command)
        assert not temporary(output), temporary(output)
        assert not temporary(others), temporary(others)
        assert comparable(output) == comparable(expected), "the rerun gave something else"
        assert not list(copy.rglob("*.uq-*")), "folders were left"
        shutil.rmtree(copy)
        return "complete" if complete else "before"
