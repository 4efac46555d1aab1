"""A movie that was tracked reel by reel: as any result, but that most links are on the disk."""

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import EVENT_SCORES
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.reels.gathered import Gathered
from torchtrack_uq.reels.link_files import LinkFiles
from torchtrack_uq.results.known_tracks import with_names
from torchtrack_uq.results.save import save_result
from torchtrack_uq.results.state import state_arrays
from torchtrack_uq.results.state_checks import PLAIN
from torchtrack_uq.results.stored_fields import OnDisk, write_archive
from torchtrack_uq.results.track_probabilities import tracks_table
from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.utils.crew import Crew

_COLUMNS = {
    "selected": "selected",
    "probabilities.log_link": "log_link",
    "probabilities.graph.mother": "mother",
    "probabilities.graph.daughter": "daughter",
    "probabilities.graph.score": "score",
    "scaled.score": "scaled",
}
"""Entries of `state.npz` that are of all links."""


@dataclass(frozen=True, eq=False)
class ReeledProbabilities(LinkProbabilities):
    """Probabilities of the links that matter; what is said of cells is of all of them.

    Attributes:
        of_all: (N,) by name, `entropy` and `confidence`.
    """

    of_all: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def entropy(self) -> Tensor:
        """(N,) entropy in nats of each cell's distribution over mothers and "no mother"."""
        return self.of_all["entropy"]

    @property
    def confidence(self) -> Tensor:
        """(N,) probability of each cell's likeliest mother, or of "no mother"."""
        return self.of_all["confidence"]

    def plain(self) -> LinkProbabilities:
        """Of the links that matter alone."""
        return LinkProbabilities(**{one.name: getattr(self, one.name) for one in fields(LinkProbabilities)})


@dataclass(frozen=True, eq=False)
class ReeledResult(TrackingResult):
    """A result whose candidate links are those that were chosen or have a probability of at least 0.001.

    The others are in `links.csv` and in what `TrackingResult.load` reads, once it was saved, which can be done as long
    as the folder is there that its reels were kept in.

    Attributes:
        files: The links of all reels, on the disk.
        n_reels: How many there were.
        changed: Decisions that are others than each reel would have come to by itself, so that they hang on where the
            movie was cut; 0 where nothing that matters reaches over the margins.
    """

    files: LinkFiles | None = None
    n_reels: int = 1
    changed: int = 0

    @property
    def links(self) -> pd.DataFrame:
        """Not in memory.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "the links of a movie that was tracked reel by reel are on the disk: save it, and read links.csv, or "
            "TrackingResult.load(folder).links if all of them fit into memory"
        )

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        masks: bool = True,
        progress: bool = True,
        crew: Crew | None = None,
    ) -> Path:
        """As any result.

        Raises:
            InputError: As any; or what the reels left on the disk is gone.
        """
        if self.files is None or not self.files.folder.is_dir():
            raise InputError(
                "the links of this movie were in the folder that its reels were kept in, which is gone; save a result "
                "before that, or load one that was saved"
            )
        return save_result(
            self, folder, overwrite=overwrite, masks=masks, crew=crew, progress=progress, large=_Large(self)
        )

    def summary(self) -> str:
        """As of any result, and in how many reels it was tracked."""
        lines = super().summary().split("\n")
        of_each = self.detections.n_frames / self.n_reels
        said = f"tracked in {self.n_reels} reels of about {of_each:.0f} frames, to save memory"
        if self.changed:
            said += (
                f"; {self.changed} decisions near the cuts hang on cells far away, and may not be the likeliest: "
                "--cells-at-once 0 holds the whole movie"
            )
        lines.insert(1, said)
        return "\n".join(lines)


@dataclass(frozen=True)
class _Large:
    """`LargeFiles` of reels."""

    result: ReeledResult

    def links(self, folder: Path) -> None:
        assert self.result.files is not None
        self.result.files.write_table(folder)

    def state(self, file: Path, masks: bool) -> None:
        result, files = self.result, self.result.files
        assert files is not None
        assert isinstance(result.probabilities, ReeledProbabilities)
        own = {one.name: getattr(result, one.name) for one in fields(TrackingResult)}
        plain = TrackingResult(**own | {"probabilities": result.probabilities.plain()})
        vars(plain).update(tracklets=result.tracklets, doubts=result.doubts)
        of_run = {name: getattr(result, name) for name in PLAIN}
        arrays: dict[str, Any] = dict(state_arrays(plain, of_run, masks=masks))
        missing = _COLUMNS.keys() - arrays.keys()
        assert not missing, missing
        whole: dict[str, OnDisk] = {name: files.column(column) for name, column in _COLUMNS.items()}
        with file.open("wb") as stream:
            write_archive(stream, arrays | whole)


def reeled_result(
    gathered: Gathered, max_gap: int, files: LinkFiles, n_reels: int, **about: Any
) -> ReeledResult:
    """The result of a movie, when all its reels and their draws were added.

    Args:
        gathered: What they found.
        max_gap: How many frames links may span.
        files: Their links.
        n_reels: How many.
        about: Other fields of a `TrackingResult`.
    """
    detections, links = gathered.detections, gathered.links
    cells = {name: torch.from_numpy(values) for name, values in gathered.cells.items()}
    graph = _graph(detections, links, cells, max_gap)
    nothing, unknown = torch.zeros(1, dtype=torch.float64), torch.full((1,), torch.inf, dtype=torch.float64)
    bound = cells["cell_error"].max().reshape(1) if len(detections) else nothing
    probabilities = ReeledProbabilities(
        graph,
        torch.from_numpy(links["log_link"]),
        cells["log_null"],
        cells["disappear"],
        cells["divide"],
        "auto",
        nothing + gathered.log_z,
        nothing,
        bound,
        bound <= about.pop("tolerance"),
        unknown,
        cells["cell_error"],
        of_all={name: cells[name] for name in ("entropy", "confidence")},
    )
    scaled = graph.with_scores(
        torch.from_numpy(links["scaled"]), *(cells[f"scaled.{name}"] for name in EVENT_SCORES)
    )
    result = ReeledResult(
        detections=detections,
        probabilities=probabilities,
        selected=links["selected"],
        scaled=scaled,
        files=files,
        n_reels=n_reels,
        changed=gathered.changed,
        **about,
    )
    table = tracks_table(gathered.mother, result.tracklets, gathered.draws, gathered.left_out)
    vars(result).update(doubts=gathered.doubts(), tracks=with_names(table, detections.naming))
    return result


def _graph(
    detections: Detections, links: dict[str, np.ndarray[Any, Any]], cells: dict[str, Tensor], max_gap: int
) -> CandidateGraph:
    return CandidateGraph(
        mother=torch.from_numpy(links["mother"]),
        daughter=torch.from_numpy(links["daughter"]),
        score=torch.from_numpy(links["score"]),
        appear=cells["appear_score"],
        disappear=cells["disappear_score"],
        divide=cells["divide_score"],
        frame=torch.from_numpy(detections.frame),
        label=torch.from_numpy(detections.label),
        coords=torch.from_numpy(detections.coords.astype(np.float32)),
        n_frames=detections.n_frames,
        max_gap=max_gap,
    )
