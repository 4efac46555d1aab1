import csv
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from torchtrack_uq import InputError, TrackastraTracker, UncertaintyLayer
from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.layers import LayerLoss, daughters_nll, joint_nll
from torchtrack_uq.trackers.trackastra.folder import save_trackastra_folder
from torchtrack_uq.training import (
    FineTuningSettings,
    LayerFineTuner,
    TrainingSettings,
    WindowSampler,
    collate_windows,
    fine_tune_on_movies,
    load_fine_tuned,
    window_graph,
)
from torchtrack_uq.training.module import build_model
from torchtrack_uq.training.window import Window

TINY = FineTuningSettings(
    steps=6, validate_every=2, batch_size=2, warmup_steps=2, max_cells=40, method="exact"
)


class InterruptedRunError(Exception):
    pass


def silent(_: str) -> None:
    pass


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A small model before training."""
    save_trackastra_folder(build_model(TrainingSettings(d_model=72, n_layers=1)), tmp_path / "start", {})
    return tmp_path / "start"


def saved(folder: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(folder / "model.pt", weights_only=True)
    return weights


def checkpoint(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "last.ckpt", weights_only=True)
    return state


@torch.no_grad()
def link_nll_of(model: Any, movies: list[AnnotatedMovie]) -> float:
    tracker = TrackastraTracker(model)
    layer = UncertaintyLayer("exact")
    return float(
        np.mean(
            [
                daughters_nll(
                    layer, tracker.candidates(movie.detections, progress=False), movie.targets()
                ).loss
                for movie in movies
            ]
        )
    )


def three_daughters() -> AnnotatedMovie:
    """At stride 4 the mother of cells 3, 4 and 5 has three daughters."""
    from torchtrack_uq.datasets import Lineage
    from torchtrack_uq.movies.detections import FEATURES, Detections

    rows = [(1, 0, 1, 0), (2, 2, 3, 1), (3, 2, 6, 1), (4, 4, 6, 2), (5, 4, 6, 2), (6, 0, 6, 0)]
    cells = [(t, label) for t in range(7) for label, begin, end, _ in rows if begin <= t <= end]
    frame, label = (np.array(column) for column in zip(*cells, strict=True))
    points = Detections.from_points(frame, np.stack([label * 20.0, frame * 2.0], axis=1), label)
    features = {name: np.ones((len(cells), 4 if "inertia" in name else 1), np.float32) for name in FEATURES}
    return AnnotatedMovie("three daughters", replace(points, features=features), Lineage.from_rows(rows))


@pytest.mark.usefixtures("exact_distances")
def test_windows_score_links_as_the_tracker_does(movie: AnnotatedMovie) -> None:
    part = movie.frames(2, 6)
    model = build_model(TrainingSettings(d_model=72, n_layers=1)).eval()
    batch = collate_windows([Window.of_movie(part)])
    with torch.no_grad():
        logits = model(batch["coords"], features=batch["features"], padding_mask=batch["padding_mask"])
        graph, targets = window_graph(logits, batch, 256)
        wanted = TrackastraTracker(model, from_corner=False).candidates(part.detections, progress=False)
    assert torch.equal(graph.mother, wanted.mother)
    assert torch.equal(graph.daughter, wanted.daughter)
    torch.testing.assert_close(graph.score, wanted.score, atol=1e-4, rtol=1e-4)
    truth = part.targets()
    assert torch.equal(targets.mother[targets.known], truth.mother[truth.known])
    assert torch.equal(targets.known, truth.known)
    assert torch.equal(targets.mother_known, truth.mother_known)


@pytest.mark.parametrize("nll", [joint_nll, daughters_nll])
def test_sharing_rows_changes_no_loss(movies: list[AnnotatedMovie], nll: Any) -> None:
    sampler = WindowSampler(movies, max_cells=20)
    windows = [sampler[i] for i in range(6)]

    def loss_of(chosen: list[Window], pack_apart: float | None = None) -> LayerLoss:
        batch = collate_windows(chosen, pack_apart)
        place = batch["coords"][..., 1:].double()
        distance = torch.cdist(place, place, compute_mode="donot_use_mm_for_euclid_dist")
        found: LayerLoss = nll(UncertaintyLayer("exact"), *window_graph(4 - distance / 5, batch, 256))
        return found

    alone = [loss_of([window]) for window in windows]
    n = sum(part.n_daughters for part in alone)
    mean = sum(float(part.loss.detach()) * part.n_daughters for part in alone) / n
    for together in (loss_of(windows), loss_of(windows, 300.0)):
        assert together.n_daughters == n
        assert float(together.loss.detach()) == pytest.approx(mean, abs=1e-3)


def test_cropping_leaves_the_fate_of_mothers_open(movie: AnnotatedMovie) -> None:
    whole = Window.of_movie(movie)
    without = np.flatnonzero(movie.detections.label != 3)
    first_of_3 = np.flatnonzero((movie.detections.label == 1) & (movie.detections.frame == 0))
    cut = whole.subset(np.sort(np.concatenate([without])))
    assert cut.mother_known[cut.frame < 7].all()  # a track that is missing as a whole leaves no trace
    later = np.flatnonzero((movie.detections.label != 1) | (movie.detections.frame != 1))
    cut = whole.subset(later)
    assert not cut.mother_known[np.searchsorted(later, first_of_3)].any()
    assert int((~cut.mother_known[cut.frame < 7]).sum()) == 1


@pytest.mark.parametrize("loss", ["joint", "daughters"])
def test_overfitting_lowers_the_nll_of_links(movies: list[AnnotatedMovie], loss: Any) -> None:
    model = build_model(TrainingSettings(d_model=72, n_layers=1))
    tuner = LayerFineTuner(model, settings=replace(TINY, loss=loss, method=None))
    before = link_nll_of(model, movies)
    batch = collate_windows([Window.of_movie(movie.frames(t, t + 4)) for movie in movies for t in (0, 4)])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(25):
        optimizer.zero_grad()
        tuner.loss(batch).backward()
        optimizer.step()
    assert link_nll_of(model, movies) < 0.7 * before


def test_an_interrupted_run_continues_to_the_same_weights(
    movies: list[AnnotatedMovie], start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(TINY, learn_events=True, learn_temperature=True)
    fine_tune_on_movies(movies, start, tmp_path / "whole", settings, device="cpu", report=silent)
    loss = LayerFineTuner.loss

    def interrupt(self: LayerFineTuner, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.global_step == 3:
            raise InterruptedRunError
        return loss(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(LayerFineTuner, "loss", interrupt)
        with pytest.raises(InterruptedRunError):
            fine_tune_on_movies(movies, start, tmp_path / "parts", settings, device="cpu", report=silent)
    assert checkpoint(tmp_path / "parts")["global_step"] == 2
    fine_tune_on_movies(movies, start, tmp_path / "parts", settings, device="cpu", report=silent)
    whole, parts = (checkpoint(tmp_path / run)["state_dict"] for run in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]) if isinstance(value, torch.Tensor) else value == parts[name]
    tables = [
        list(csv.DictReader((tmp_path / run / "validation.csv").read_text().splitlines()))
        for run in ("whole", "parts")
    ]
    assert [row["train_nll"] for row in tables[0]] == [row["train_nll"] for row in tables[1]]
    before = {file.name: file.read_bytes() for file in (tmp_path / "whole").iterdir()}
    fine_tune_on_movies(movies, start, tmp_path / "whole", settings, device="cpu", report=silent)
    assert {file.name: file.read_bytes() for file in (tmp_path / "whole").iterdir()} == before


def test_heads_alone_leave_every_other_weight_as_it_was(
    movies: list[AnnotatedMovie], start: Path, tmp_path: Path
) -> None:
    settings = replace(TINY, train="heads", held_out=0.0)
    fine_tune_on_movies(movies, start, tmp_path / "run", settings, device="cpu", report=silent)
    before, after = saved(start), saved(tmp_path / "run")
    for name, weight in before.items():
        assert torch.equal(weight, after[name]) == (not name.startswith("head_")), name


def test_event_scores_and_temperature_are_saved_and_loaded(
    movies: list[AnnotatedMovie], start: Path, tmp_path: Path
) -> None:
    settings = replace(TINY, learn_events=True, learn_temperature=True, held_out=0.0)
    fine_tune_on_movies(movies, start, tmp_path / "run", settings, device="cpu", report=silent)
    tracker, layer = load_fine_tuned(tmp_path / "run")
    state = checkpoint(tmp_path / "run")["state_dict"]
    assert float(layer.temperature.detach()) == pytest.approx(
        float(state["averaged_scales.module.scaler.raw_temperature"].exp())
    )
    assert float(layer.temperature.detach()) != 1.0
    assert layer.events is not None
    for name, value in layer.events.values.items():
        assert value == pytest.approx(float(state[f"averaged_scales.module.events.{name}"])) != 0
    assert layer.events.values["disappear"] + layer.events.values["divide"] <= 1e-6
    assert isinstance(tracker, TrackastraTracker)
    with pytest.raises(InputError, match="was not fine-tuned through the layer"):
        load_fine_tuned(start)


def test_bf16_autocast_runs_on_a_cpu(movies: list[AnnotatedMovie], start: Path, tmp_path: Path) -> None:
    for precision in ("bf16", "32"):
        settings = replace(TINY, precision=precision, held_out=0.0)
        fine_tune_on_movies(movies, start, tmp_path / precision, settings, device="cpu", report=silent)
    half, full = saved(tmp_path / "bf16"), saved(tmp_path / "32")
    assert any(not torch.equal(half[name], full[name]) for name in full)
    for name in full:
        torch.testing.assert_close(half[name], full[name], atol=5e-3, rtol=0.05)


def test_crowded_frame_pairs_are_left_out_and_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    movie = three_daughters()
    model = build_model(TrainingSettings(d_model=72, n_layers=1))
    tuner = LayerFineTuner(model, settings=TINY)
    batch = collate_windows([Window.of_movie(movie.strided(4)), Window.of_movie(movie.frames(0, 4))])
    with caplog.at_level(logging.WARNING):
        losses = [tuner.loss(batch) for _ in range(2)]
    assert all(bool(torch.isfinite(loss)) for loss in losses)
    assert tuner.left_out == {"n_unreachable": 0, "n_crowded": 2, "n_impossible": 0}
    assert sum("more than two true daughters" in record.message for record in caplog.records) == 1


def test_a_mother_beyond_the_cutoff_is_counted(movie: AnnotatedMovie) -> None:
    jumped = movie.detections.coords.copy()
    jumped[(movie.detections.frame % 2 == 1) & (movie.detections.label == 4)] += 900
    far = replace(movie, detections=replace(movie.detections, coords=jumped))
    tuner = LayerFineTuner(build_model(TrainingSettings(d_model=72, n_layers=1)), settings=TINY)
    found = tuner.loss_of(collate_windows([Window.of_movie(far.frames(0, 4))]))
    assert found.n_unreachable == 3
    assert bool(torch.isfinite(found.loss))


def test_a_diverged_model_is_a_clear_error(movies: list[AnnotatedMovie]) -> None:
    model = build_model(TrainingSettings(d_model=72, n_layers=1))
    with torch.no_grad():
        model.proj.bias.fill_(torch.nan)
    tuner = LayerFineTuner(model, settings=TINY)
    with pytest.raises(InputError, match="it has diverged; lower the learning rate"):
        tuner.loss(collate_windows([Window.of_movie(movies[0].frames(0, 4))]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "marginal"}, "loss must be one of joint, daughters, got 'marginal'"),
        ({"train": "nothing"}, "train must be one of"),
        ({"precision": "8"}, "precision must be one of"),
        ({"max_candidates": 0}, "max_candidates must be positive"),
        ({"steps": 0}, "steps must be positive"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(TINY, **change)


def test_models_and_methods_that_cannot_be_trained_are_refused() -> None:
    model = build_model(TrainingSettings(d_model=72, n_layers=1))
    with pytest.raises(InputError, match="no joint likelihood"):
        LayerFineTuner(model, UncertaintyLayer("SM"))
    with pytest.raises(InputError, match="needs scores under noise"):
        LayerFineTuner(model, UncertaintyLayer("FP"), FineTuningSettings(loss="daughters"))
    with pytest.raises(InputError, match="expected a Trackastra model"):
        LayerFineTuner("small_2d")
    with pytest.raises(InputError, match="no event offsets to learn"):
        LayerFineTuner(model, UncertaintyLayer("AS"), FineTuningSettings(learn_events=True))
    model.config["causal_norm"] = "softmax"
    with pytest.raises(InputError, match=r"causal_norm softmax, but .* needs quiet_softmax or none"):
        LayerFineTuner(model)


def test_half_precision_without_a_gpu_is_refused(movies: list[AnnotatedMovie], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="precision 16 needs a GPU"):
        fine_tune_on_movies(movies, "small_2d", tmp_path, replace(TINY, precision="16"), device="cpu")


def test_another_run_or_the_start_itself_is_not_overwritten(
    movies: list[AnnotatedMovie], start: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="holds the model to start from"):
        fine_tune_on_movies(movies, start, start, TINY, device="cpu")
    fine_tune_on_movies(movies, start, tmp_path / "run", replace(TINY, steps=2), device="cpu", report=silent)
    with pytest.raises(InputError, match="a run with other loss, method"):
        fine_tune_on_movies(
            movies, start, tmp_path / "run", replace(TINY, loss="daughters", method="SM"), device="cpu"
        )
    model = build_model(TrainingSettings(d_model=72, n_layers=1, seed=5))
    save_trackastra_folder(model, start, {})
    with pytest.raises(InputError, match="a run with other start_weights"):
        fine_tune_on_movies(movies, start, tmp_path / "run", TINY, device="cpu")
