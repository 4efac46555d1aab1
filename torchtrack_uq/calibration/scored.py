"""Movies ready for calibration: a tracker's scores, the truth, and what need not be solved twice."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.datasets.read import read_movies
from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.tensor_fields import TensorFields
from torchtrack_uq.layers import UncertaintyLayer
from torchtrack_uq.layers.method import Scores, graph_of
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.perturbed_scores import PerturbedScores
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import FramesLike
from torchtrack_uq.trackers import Tracker
from torchtrack_uq.truth.detection_truth import DetectionTruth
from torchtrack_uq.truth.judged import JudgedDaughters, judge
from torchtrack_uq.truth.targets import LinkTargets


@dataclass(frozen=True, eq=False)
class ScoredMovie(TensorFields):
    """One annotated movie, scored.

    Attributes:
        name: What to call it.
        scores: A tracker's candidate links, under noise for FP and FP+A (`UncertaintyLayer.scores`).
        targets: The true mothers.
        solved: What `UncertaintyLayer.solve` found, or None.
        detection_truth: Which detections are false, merged or split; None where that is not known.
        detections: The cells with what was measured of them; None for a batch.

    Raises:
        InputError: Scores and targets belong to different numbers of cells.
    """

    float_fields: ClassVar[tuple[str, ...]] = ("scores",)

    name: str
    scores: Scores
    targets: LinkTargets
    solved: Any | None = None
    detection_truth: DetectionTruth | None = None
    detections: Detections | None = None

    def __post_init__(self) -> None:
        if self.graph.n_cells != len(self.targets.mother):
            raise InputError(
                f"{self.name}: scores are of {self.graph.n_cells} cells, targets of {len(self.targets.mother)}"
            )

    @property
    def graph(self) -> CandidateGraph:
        """The candidate links without noise."""
        return graph_of(self.scores)

    def solve(self, layer: UncertaintyLayer) -> "ScoredMovie":
        """The same movie with what the layer's method can find once for all temperatures."""
        return replace(self, solved=layer.solve(self.scores))

    @classmethod
    def batch(cls, movies: "Sequence[ScoredMovie]") -> "ScoredMovie":
        """Several movies as one, one after the other in time; what was solved for each alone is solved again.

        Raises:
            InputError: No movie at all, or scores with noise and without.
        """
        noisy = {isinstance(movie.scores, PerturbedScores) for movie in movies}
        if len(noisy) > 1:
            raise InputError(
                "some movies were scored under noise and others were not; expected one or the other"
            )
        kind: Any = PerturbedScores if noisy == {True} else CandidateGraph
        scores: Scores = kind.batch([movie.scores for movie in movies])
        return cls(
            ", ".join(movie.name for movie in movies),
            scores,
            LinkTargets.batch([movie.targets for movie in movies]),
            detection_truth=DetectionTruth.batch([movie.detection_truth for movie in movies]),
        )

    def only(self, cells: torch.Tensor) -> "ScoredMovie":
        """The same movie with fewer daughters to judge, by a (N,) mask."""
        return replace(self, targets=self.targets.only(cells))

    def judge(self, layer: UncertaintyLayer) -> JudgedDaughters:
        """The layer's probabilities held against the truth; differentiable."""
        return judge(layer(self.scores, self.solved), self.targets)


@torch.no_grad()
def score_movie(
    annotated: AnnotatedMovie, tracker: Tracker, layer: UncertaintyLayer, *, progress: bool = True
) -> ScoredMovie:
    """Score one annotated movie and solve what does not depend on the temperature.

    Raises:
        InputError: The tracker needs pixels, and the movie has none; the message names the movie.
    """
    try:
        scores = layer.scores(tracker, annotated.detections, annotated.movie, progress=progress)
    except InputError as error:
        raise InputError(f"{annotated.name}: {error}") from error
    graph = graph_of(scores)
    targets, truth = annotated.targets(graph.max_gap).to(graph.device), annotated.detection_truth()
    return ScoredMovie(
        annotated.name,
        scores,
        targets,
        layer.solve(scores),
        None if truth is None else truth.to(graph.device),
        annotated.detections,
    )


def score_folders(
    folders: Iterable[str | os.PathLike[str]],
    tracker: Tracker,
    layer: UncertaintyLayer,
    stride: int = 1,
    *,
    segmentation: Sequence[FramesLike] | None = None,
    voxel_size: Sequence[float] | None = None,
    missing_frames: str = "refuse",
    progress: bool = True,
) -> Iterator[ScoredMovie]:
    """`read_movies` and `score_movie` for each folder, one after the other.

    A movie's truth reaches as many frames back as the tracker's links do (`CandidateGraph.max_gap`).

    Args:
        folders: As for `read_movies`.
        tracker: What scores the links.
        layer: Whose method says what can be solved once for all temperatures.
        stride: Take every `stride`-th frame.
        segmentation: Masks to track instead of the annotated ones, one for each folder.
        voxel_size: Of all the movies, see `read_annotated`.
        missing_frames: Likewise.
        progress: Show progress bars.

    Raises:
        InputError: As `read_movies` and `score_movie`.
    """
    movies = read_movies(
        folders,
        stride,
        segmentation=segmentation,
        voxel_size=voxel_size,
        missing_frames=missing_frames,
        progress=progress,
    )
    return (score_movie(movie, tracker, layer, progress=progress) for movie in movies)
