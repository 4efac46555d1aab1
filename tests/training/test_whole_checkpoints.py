"""A model that was trained is never lost: not by interruptions, full disks, or another run in its folder."""

import errno
import os
import resource
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from tests.support.forked import end_of, in_child, kill_at, needs_fork, start
from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.trackers.trackastra.folder import load_folder
from torchtrack_uq.training import LinkScorer, TrainingSettings, train_on_movies
from torchtrack_uq.training.checkpoint_file import WholeCheckpoints
from torchtrack_uq.utils.ending_signals import stopping_signals
from torchtrack_uq.utils.staged_folder import output_folder

TINY = TrainingSettings(
    steps=4, validate_every=2, d_model=72, n_layers=1, batch_size=2, warmup_steps=2, max_cells=40
)
FILES = {"run.yaml", "validation.csv", "config.yaml", "train_config.yaml", "model.pt", "last.ckpt"}


def silent(_: str) -> None:
    pass


def train(
    movies: list[AnnotatedMovie], folder: Path, settings: TrainingSettings = TINY, **options: bool
) -> Path:
    return train_on_movies(movies, folder, settings, device="cpu", report=silent, **options)


def digest(folder: Path) -> dict[str, bytes]:
    return {item.name: item.read_bytes() for item in folder.iterdir()}


def steps_of(folder: Path) -> int:
    return int(torch.load(folder / "last.ckpt", weights_only=True)["global_step"])


@needs_fork
@pytest.mark.parametrize("fault", ["full", "killed"])
def test_a_checkpoint_is_whole_or_that_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Whatever happens while it is written, and nothing of it passes through another file system."""
    file = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"global_step": 1}, file)
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")

    def fail() -> None:
        if fault == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        else:
            kill_at(monkeypatch, "replace", 0)
        try:
            WholeCheckpoints().save_checkpoint({"global_step": 2, "weights": torch.zeros(1000)}, file)
        except OSError as error:
            os._exit(error.errno or 1)

    assert in_child(fail) == (errno.EFBIG if fault == "full" else -signal.SIGKILL)
    assert torch.load(file, weights_only=True) == {"global_step": 1}
    WholeCheckpoints().save_checkpoint({"global_step": 3}, file)
    assert torch.load(file, weights_only=True) == {"global_step": 3}
    assert [item.name for item in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_disk_that_is_full_when_a_checkpoint_is_written_costs_the_last_steps_only(
    movies: list[AnnotatedMovie], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(movies, tmp_path / "whole")
    save = WholeCheckpoints.save_checkpoint

    def full(self: WholeCheckpoints, checkpoint: dict[str, object], path: Path, **options: object) -> None:
        if checkpoint["global_step"] == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, checkpoint, path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(WholeCheckpoints, "save_checkpoint", full)
        with pytest.raises(OSError, match="No space left"):
            train(movies, tmp_path / "run")
    assert steps_of(tmp_path / "run") == 2
    train(movies, tmp_path / "run")
    assert {*digest(tmp_path / "run")} == FILES
    for name in ("model.pt", "run.yaml", "config.yaml"):
        assert digest(tmp_path / "run")[name] == digest(tmp_path / "whole")[name]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_stays_one_and_ctrl_c_works_afterwards(
    movies: list[AnnotatedMovie], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Lightning makes an exit with status 1 of it, and ignores Ctrl-C from then on."""
    loss = LinkScorer.loss

    def interrupted(self: LinkScorer, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.global_step == 3:
            os.kill(os.getpid(), number)
        return loss(self, batch)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(LinkScorer, "loss", interrupted)
        with pytest.raises(KeyboardInterrupt), stopping_signals():
            train(movies, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before
    assert steps_of(tmp_path / "run") == 2
    assert {*digest(tmp_path / "run")} == FILES
    load_folder(tmp_path / "run")


def test_a_finished_model_is_never_replaced_without_a_word(
    movies: list[AnnotatedMovie], tmp_path: Path
) -> None:
    folder = train(movies, tmp_path / "run")
    before = digest(folder)
    train(movies, folder)  # finished: nothing to do
    assert {n: b for n, b in digest(folder).items() if n != "run.yaml"} == {
        n: b for n, b in before.items() if n != "run.yaml"
    }
    other = replace(TINY, seed=1)
    with pytest.raises(InputError, match="holds a run with other seed"):
        train(movies, folder, other)
    (folder / "last.ckpt").unlink()  # to save space
    for settings, why in ((TINY, "holds a finished model"), (other, "holds a run with other seed")):
        with pytest.raises(InputError, match=why):
            train(movies, folder, settings)
    (folder / "run.yaml").unlink()  # as a model that was copied or published
    for settings in (TINY, other):
        with pytest.raises(InputError, match=r"holds a finished model and no last\.ckpt .*--overwrite"):
            train(movies, folder, settings)
    assert digest(folder) == {n: b for n, b in before.items() if n not in ("run.yaml", "last.ckpt")}
    train(movies, folder, other, overwrite=True)
    assert {*digest(folder)} == FILES
    assert digest(folder)["model.pt"] != before["model.pt"]
    assert yaml.safe_load((folder / "run.yaml").read_text())["seed"] == 1


def test_overwriting_does_not_continue_the_run_that_is_there(
    movies: list[AnnotatedMovie], tmp_path: Path
) -> None:
    whole = train(movies, tmp_path / "whole")
    train(movies, tmp_path / "run", replace(TINY, steps=2))
    (tmp_path / "run" / "last.ckpt").write_bytes(b"damaged")
    train(movies, tmp_path / "run", overwrite=True)
    assert digest(tmp_path / "run")["model.pt"] == digest(whole)["model.pt"]


@pytest.mark.parametrize("text", ["[" * 5000, "a", "- 1", "{", "\x00", "9" * 400])
def test_a_damaged_description_of_a_run_is_one_sentence(
    movies: list[AnnotatedMovie], tmp_path: Path, text: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.yaml").write_text(text)
    (tmp_path / "run" / "last.ckpt").write_bytes(b"")
    with pytest.raises(InputError, match=r"run\.yaml") as raised:
        train(movies, tmp_path / "run")
    assert "\n" not in str(raised.value)


@needs_fork
def test_two_runs_do_not_train_into_one_folder(movies: list[AnnotatedMovie], tmp_path: Path) -> None:
    def work() -> None:
        with output_folder(tmp_path / "run", overwrite=True):
            time.sleep(60)

    child = start(work)
    while not list(tmp_path.glob(".run.uq-lock")):
        time.sleep(0.005)
    try:
        with pytest.raises(InputError, match="another run"):
            train(movies, tmp_path / "run")
    finally:
        os.kill(child, signal.SIGKILL)
        end_of(child)
    assert not (tmp_path / "run").exists()
