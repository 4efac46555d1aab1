"""Link accuracy of a Trackastra model on the held-out frames of annotated movies."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from torchtrack_uq.datasets.ground_truth import AnnotatedMovie
from torchtrack_uq.trackers.trackastra.attention import has_one_mask
from torchtrack_uq.trackers.trackastra.places import distances
from torchtrack_uq.trackers.trackastra.token_tensors import TokenTensors
from torchtrack_uq.trackers.trackastra.view import ModelView
from torchtrack_uq.trackers.trackastra.window_model import WindowModel
from torchtrack_uq.trackers.trackastra.windows import pair_logits


@dataclass(frozen=True)
class LinkAccuracy:
    """Share of daughters that got the right mother, or rightly none.

    Attributes:
        n_daughters: Daughters that were judged.
        n_correct: Of these, right ones.
        n_with_mother: Daughters that truly have a mother.
        n_correct_with_mother: Of these, right ones.
    """

    n_daughters: int = 0
    n_correct: int = 0
    n_with_mother: int = 0
    n_correct_with_mother: int = 0

    @classmethod
    def of(
        cls, predicted: NDArray[np.int64], mother: NDArray[np.int64], judged: NDArray[np.bool_]
    ) -> "LinkAccuracy":
        """Compare predicted with true mothers, (N,) indices or -1, where `judged`.

        >>> LinkAccuracy.of(np.array([0, -1, 1]), np.array([0, 0, -1]), np.array([True, True, True])).share
        0.3333333333333333
        """
        correct, linked = (predicted == mother) & judged, (mother >= 0) & judged
        return cls(int(judged.sum()), int(correct.sum()), int(linked.sum()), int((correct & linked).sum()))

    def __add__(self, other: "LinkAccuracy") -> "LinkAccuracy":
        return LinkAccuracy(
            self.n_daughters + other.n_daughters,
            self.n_correct + other.n_correct,
            self.n_with_mother + other.n_with_mother,
            self.n_correct_with_mother + other.n_correct_with_mother,
        )

    @property
    def share(self) -> float:
        """Correct among all daughters; nan without daughters."""
        return self.n_correct / self.n_daughters if self.n_daughters else float("nan")

    @property
    def share_with_mother(self) -> float:
        """Correct among the daughters that truly have a mother; nan without any."""
        return self.n_correct_with_mother / self.n_with_mother if self.n_with_mother else float("nan")


@dataclass(frozen=True)
class HeldOutChain:
    """Every `stride`-th frame of a movie, ending in its held-out part.

    Attributes:
        movie: The chain, with as many frames of context before the held-out part as a window reaches back.
        judged: (N,) bool: the daughters in held-out frames. No such frame was trained on; the frame of their
            mothers may have been.
    """

    movie: AnnotatedMovie
    judged: NDArray[np.bool_]


def held_out_chains(
    movie: AnnotatedMovie, first_held_out: int, stride: int, window: int, max_phases: int | None = None
) -> Iterator[HeldOutChain]:
    """The chains of every phase of a stride, so that each held-out daughter is judged once.

    Args:
        movie: The whole movie.
        first_held_out: Its first held-out frame.
        stride: Frames from mother to daughter.
        window: Frames that a model sees at once.
        max_phases: Take only as many phases, for a quick look.
    """
    n_frames = movie.detections.n_frames
    n_phases = stride if max_phases is None else min(stride, max_phases)
    for last in range(n_frames - 1, max(n_frames - 1 - n_phases, first_held_out - 1, stride - 1), -1):
        frames = np.arange(last, -1, -stride)
        n_judged = int((frames >= first_held_out).sum())
        start = int(frames[min(n_judged + window - 1, len(frames)) - 1])
        chain = movie.frames(start, last + 1).strided(stride)
        judged = chain.has_target & (chain.recording_frame >= movie.first_frame + first_held_out)
        yield HeldOutChain(chain, judged)


@torch.no_grad()
def predict_mothers(model: Any, movie: AnnotatedMovie, view: ModelView | None = None) -> NDArray[np.int64]:
    """The likeliest mother of every cell, or -1 where "no mother" is likelier.

    Logits are averaged over all windows that hold a frame pair; the null class has logit 0. Every daughter
    decides alone: how many daughters a mother can have is not looked at.

    Args:
        model: A `trackastra.model.TrackingTransformer` with quiet softmax.
        movie: Any movie with Trackastra's features.
        view: How the model sees movies; by default as they are measured.

    Returns:
        (N,) int64.
    """
    config, view = model.config, view or ModelView()
    tokens = TokenTensors.of_model(movie.detections, config, view, next(model.parameters()).device)
    model.eval()
    whole = WindowModel(model, has_one_mask(model), local_form=False)
    predicted = np.full(len(movie), -1, dtype=np.int64)
    for _, pairs in pair_logits(whole, tokens, config["window"], 1, progress=False):
        for (t, _), logits in pairs:
            mothers, daughters = (movie.detections.in_frame(frame) for frame in (t - 1, t))
            far = distances(tokens.coords[mothers], tokens.coords[daughters]) > config["spatial_pos_cutoff"]
            best, index = torch.stack(logits).mean(dim=0).masked_fill(far, -torch.inf).max(dim=0)
            predicted[daughters] = torch.where(best > 0, index + mothers.start, -1).cpu().numpy()
    return predicted


def held_out_accuracy(
    model: Any,
    movies: Sequence[AnnotatedMovie],
    first_held_out: Sequence[int],
    strides: Iterable[int] = (1, 2, 4, 8),
    max_phases: int | None = None,
    view: ModelView | None = None,
) -> dict[tuple[str, int], LinkAccuracy]:
    """Accuracy for every movie and stride, by (name, stride); see `held_out_chains` for the arguments."""
    results: dict[tuple[str, int], LinkAccuracy] = {}
    for movie, first in zip(movies, first_held_out, strict=True):
        for stride in strides:
            total = LinkAccuracy()
            for chain in held_out_chains(movie, first, stride, model.config["window"], max_phases):
                predicted = predict_mothers(model, chain.movie, view)
                total += LinkAccuracy.of(predicted, chain.movie.mother, chain.judged)
            results[movie.name, stride] = total
    return results
