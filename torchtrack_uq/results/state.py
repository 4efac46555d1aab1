"""A result as one file of arrays, so that a later run goes on where this one ended, to the last digit."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees.acceptance import AcceptanceThreshold, ReviewStatistic
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import SCORES
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import FramesLike, FrameSource, open_frames
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.naming import Naming
from torchtrack_uq.movies.relabelled import RelabelledFrames
from torchtrack_uq.posterior.false_cells import KnownFalse
from torchtrack_uq.posterior.problems import to_host
from torchtrack_uq.results.in_words import Tracked
from torchtrack_uq.results.provenance import path_of
from torchtrack_uq.results.provenance import plain as as_plain
from torchtrack_uq.results.state_checks import check_cells, check_choices, check_plain, check_probabilities
from torchtrack_uq.results.stored_fields import (
    as_tensors,
    put_fields,
    read_archive,
    take_fields,
    write_archive,
)
from torchtrack_uq.utils.json_text import parse_json
from torchtrack_uq.utils.staged_folder import recover_results

FILE = "state.npz"
FORMAT = "torchtrack-uq result 1"


class Stored(Tracked, Protocol):
    """What can be stored: a `TrackingResult`."""

    @property
    def movie(self) -> Movie | None:
        """Images and masks."""
        ...

    @property
    def scaled(self) -> CandidateGraph | None:
        """The scores that the probabilities are of."""
        ...

    @property
    def annotated(self) -> ReviewStatistic | None:
        """Right and wrong decisions where truth is known."""
        ...

    @property
    def border_share(self) -> Mapping[str, Tensor] | None:
        """What the border does."""
        ...


def state_bytes(result: Stored, plain: Mapping[str, Any], *, masks: bool = True) -> bytes:
    """All arrays and numbers of a result (`state_arrays`), as a compressed numpy archive."""
    file = io.BytesIO()
    write_archive(file, state_arrays(result, plain, masks=masks))
    return file.getvalue()


def state_arrays(result: Stored, plain: Mapping[str, Any], *, masks: bool = True) -> dict[str, NDArray[Any]]:
    """All arrays and numbers of a result by their names in the archive; pixels are not in it.

    Args:
        result: A `TrackingResult`.
        plain: Its fields that are numbers, texts or dictionaries of these.
        masks: Whether masks labelled by track are written beside it; else it says where the movie's own are.
    """
    arrays: dict[str, NDArray[Any]] = {"selected": result.selected, "track": result.tracklets.track}
    arrays["false"] = result.doubts.part["false"]
    facts: dict[str, Any] = {"format": FORMAT, "plain": as_plain(dict(plain))}
    put_fields("detections", result.detections, arrays, facts)
    put_fields("probabilities", replace(result.probabilities, sums=None), arrays, facts)
    del facts["probabilities.sums"]
    if result.scaled is not None:
        arrays |= {f"scaled.{name}": getattr(result.scaled, name).detach().cpu().numpy() for name in SCORES}
    if result.decided is not None:
        arrays["decided"] = result.decided
    for name, share in (result.border_share or {}).items():
        arrays[f"border_share.{name}"] = share.detach().cpu().numpy()
    facts["acceptance"] = None if result.acceptance is None else asdict(result.acceptance)
    facts["annotated"] = None if result.annotated is None else result.annotated.to_json()
    facts |= _whereabouts("images", None if result.movie is None else result.movie.images)
    facts |= _whereabouts("masks", None if result.movie is None or masks else result.movie.masks)
    facts["masks_written"] = masks
    facts["has_masks"] = result.movie is not None
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    return arrays


def _whereabouts(name: str, frames: FrameSource | None) -> dict[str, Any]:
    source = None if frames is None else path_of(frames)
    return {
        name: None if source is None else str(source.resolve()),
        f"{name}_read": None if frames is None else asdict(frames.reading.options),
    }


def load_state(
    folder: str | Path, images: FramesLike | None = None, masks: FramesLike | None = None
) -> dict[str, Any]:
    """The fields of a `TrackingResult`, from a folder that `save` wrote.

    Args:
        folder: With `state.npz` and, unless cells are points, the relabelled masks.
        images: The movie's images; by default those that it was tracked with, if they are still there.
        masks: The movie's masks as tracked; by default those in the folder, with the labels that cells had.

    Raises:
        InputError: The file is missing, damaged or of another version, or pixels are not those of the result.
    """
    recover_results(Path(folder))
    file = Path(folder) / FILE
    arrays = read_archive(file)
    try:
        facts = parse_json(arrays.pop("facts").tobytes())
        version, has_masks = facts["format"], facts["has_masks"]
    except Exception as error:
        raise InputError(f"{file} is no result of this version ({_said(error)}); track again") from error
    if version != FORMAT:
        raise InputError(
            f"{file} is in the format {version!r}; expected {FORMAT!r}: track again with this version"
        )
    try:
        found = _stored(arrays, facts)
    except Exception as error:  # of the many classes that are made of what stands in the file
        raise InputError(f"{file} is no result of this version ({_said(error)}); track again") from error
    movie = (
        _movie(Path(folder), found["detections"], arrays["track"], facts, images, masks)
        if has_masks
        else None
    )
    return found | {"movie": movie}


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"


def _stored(arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `TrackingResult` but for its pixels, each of them checked."""
    check_plain(facts["plain"])
    naming = Naming(**take_fields("detections.naming", arrays, facts))
    detections = Detections(**take_fields("detections", arrays, facts), naming=naming)
    check_cells(detections)
    graph = CandidateGraph(**as_tensors(take_fields("probabilities.graph", arrays, facts)))
    stored = as_tensors(take_fields("probabilities", arrays, facts, nested=("graph",)))
    probabilities = LinkProbabilities(**stored | {"graph": graph, "sums": None})
    check_probabilities(probabilities)
    scaled = None
    if "scaled.score" in arrays:
        scaled = graph.with_scores(*(torch.from_numpy(arrays[f"scaled.{name}"]) for name in SCORES))
    share = {
        name.removeprefix("border_share."): torch.from_numpy(values)
        for name, values in arrays.items()
        if name.startswith("border_share.")
    }
    selected, decided, false = arrays["selected"], arrays.get("decided"), arrays.get("false")
    check_choices(selected, decided, false, arrays["track"], share, probabilities)
    acceptance, annotated = facts["acceptance"], facts.get("annotated")
    return {
        **facts["plain"],
        "detections": detections,
        "probabilities": probabilities,
        "selected": selected,
        "scaled": scaled,
        "border_share": share or None,
        "decided": decided,
        "acceptance": None if acceptance is None else AcceptanceThreshold(**acceptance),
        "annotated": None if annotated is None else ReviewStatistic.from_json(annotated),
        "known_false": _known_false(arrays, probabilities),
    }


