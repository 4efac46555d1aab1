"""Training heads for events by the joint likelihood, on windows with links over gaps."""

from pathlib import Path

import pytest
import torch

from tests.support.drifting_cells import drifting_cells
from torchtrack_uq import InputError, TrackastraTracker, UncertaintyLayer
from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.layers import joint_nll
from torchtrack_uq.trackers.trackastra.event_heads import EventHeads, captured_embeddings
from torchtrack_uq.trackers.trackastra.folder import import_trackastra
from torchtrack_uq.training import FineTuningSettings, TrainingSettings
from torchtrack_uq.training.batch import collate_windows
from torchtrack_uq.training.fine_tuning import fine_tune_on_movies
from torchtrack_uq.training.from_scratch import train_on_movies
from torchtrack_uq.training.module import build_model
from torchtrack_uq.training.sampler import WindowSampler
from torchtrack_uq.training.simulated import SimulatedWindows
from torchtrack_uq.training.window import Window
from torchtrack_uq.training.window_graph import window_graph

SCRATCH = TrainingSettings(d_model=72, n_layers=1, steps=2, validate_every=2, warmup_steps=1, max_cells=60)
EVENTS = FineTuningSettings(
    train="events", max_gap=2, simulated=1.0, steps=40, validate_every=20, learning_rate=3e-2, averaging=0.5,
    batch_size=2, max_cells=60,
)  # fmt: skip


def silent(_: str) -> None:
    pass


@pytest.mark.usefixtures("exact_distances")
def test_windows_with_gaps_and_events_score_as_the_tracker_does() -> None:
    part = drifting_cells(n_frames=8).frames(2, 6)
    trackastra = import_trackastra()
    transformer = build_model(SCRATCH).eval()
    heads = EventHeads(72, 8)
    torch.nn.init.normal_(heads.of_mother[-1].weight)
    torch.nn.init.normal_(heads.of_daughter[-1].weight)
    model = trackastra.Trackastra(transformer, {"features": "wrfeat", "delta_cutoff": 2}, device="cpu")
    model.event_heads = heads
    batch = collate_windows([Window.of_movie(part, max_gap=2)])
    with torch.no_grad(), captured_embeddings(transformer) as found:
        logits = transformer(batch["coords"], features=batch["features"], padding_mask=batch["padding_mask"])
        graph, targets = window_graph(logits, batch, 256, max_gap=2, events=heads(**found))
        tracker = TrackastraTracker(model, max_gap=2, from_corner=False)
        wanted = tracker.candidates(part.detections, progress=False)
    assert torch.equal(graph.mother, wanted.mother)
    assert torch.equal(graph.daughter, wanted.daughter)
    torch.testing.assert_close(graph.score, wanted.score, atol=1e-4, rtol=1e-4)
    first, last = (torch.from_numpy(part.detections.frame == t) for t in (0, 3))
    torch.testing.assert_close(graph.appear[~first], wanted.appear[~first], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(graph.divide[~last], wanted.divide[~last], atol=1e-4, rtol=1e-4)
    truth = part.targets(2)
    assert torch.equal(targets.mother[targets.known], truth.mother[targets.known])
    assert torch.equal(targets.known, truth.known)


def test_true_links_over_gaps_are_among_the_candidates_and_likely() -> None:
    sampler = WindowSampler([], simulated=SimulatedWindows(2, 24.0), max_gap=2, max_cells=80)
    batch = collate_windows([sampler[i] for i in range(12)])
    n = batch["timepoints"].shape[1]
    distance = torch.cdist(batch["coords"][..., 1:], batch["coords"][..., 1:])
    graph, targets = window_graph(8 - distance / 3, batch, 256.0, max_gap=2, miss=-3.0)
    assert n > 20
    linked = targets.known & (targets.mother >= 0)
    gap = graph.frame[linked] - graph.frame[targets.mother[linked]]
    assert set(gap.tolist()) == {1, 2}
    found = joint_nll(UncertaintyLayer("auto"), graph, targets)
    assert found.n_unreachable == 0
    assert 0 < float(found.loss.detach()) < 3


def test_training_them_lowers_the_loss_and_leaves_the_transformer(tmp_path: Path) -> None:
    movies: list[AnnotatedMovie] = [drifting_cells(seed=1, n_frames=10)]
    base, out = tmp_path / "base", tmp_path / "out"
    train_on_movies(movies, base, SCRATCH, device="cpu", report=silent)
    fine_tune_on_movies(movies, base, out, EVENTS, device="cpu", report=silent)
    before, after = (TrackastraTracker.from_folder(folder, max_gap=2) for folder in (base, out))
    assert before.event_heads is None
    assert after.event_heads is not None
    for name, value in before.transformer.state_dict().items():
        assert torch.equal(after.transformer.state_dict()[name], value)
    assert (after.view, after.delta_cutoff) == (before.view, 2)
    sampler = WindowSampler([], simulated=SimulatedWindows(2, 24.0), max_gap=2, max_cells=60, seed=99)
    batch = collate_windows([sampler[i] for i in range(20)])

    def loss(tracker: TrackastraTracker) -> float:
        transformer = tracker.transformer
        with torch.no_grad(), captured_embeddings(transformer) as found:
            logits = transformer(
                batch["coords"], features=batch["features"], padding_mask=batch["padding_mask"]
            )
            events = None if tracker.event_heads is None else tracker.event_heads(**found)
            graph, targets = window_graph(logits, batch, 256.0, max_gap=2, events=events)
            return float(joint_nll(UncertaintyLayer("auto"), graph, targets).loss)

    assert loss(after) < loss(before) - 0.02


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_gap": 3}, "trained on links over up to 2 frames, got max_gap 3"),
        ({"simulated": 1.5}, "simulated must be at least 0 and at most 1"),
        ({"max_gap": 0}, "max_gap must be at least 1"),
    ],
)
def test_what_the_model_cannot_learn_is_refused(
    tmp_path: Path, change: dict[str, float], message: str
) -> None:
    from dataclasses import replace

    movies = [drifting_cells(seed=1, n_frames=10)]
    train_on_movies(movies, tmp_path / "base", SCRATCH, device="cpu", report=silent)

    def attempt() -> None:
        settings = replace(EVENTS, **change)  # type: ignore[arg-type]
        fine_tune_on_movies(movies, tmp_path / "base", tmp_path / "out", settings, device="cpu")

    with pytest.raises(InputError, match=message):
        attempt()
