"""What `experiments.small_2d.train` compares, judged daughter by daughter: a model, nearest centroid, mask overlap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from torchtrack_uq import TrackastraTracker, UncertaintyLayer
from torchtrack_uq.datasets import AnnotatedMovie
from torchtrack_uq.training.accuracy import HeldOutChain
from torchtrack_uq.truth.judged import judge

Linker = Callable[[AnnotatedMovie], NDArray[np.int64]]


@dataclass(frozen=True)
class Judged:
    """D daughters: frame in the recording, whether right, whether they have a mother, and -log P(truth).

    Attributes:
        frame: (D,) int64.
        correct: (D,) bool.
        has_mother: (D,) bool.
        nll: (D,) float64, nats; inf where the true mother is no candidate, nan for linkers without probabilities.
    """

    frame: NDArray[np.int64]
    correct: NDArray[np.bool_]
    has_mother: NDArray[np.bool_]
    nll: NDArray[np.float64]

    @classmethod
    def concatenate(cls, parts: "Sequence[Judged]") -> "Judged":
        """Daughters of several chains."""
        names = ("frame", "correct", "has_mother", "nll")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def since(self, frame: int) -> "Judged":
        """The daughters in a frame of the recording or later."""
        late = self.frame >= frame
        return Judged(self.frame[late], self.correct[late], self.has_mother[late], self.nll[late])

    def summary(self, name: str) -> dict[str, float]:
        """Accuracy of all daughters and of those with a mother, and the mean NLL of those within reach."""
        reachable = np.isfinite(self.nll)
        return {
            name: _mean(self.correct),
            f"{name}_with_mother": _mean(self.correct[self.has_mother]),
            f"{name}_nll": _mean(self.nll[reachable]),
            f"{name}_unreachable": int(np.isinf(self.nll).sum()),
        }


def _mean(values: NDArray[np.generic]) -> float:
    return float(values.mean()) if len(values) else float("nan")


@torch.no_grad()
def judge_model(tracker: TrackastraTracker, chain: HeldOutChain, methods: Sequence[str]) -> list[Judged]:
    """The model's probabilities by methods of the layer, at T = 1."""
    movie = chain.movie
    graph = tracker.candidates(movie.detections, progress=False)
    targets = movie.targets().only(torch.from_numpy(chain.judged))
    judged = []
    for method in methods:
        found = judge(UncertaintyLayer(method)(graph), targets)
        frame = movie.recording_frame[found.cell.numpy()]
        judged.append(
            Judged(frame, found.correct.numpy(), found.has_mother.numpy(), -found.true_log_p.numpy())
        )
    return judged


def judge_linker(link: Linker, chain: HeldOutChain) -> Judged:
    """A rule that gives every daughter one mother or none."""
    movie, where = chain.movie, chain.judged
    correct = (link(movie) == movie.mother)[where]
    nll = np.full(len(correct), np.nan)
    return Judged(movie.recording_frame[where], correct, (movie.mother >= 0)[where], nll)


def nearest(movie: AnnotatedMovie, longest: float = np.inf) -> NDArray[np.int64]:
    """The mother with the nearest centroid; none if it is farther than `longest` daughter diameters."""
    cells = movie.detections
    diameter = cells.features["equivalent_diameter_area"][:, 0]
    predicted = np.full(len(cells), -1, dtype=np.int64)
    for t in range(1, cells.n_frames):
        mothers, daughters = cells.in_frame(t - 1), cells.in_frame(t)
        if mothers.start == mothers.stop or daughters.start == daughters.stop:
            continue
        difference = cells.coords[mothers, None] - cells.coords[None, daughters]
        distance = np.sqrt((difference.astype(np.float64) ** 2).sum(axis=-1))
        near = distance.min(axis=0) <= longest * diameter[daughters]
        predicted[daughters] = np.where(near, distance.argmin(axis=0) + mothers.start, -1)
    return predicted


def largest_overlap(movie: AnnotatedMovie, masks: Sequence[NDArray[np.generic]]) -> NDArray[np.int64]:
    """The mother whose mask shares most pixels with the daughter's; none where there is no overlap."""
    cells = movie.detections
    predicted = np.full(len(cells), -1, dtype=np.int64)
    for t in range(1, cells.n_frames):
        after = movie.first_frame + t * cells.stride
        mother_mask, daughter_mask = masks[after - cells.stride], masks[after]
        both = (mother_mask > 0) & (daughter_mask > 0)
        labels = np.stack([daughter_mask[both], mother_mask[both]]).astype(np.int64)
        pairs, pixels = np.unique(labels, axis=1, return_counts=True)
        most = {int(pairs[0, k]): int(pairs[1, k]) for k in np.argsort(pixels, kind="stable")}
        mothers, daughters = cells.in_frame(t - 1), cells.in_frame(t)
        index = {int(label): mothers.start + i for i, label in enumerate(cells.label[mothers])}
        for j in range(daughters.start, daughters.stop):
            predicted[j] = index.get(most.get(int(cells.label[j]), 0), -1)
    return predicted


def best_ranges(
    movies: Sequence[AnnotatedMovie], strides: Sequence[int], ranges: NDArray[np.float64]
) -> dict[int, float]:
    """For each stride the search range with the best mean accuracy on these movies."""
    best: dict[int, float] = {}
    for stride in strides:
        shares = np.full((len(movies), len(ranges)), np.nan)
        for m, movie in enumerate(movies):
            if movie.detections.n_frames > stride:
                seen = movie.strided(stride)
                for r, longest in enumerate(ranges):
                    correct = nearest(seen, longest) == seen.mother
                    shares[m, r] = _mean(correct[seen.has_target])
        best[stride] = float(ranges[int(np.nanmean(shares, axis=0).argmax())])
    return best


def without_intensity(movie: AnnotatedMovie) -> AnnotatedMovie:
    """The movie as it would be read without its images."""
    cells = movie.detections
    blank = {**cells.features, "intensity_mean": np.zeros_like(cells.features["intensity_mean"])}
    return replace(movie, detections=replace(cells, features=blank, has_images=False))
