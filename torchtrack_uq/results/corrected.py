"""A result after a person has decided about some of its cells."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.calibration.annotations import Decisions
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.make import make_method
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.corrections import confirm
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.links.without_cells import without_cells
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.relabelled import RelabelledFrames
from torchtrack_uq.posterior.false_cells import KnownFalse
from torchtrack_uq.posterior.map_links import map_links, mothers_of
from torchtrack_uq.results.kept_choices import keep_choices


@torch.no_grad()
def corrected_fields(
    decisions: Decisions,
    *,
    movie: Movie | None,
    detections: Detections,
    probabilities: LinkProbabilities,
    scaled: CandidateGraph | None,
    border_share: Mapping[str, Tensor] | None,
    known_false: KnownFalse | None = None,
    decided: NDArray[np.bool_] | None = None,
    given: NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    """The fields of a result that decisions change: the posterior given that the person is right, and its MAP.

    Bad detections are struck out, of the masks too: what is left has the posterior given that they are no cells.
    Decided daughters have the mothers that they were given, and their neighbours what follows from it.

    Args:
        decisions: Of these detections.
        movie: Pixels, or None.
        detections: N cells.
        probabilities: As tracked, or as corrected before.
        scaled: The scores that they are of.
        border_share: (N,) each, see `TrackingResult`.
        known_false: What is known of these cells' being false.
        decided: (N,) bool, cells that were decided about before; None for none.
        given: (E,) bool, links of another tracker's tracks, which stay where no decision reaches them; None where the
            tracks are the likeliest.

    Raises:
        InputError: The method does not sum over assignments, so that it has no posterior to condition; decisions that
            contradict each other.
    """
    if scaled is None:
        raise InputError(
            f"corrections condition a posterior over assignments, which {probabilities.method} has not; track with "
            "--method auto, exact, AS or bp"
        )
    if len(decisions.known) != len(detections):
        raise InputError(
            f"decisions are of {len(decisions.known)} cells but the result has {len(detections)}; expected decisions "
            f"of these detections"
        )
    known = decisions.known & ~decisions.bad
    earlier = np.zeros_like(known) if decided is None else decided & ~decisions.bad
    mother = np.where(known, decisions.mother, _only_mothers(scaled, earlier))
    decided = earlier | known
    _refuse_contradictions(Decisions(mother, decided, decisions.bad), detections)
    graph, whole = probabilities.graph, scaled
    keep = ~decisions.bad
    if decisions.bad.any():
        dropped = torch.from_numpy(decisions.bad)
        graph, scaled = without_cells(graph, dropped)[0], without_cells(scaled, dropped)[0]
        new = np.cumsum(keep) - 1
        mother = np.where(mother >= 0, new[mother.clip(min=0)], -1)[keep]
        known, decided = known[keep], decided[keep]
        movie = None if movie is None else _struck_out(movie, detections, decisions.bad)
        detections = _kept(detections, keep)
        if border_share is not None:
            border_share = {name: share[torch.from_numpy(keep)] for name, share in border_share.items()}
        if known_false is not None:
            known_false = KnownFalse(*(values[keep] for values in known_false))
    cells = np.flatnonzero(known)
    graph, scaled = (confirm(one, cells, mother[cells]) for one in (graph, scaled))
    method = make_method(probabilities.method, **probabilities.options)
    found: LinkProbabilities = method(scaled)
    selected = map_links(scaled)
    if given is not None:
        kept = keep_choices(
            _renumbered(mothers_of(probabilities.graph, given), keep),
            _renumbered(mothers_of(whole, map_links(whole)), keep),
            mothers_of(scaled, selected),
            known,
        )
        selected = kept[scaled.daughter.numpy()] == scaled.mother.numpy()
    return {
        "movie": movie,
        "detections": detections,
        "probabilities": replace(found, graph=graph),
        "scaled": scaled,
        "border_share": border_share,
        "selected": selected,
        "acceptance": None,
        "known_false": known_false,
        "decided": decided,
    }


def _renumbered(mother: NDArray[np.int64], keep: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Mothers of the cells that are kept, as these are numbered; -2 for one that was struck out."""
    new = np.where(keep, np.cumsum(keep) - 1, -2)
    return np.where(mother >= 0, new[mother.clip(min=0)], -1)[keep]


def _only_mothers(graph: CandidateGraph, decided: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N,) mothers that were given to decided cells, who have no other option; -1 for others and for none."""
    mother, daughter = graph.mother.numpy(), graph.daughter.numpy()
    given = decided[daughter] & (graph.score.numpy() > -np.inf)
    found = np.full(graph.n_cells, -1, np.int64)
    found[daughter[given]] = mother[given]
    return found


def _refuse_contradictions(decisions: Decisions, detections: Detections) -> None:
    lost = decisions.known & (decisions.mother >= 0)
    lost &= decisions.bad[decisions.mother.clip(min=0)]
    for cell in np.flatnonzero(lost)[:1]:
        mother = decisions.mother[cell]
        raise InputError(
            f"cell {detections.name[mother]} of frame {detections.frame_number[mother]} is judged bad, but is given as "
            f"mother of cell {detections.name[cell]} of frame {detections.frame_number[cell]}; withdraw one of the two"
        )
    count = np.bincount(decisions.mother[decisions.known & (decisions.mother >= 0)], minlength=1)
    for cell in np.flatnonzero(count > 2)[:1]:
        raise InputError(
            f"cell {detections.name[cell]} of frame {detections.frame_number[cell]} is given more than two daughters, "
            f"those of earlier corrections included; a mother has at most two"
        )


def _kept(detections: Detections, keep: NDArray[np.bool_]) -> Detections:
    return replace(
        detections,
        frame=detections.frame[keep],
        label=detections.label[keep],
        coords=detections.coords[keep],
        features={name: values[keep] for name, values in detections.features.items()},
        row=detections.row[keep],
        naming=detections.naming.where(keep),
    )


def _struck_out(movie: Movie, detections: Detections, bad: NDArray[np.bool_]) -> Movie:
    label = detections.label
    masks = RelabelledFrames.of_cells(movie.masks, detections, label, np.where(bad, 0, label))
    return replace(movie, masks=masks)
