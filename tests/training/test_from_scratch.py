import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.errors import InputError
from torchtrack_uq.trackers.trackastra.folder import save_trackastra_folder
from torchtrack_uq.training import (
    LinkScorer,
    TrainingSettings,
    train_on_movies,
)
from torchtrack_uq.training.callbacks import HeldOutValidation
from torchtrack_uq.training.module import build_model
from torchtrack_uq.training.window import Window

TINY = TrainingSettings(
    steps=6, validate_every=2, d_model=72, n_layers=1, batch_size=2, warmup_steps=2, max_cells=40
)


unclosed = pytest.mark.filterwarnings(  # Trackastra leaves the files that it reads open
    "ignore:.*unclosed file.*config.yaml.*:ResourceWarning",
    "ignore:.*_io.FileIO name=.*config.yaml.*:pytest.PytestUnraisableExceptionWarning",
)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]
    return state


def validation_rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "validation.csv").read_text().splitlines()))


def silent(_: str) -> None:
    pass


class InterruptedRunError(Exception):
    pass


def test_an_interrupted_run_continues_to_the_same_weights(
    movies: list[AnnotatedMovie], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_on_movies(movies, tmp_path / "whole", TINY, device="cpu", report=silent)
    loss = LinkScorer.loss

    def interrupt(self: LinkScorer, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.global_step == 3:
            raise InterruptedRunError
        return loss(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(LinkScorer, "loss", interrupt)
        with pytest.raises(InterruptedRunError):
            train_on_movies(movies, tmp_path / "parts", TINY, device="cpu", report=silent)
    assert int(torch.load(tmp_path / "parts" / "last.ckpt", weights_only=True)["global_step"]) == 2
    train_on_movies(movies, tmp_path / "parts", TINY, device="cpu", report=silent)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    rows = [validation_rows(tmp_path / run) for run in ("whole", "parts")]
    assert [[row["step"], row["mean"]] for row in rows[0]] == [[row["step"], row["mean"]] for row in rows[1]]
    assert [float(row["step"]) for row in rows[0]] == [2, 4, 6]


def test_a_finished_run_is_left_as_it_is(movies: list[AnnotatedMovie], tmp_path: Path) -> None:
    train_on_movies(movies, tmp_path, TINY, device="cpu", report=silent)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    train_on_movies(movies, tmp_path, TINY, device="cpu", report=silent)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_finished_run_can_be_prolonged(movies: list[AnnotatedMovie], tmp_path: Path) -> None:
    train_on_movies(movies, tmp_path, TINY, device="cpu", report=silent)
    train_on_movies(movies, tmp_path, replace(TINY, steps=8), device="cpu", report=silent)
    assert [float(row["step"]) for row in validation_rows(tmp_path)] == [2, 4, 6, 8]


@unclosed
def test_the_saved_folder_loads_in_trackastra_and_gives_the_same_logits(
    movies: list[AnnotatedMovie], tmp_path: Path
) -> None:
    from trackastra.model import Trackastra

    folder = tmp_path / "run"
    train_on_movies(movies, folder, TINY, device="cpu", report=silent)
    loaded = Trackastra.from_folder(folder, device="cpu")
    assert loaded.train_args["features"] == "wrfeat"
    model = build_model(TINY).eval()
    state = torch.load(folder / "model.pt", weights_only=True)
    model.load_state_dict(state)
    window = Window.of_movie(movies[0].frames(0, 4))
    coords = torch.from_numpy(np.column_stack([window.frame, window.coords]).astype(np.float32))[None]
    features = torch.from_numpy(window.features)[None]
    with torch.no_grad():
        assert torch.equal(loaded.transformer.eval()(coords, features), model(coords, features))


@unclosed
@pytest.mark.filterwarnings("ignore:Changing the sparsity structure")
def test_the_saved_folder_tracks_images(tmp_path: Path) -> None:
    from trackastra.model import Trackastra

    save_trackastra_folder(build_model(TINY), tmp_path, {})
    masks = np.zeros((5, 64, 64), np.uint16)
    for t in range(5):
        masks[t, 10 + t : 20 + t, 10:20] = 1
        masks[t, 40:50, 40 - t : 50 - t] = 2
    graph, tracked = Trackastra.from_folder(tmp_path, device="cpu").track(
        masks.astype(np.float32), masks, mode="greedy"
    )
    assert graph.number_of_edges() > 0
    assert all(graph.nodes[a]["label"] == graph.nodes[b]["label"] for a, b in graph.edges)
    assert tracked.shape == masks.shape


def test_training_lowers_the_loss(movies: list[AnnotatedMovie], tmp_path: Path) -> None:
    settings = replace(TINY, steps=60, validate_every=20, learning_rate=1e-3, batch_size=2, random_start=True)
    train_on_movies(movies, tmp_path, settings, device="cpu", report=silent)
    losses = [float(row["train_nll"]) for row in validation_rows(tmp_path)]
    assert losses[-1] < losses[0]


def test_without_held_out_frames_the_last_weights_are_saved(
    movies: list[AnnotatedMovie], tmp_path: Path
) -> None:
    train_on_movies(movies, tmp_path, replace(TINY, held_out=0.0), device="cpu", report=silent)
    saved = torch.load(tmp_path / "model.pt", weights_only=True)
    assert all(torch.equal(saved[name], weights(tmp_path)[f"averaged.module.{name}"]) for name in saved)
    assert [row["mean"] for row in validation_rows(tmp_path)] == ["nan"] * 3


def test_the_time_budget_ends_a_run_with_a_saved_model(movies: list[AnnotatedMovie], tmp_path: Path) -> None:
    settings = replace(TINY, steps=100_000, minutes=0.02, validate_every=90_000)
    train_on_movies(movies, tmp_path, settings, device="cpu", report=silent)
    assert (tmp_path / "model.pt").is_file()
    done = int(torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"])
    assert 0 < done < 1000
    train_on_movies(movies, tmp_path, settings, device="cpu", report=silent)
    assert int(torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"]) == done


def test_no_held_out_frame_is_trained_on(
    movies: list[AnnotatedMovie], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []
    of_movie = Window.of_movie

    def spy(movie: AnnotatedMovie, *args: object, **options: object) -> Window:
        seen.append((movie.name, int(movie.recording_frame.max())))
        return of_movie(movie, *args, **options)

    monkeypatch.setattr(HeldOutValidation, "_validate", lambda *_: None)
    monkeypatch.setattr(Window, "of_movie", spy)
    train_on_movies(movies, tmp_path, TINY, device="cpu", report=silent)
    last = {movies[0].name: 5, movies[1].name: 7}  # of 8 and 10 frames
    assert seen
    assert all(frame <= last[name] for name, frame in seen)


def test_a_run_with_other_settings_is_not_continued(movies: list[AnnotatedMovie], tmp_path: Path) -> None:
    train_on_movies(movies, tmp_path / "run", TINY, device="cpu", report=silent)
    (tmp_path / "run" / "last.ckpt").write_bytes(b"half a file")
    with pytest.raises(InputError, match="cannot be read, remove it to start again"):
        train_on_movies(movies, tmp_path / "run", TINY, device="cpu")
    with pytest.raises(InputError, match="holds a run with other learning_rate, seed"):
        train_on_movies(movies, tmp_path / "run", replace(TINY, seed=1, learning_rate=1.0), device="cpu")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(InputError, match="holds no run to continue"):
        train_on_movies(movies, tmp_path / "full", TINY, device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be positive"),
        ({"minutes": -1.0}, "minutes must be positive"),
        ({"held_out": 1.0}, "held_out must be at least 0 and below 1"),
        ({"averaging": 1.0}, "averaging must be"),
        ({"window": 1}, "window must be at least 2"),
        ({"d_model": 100}, "d_model must be at least 72 and a multiple of 8"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(TINY, **change)  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_an_error_before_work_starts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sees no CUDA GPU here"):
        train_on_movies([], tmp_path, TINY, device="cuda")


@pytest.mark.parametrize("device", ["gpu", "meta"])
def test_other_devices_are_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(InputError, match=f"device '{device}' is .*; expected auto, cpu or cuda"):
        train_on_movies([], tmp_path, TINY, device=device)
