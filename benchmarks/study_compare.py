"""Comparisons that need more than a method's name: local marginals, and event scores fitted with the temperature."""

import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from study_halves import cut
from study_judge import Judgement, judge_at, judge_probabilities
from study_local import local_marginals

from torchtrack_uq.calibration import ScoredMovie, fit_events
from torchtrack_uq.layers import EventOffsets, UncertaintyLayer
from torchtrack_uq.probabilities import LinkProbabilities

EVENT_STEPS = 25
"""Most iterations of the fit of event scores."""


@torch.no_grad()
def local_rows(
    movie: ScoredMovie, fitted: float, n_daughters: int, resamples: int
) -> Iterator[tuple[str, str, Judgement]]:
    """Local marginals and auto on the first daughters of a movie, at T = 1 and at a fitted T (that of auto).

    Args:
        movie: The second half.
        fitted: T.
        n_daughters: Whole frame pairs are taken until so many daughters are reached.
        resamples: For the bounds.

    Yields:
        Name, "none" or "in time", and the judgement; local ones with error_mean and error_max, the distance of
        their links' probabilities from auto's.
    """
    graph = movie.graph
    offsets = graph.cell_offsets
    enough = (offsets[2:] - offsets[1] >= n_daughters).nonzero()
    stop = int(enough[0]) + 2 if len(enough) else graph.n_frames
    part = cut(movie.scores, movie.targets, movie.name, 0, stop)
    for ts, temperature in (("none", 1.0), ("in time", fitted)):
        start = time.perf_counter()
        auto: LinkProbabilities = UncertaintyLayer("auto", temperature)(part.graph)
        seconds_auto = time.perf_counter() - start
        start = time.perf_counter()
        local = _local(auto, temperature)
        seconds_local = time.perf_counter() - start
        difference = (local.link - auto.link).abs().double()
        for name, probabilities, seconds in (
            ("local", local, seconds_local),
            ("auto, as local", auto, seconds_auto),
        ):
            found = judge_probabilities(probabilities, part, resamples, None)
            found.row.update({"temperature": temperature, "seconds_posterior": seconds})
            for event in ("division", "disappearance"):  # local marginals say nothing about mothers
                for bound in ("", "_lower", "_upper"):
                    found.row.pop(f"ece_{event}{bound}")
            if name == "local":
                found.row.update(
                    {"error_mean": float(difference.mean()), "error_max": float(difference.max())}
                )
            yield name, ts, found


def _local(auto: LinkProbabilities, temperature: float) -> LinkProbabilities:
    """Local marginals in the place of auto's link and null probabilities."""
    graph = auto.graph
    link, null = (
        torch.zeros(graph.n_links, dtype=torch.float64),
        torch.ones(graph.n_cells, dtype=torch.float64),
    )
    links, cells = graph.link_offsets.tolist(), graph.cell_offsets.tolist()
    for t in range(1, graph.n_frames):
        found = local_marginals(graph.problem(t), temperature)
        link[links[t] : links[t + 1]], null[cells[t] : cells[t + 1]] = map(torch.from_numpy, found)
    return replace(auto, log_link=link.log(), log_null=null.log(), method="local", exact=None)


def fitted_events(
    first: ScoredMovie, second: ScoredMovie, start: float, n_links: int, resamples: int
) -> Iterator[tuple[str, str, Judgement]]:
    """Auto with T and event scores fitted by the joint likelihood of the last frame pairs of the first half.

    Args:
        first: The first half.
        second: The second half.
        start: Temperature to begin with.
        n_links: Frame pairs are taken, from the last on, while they hold at most so many candidate links.
        resamples: For the bounds.
    """
    graph = first.graph
    remaining = graph.n_links - graph.link_offsets
    begin = int((remaining[1:] <= n_links).nonzero()[0]) if graph.n_frames > 1 else 0
    part = cut(first.scores, first.targets, first.name, min(begin, graph.n_frames - 2), graph.n_frames)
    layer = UncertaintyLayer("auto", start, events=EventOffsets())
    fit = fit_events(layer, [part], max_steps=EVENT_STEPS)
    found = judge_at(layer, second, fit.temperature, resamples, None)
    found.row.update({f"offset_{name}": value for name, value in fit.offsets.items()})
    yield "auto, fitted events", "in time", found
