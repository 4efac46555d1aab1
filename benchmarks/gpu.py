"""What probabilities cost against the inference of a full-size transformer, on a GPU.

The transformer has the size of Trackastra's published models; its weights are random, which changes no time. Scores
come from the distance tracker, so that the posterior is as ambiguous as real ones are and does not depend on weights.
All jobs are interleaved.

    python -m benchmarks.gpu [--device cuda|cpu] [--cells N] [--frames N] [--repeats N] [--quick] [-o FOLDER]
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.machine import describe_machine
from benchmarks.timing import interleaved
from common.results import write_results
from torchtrack_uq import CandidateGraph, Detections, DistanceTracker, TrackastraTracker, UncertaintyLayer
from torchtrack_uq.trackers.trackastra.folder import import_trackastra
from torchtrack_uq.utils.device import choose_device

RESULTS = Path(__file__).parent / "results"
TRANSFORMER = "transformer inference"
METHODS = ("SM", "bp", "AS", "auto")
MODEL = {
    "coord_dim": 2,
    "feat_dim": 7,
    "d_model": 256,
    "nhead": 4,
    "num_encoder_layers": 6,
    "num_decoder_layers": 6,
    "pos_embed_per_dim": 32,
    "feat_embed_per_dim": 8,
    "window": 6,
    "spatial_pos_cutoff": 256,
    "attn_positional_bias_n_spatial": 16,
}
"""A published model's configuration."""
QUICK = {"cells": 20, "frames": 7, "repeats": 1}


def drifting_cells(n_cells: int, n_frames: int) -> Detections:
    """Cells on random walks, 30 pixels apart on average, with the features that the model looks at."""
    rng = np.random.default_rng(0)
    side = 30 * np.sqrt(n_cells)
    steps = rng.normal(0, 5, (n_frames, n_cells, 2))
    places = rng.uniform(0, side, (n_cells, 2)) + np.cumsum(steps, 0)
    n = n_frames * n_cells
    return Detections(
        frame=np.repeat(np.arange(n_frames), n_cells),
        label=np.tile(np.arange(1, n_cells + 1), n_frames),
        coords=places.reshape(-1, 2).astype(np.float32),
        n_frames=n_frames,
        features={
            "equivalent_diameter_area": np.full((n, 1), 20, np.float32),
            "intensity_mean": np.full((n, 1), 1, np.float32),
            "inertia_tensor": np.tile(np.array([1, 0, 0, 1], np.float32), (n, 1)),
            "border_dist": np.zeros((n, 1), np.float32),
        },
    )


def jobs(cells: Detections, device: torch.device) -> dict[str, Callable[[], object]]:
    torch.manual_seed(0)
    tracker = TrackastraTracker(import_trackastra().TrackingTransformer(**MODEL), device=device)
    scored = DistanceTracker().candidates(cells, progress=False)
    graph = scored.to(device)

    def waiting(work: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            result = work()
            if device.type == "cuda":
                torch.cuda.synchronize()
            return result

        return run

    def posterior(method: str) -> Callable[[], object]:
        layer = UncertaintyLayer(method).to(device)
        return lambda: layer(graph)

    def gradient(method: str) -> Callable[[], object]:
        layer = UncertaintyLayer(method).to(device)

        def run() -> object:
            with torch.enable_grad():
                leaf = graph.score.detach().requires_grad_()
                scores: CandidateGraph = graph.with_scores(leaf, graph.appear, graph.disappear, graph.divide)
                return torch.autograd.grad(layer(scores).entropy.sum(), leaf)

        return run

    work: dict[str, Callable[[], object]] = {TRANSFORMER: lambda: tracker.candidates(cells, progress=False)}
    work |= {method: posterior(method) for method in METHODS}
    work |= {f"gradient of entropy, {method}": gradient(method) for method in METHODS}
    if device.type == "cuda":
        pinned = scored.pin_memory()
        work["copy of pinned links to the GPU"] = lambda: pinned.to(device, non_blocking=True)
    return {name: waiting(job) for name, job in work.items()}


def name_of(device: torch.device) -> str:
    """What the card is called, or that there is none."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU, all on the CPU"


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--cells", type=int, default=300, help="in a frame")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--quick", action="store_true", help="few cells, once: whether it runs at all")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    device = choose_device(options.device)
    cells = drifting_cells(options.cells, options.frames)
    times = interleaved(jobs(cells, device), options.repeats)
    card = name_of(device)
    table = pd.DataFrame(
        {
            "work": name,
            "ms": 1e3 * np.median(t),
            "fastest, ms": 1e3 * t.min(),
            "% of the transformer": 100 * np.median(t / times[TRANSFORMER]),
            "card": card,
        }
        for name, t in times.items()
    )
    lines = [
        f"# What probabilities cost: {card}",
        "",
        f"Written by `python -m benchmarks.gpu`: {options.frames} frames of {options.cells} cells, a transformer of "
        f"{MODEL['d_model']} channels and 6 + 6 layers, links of the distance tracker; medians of {options.repeats} "
        "interleaved rounds.",
        "",
        describe_machine(),
        "",
        table.drop(columns="card").to_markdown(index=False, floatfmt=(None, ".2f", ".2f", ".1f")),
        "",
    ]
    write_results(options.output, "gpu", lines, {"gpu": table}, "%.3f")


if __name__ == "__main__":
    main()
