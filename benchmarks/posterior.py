"""What probabilities cost on the demo movie, against the transformer's inference that they come from.

All jobs are interleaved, and ratios are taken within a round, so that other work on the machine hits all alike.
Posterior stage: scores in, marginals of links, null and events out. A tracker pass is what `UncertainTracker` does
for one movie without noise: measure cells, score links, solve the MAP.

    python -m benchmarks.posterior [--model FOLDER] [--repeats N] [--device cpu|cuda] [--threads N]
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
from torchtrack_uq import (
    AssignmentPosterior,
    CandidateGraph,
    Detections,
    FeaturePerturbation,
    FrequencyPosterior,
    Movie,
    TrackastraTracker,
    UncertaintyLayer,
)
from torchtrack_uq.datasets.example import hela_example
from torchtrack_uq.posterior import map_links
from torchtrack_uq.trackers.trackastra.models import bundled_models

RESULTS = Path(__file__).parent / "results"
TRANSFORMER = "transformer inference"
PASS = "tracker pass: measure, score, MAP"


def jobs(model: Path, device: str, copies: int) -> dict[str, Callable[[], object]]:
    movie = Movie.open(*hela_example())
    cells = Detections.from_movie(movie, progress=False)
    tracker = TrackastraTracker.from_folder(model, device=device)
    graph = tracker.candidates(cells, progress=False)
    perturb = FeaturePerturbation(copies)
    scores = perturb(tracker, cells, movie, progress=False)
    best = AssignmentPosterior("AS").support(graph)

    def wait(result: object) -> object:
        if device != "cpu":
            torch.cuda.synchronize()
        return result

    def tracker_pass() -> object:
        measured = Detections.from_movie(movie, progress=False)
        return map_links(tracker.candidates(measured, movie, progress=False))

    def fp_a() -> object:
        measured = Detections.from_movie(movie, progress=False)
        layer = UncertaintyLayer("FP+A", perturbation=perturb)
        return layer(layer.scores(tracker, measured, movie, progress=False))

    def layer(method: str) -> Callable[[], object]:
        posterior = UncertaintyLayer(method)
        return lambda: wait(posterior(graph))

    def gradient(method: str) -> Callable[[], object]:
        posterior = AssignmentPosterior(method)

        def run() -> object:
            leaf = graph.score.detach().requires_grad_()
            with torch.enable_grad():
                p = posterior(graph.with_scores(leaf, graph.appear, graph.disappear, graph.divide))
                return torch.autograd.grad(p.entropy.sum(), leaf)

        return lambda: wait(run())

    def likelihood() -> object:
        leaf = graph.score.detach().requires_grad_()
        scored: CandidateGraph = graph.with_scores(leaf, graph.appear, graph.disappear, graph.divide)
        with torch.enable_grad():
            mother = torch.full((graph.n_cells,), -1, device=graph.device)
            return torch.autograd.grad(AssignmentPosterior("auto").log_prob(scored, mother).sum(), leaf)

    return {
        TRANSFORMER: lambda: wait(tracker.candidates(cells, progress=False)),
        PASS: tracker_pass,
        "SM": layer("SM"),
        "AS, K = 100": layer("AS"),
        "AS at another temperature, K best known": lambda: AssignmentPosterior("AS")(graph, best),
        "exact or near it: auto": layer("auto"),
        "bp": layer("bp"),
        f"FP+A, counting {copies} MAPs a pair": lambda: FrequencyPosterior().count(scores),
        f"FP+A, R = {copies}: measure, score copies, count": fp_a,
        "gradient of entropy, AS": gradient("AS"),
        "gradient of entropy, auto": gradient("auto"),
        "gradient of the joint likelihood, auto": likelihood,
    }


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=bundled_models().get("small_2d"))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    work = jobs(options.model, options.device, options.copies)
    times = interleaved(work, options.repeats)
    table = pd.DataFrame(
        [
            {
                "work": name,
                "ms": 1e3 * np.median(t),
                "fastest, ms": 1e3 * t.min(),
                "% of the transformer": 100 * np.median(t / times[TRANSFORMER]),
                "tracker passes": np.median(t / times[PASS]),
            }
            for name, t in times.items()
        ]
    )
    exact = AssignmentPosterior("auto")(TrackastraTracker.from_folder(options.model, device="cpu").candidates(
        Detections.from_movie(Movie.open(*hela_example()), progress=False), progress=False)).exact  # fmt: skip
    name = "posterior" if options.device == "cpu" else f"posterior_{options.device}"
    lines = [
        "# What probabilities cost",
        "",
        "Written by `python -m benchmarks.posterior`: 20 frames of 700 x 1100 pixels, 3271 cells, candidate links of "
        f"`{options.model.name}` on {options.device}; medians of {options.repeats} interleaved rounds, "
        f"{torch.get_num_threads()} torch threads. `auto` is proved exact (error below 0.001) in {int(exact.sum())} of "
        f"{len(exact)} frame pairs.",
        "",
        describe_machine(),
        "",
        table.to_markdown(index=False, floatfmt=(None, ".1f", ".1f", ".1f", ".2f")),
        "",
    ]
    write_results(options.output, name, lines, {name: table}, "%.3f")


if __name__ == "__main__":
    main()
