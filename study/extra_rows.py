"""Comparisons that need more than a method's name: local marginals, and event scores fitted with the temperature."""

import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from study.judge import Judgement, judge_at, judge_probabilities
from study.neighbourhood import local_marginals
from study.split import part_of
from torchtrack_uq.calibration import ScoredMovie, fit_events
from torchtrack_uq.layers import EventOffsets, UncertaintyLayer
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities

EVENT_STEPS = 25
"""Most iterations of the fit of event scores."""


@torch.no_grad()
def local_rows(
    movie: ScoredMovie, judged: Tensor, fitted: float, n_daughters: int, resamples: int
) -> Iterator[tuple[str, str, Judgement]]:
    """Local marginals and auto on the first daughters of a movie, at T = 1 and at a fitted T (that of auto).

    Args:
        movie: The whole movie.
        judged: (P,) bool, the frame pairs that are judged.
        fitted: T.
        n_daughters: Whole frame pairs are taken until so many daughters are reached.
        resamples: For the bounds.

    Yields:
        Name, "none" or "in time", and the judgement; local ones with error_mean and error_max, the distance of
        their links' probabilities from auto's.
    """
    size = movie.graph.cell_offsets.diff()[1:] * judged
    enough = size.cumsum(0) - size < n_daughters
    part = part_of(movie, judged & enough)
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
    movie: ScoredMovie, judged: Tensor, start: float, n_links: int, resamples: int, untempered: Tensor
) -> Iterator[tuple[str, Judgement]]:
    """Auto with T and event scores fitted by the joint likelihood, on the fitted frame pairs and on the judged ones.

    Args:
        movie: The whole movie.
        judged: (P,) bool, the frame pairs that are judged; the fit is on the others.
        start: Temperature to begin with.
        n_links: Every k-th frame pair is fitted on, for the least k at which these hold at most so many candidate
            links (never fewer than one frame pair).
        resamples: For the bounds.
        untempered: (D,) nats of the judged daughters under auto at T = 1.

    Yields:
        "in time" and "oracle", and the judgement.
    """
    kept = part_of(movie, judged)
    for ts, pairs in (("in time", ~judged), ("oracle", judged)):
        layer = UncertaintyLayer("auto", start, events=EventOffsets())
        began = time.perf_counter()
        fit = fit_events(layer, [part_of(movie, spread(movie.graph, pairs, n_links))], max_steps=EVENT_STEPS)
        seconds = time.perf_counter() - began
        found = judge_at(layer, kept, fit.temperature, resamples, untempered)
        found.row.update({f"offset_{name}": value for name, value in fit.offsets.items()})
        found.row["seconds_solving"] = seconds
        yield ts, found


def spread(graph: CandidateGraph, pairs: Tensor, n_links: int) -> Tensor:
    """(P,) bool, every k-th of the frame pairs, with the least k at which they hold at most n_links candidate links."""
    size, chosen = graph.link_offsets.diff()[1:], pairs.nonzero().squeeze(1)
    for k in range(1, len(chosen) + 1):
        fewer = chosen[k // 2 :: k] if len(chosen[k // 2 :: k]) else chosen[:1]
        if int(size[fewer].sum()) <= n_links:
            break
    found = torch.zeros_like(pairs)
    found[fewer] = True
    return found