def _known_false(arrays: Mapping[str, NDArray[Any]], probabilities: LinkProbabilities) -> KnownFalse | None:
    """So that opening a result does not sum again what took longest; results of older versions lack it."""
    if "false" not in arrays:
        return None
    return KnownFalse(to_host(probabilities.null), to_host(probabilities.disappear), arrays["false"])


def _where_it_was(name: str, facts: dict[str, Any]) -> FrameSource | None:
    """Images or masks as `_whereabouts` says; None if they are gone."""
    if facts[name] is None or not Path(facts[name]).exists():
        return None
    return open_frames(facts[name], name, **(facts.get(f"{name}_read") or {}))


def _own_masks(folder: Path, facts: dict[str, Any]) -> FrameSource:
    """Masks that a result without masks was made of."""
    masks = _where_it_was("masks", facts)
    if masks is None:
        where = "were an array" if facts["masks"] is None else f"are no longer at {facts['masks']}"
        raise InputError(
            f"{folder} was saved without masks, and those that were tracked {where}; pass them as masks=, or track "
            "again without --no-masks"
        )
    return masks


def _movie(
    folder: Path,
    detections: Detections,
    track: NDArray[np.int64],
    facts: dict[str, Any],
    images: FramesLike | None,
    masks: FramesLike | None,
) -> Movie:
    stride = detections.stride
    if masks is None and not facts.get("masks_written", True):
        masks = _own_masks(folder, facts)
    if masks is not None:
        own = open_frames(masks, "masks").strided(stride)
    else:
        own = RelabelledFrames.of_cells(open_frames(folder, "masks"), detections, track, detections.label)
    if images is None:
        images = _where_it_was("images", facts)
    pixels = None if images is None else open_frames(images, "images").strided(stride)
    movie = Movie.open(pixels, own, voxel_size=detections.voxel_size, interval=detections.interval)
    if movie.n_frames != detections.n_frames:
        raise InputError(
            f"{movie.masks.name} has {movie.n_frames} frames but the result {detections.n_frames}; expected the "
            f"masks that were tracked"
        )
    return replace(movie, stride=stride)
