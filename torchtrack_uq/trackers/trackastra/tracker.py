"""Trackastra's transformer (Gallusser and Weigert, ECCV 2024) as a tracker that keeps its logits."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import nn

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.checks import check_max_gap
from torchtrack_uq.links.chunks import LinkChunk
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.trackers.gaps import check_miss
from torchtrack_uq.trackers.trackastra.attention import has_one_mask
from torchtrack_uq.trackers.trackastra.copied_windows import score_copies
from torchtrack_uq.trackers.trackastra.event_heads import EventAverage
from torchtrack_uq.trackers.trackastra.folder import (
    download_model,
    load_folder,
    save_trackastra_folder,
    weights_digest,
)
from torchtrack_uq.trackers.trackastra.local_attention import has_local_form
from torchtrack_uq.trackers.trackastra.model_facts import ModelFacts
from torchtrack_uq.trackers.trackastra.scores import LinkScores
from torchtrack_uq.trackers.trackastra.shares import ScoredShare, ShareScorer, WindowShare
from torchtrack_uq.trackers.trackastra.token_tensors import TokenTensors
from torchtrack_uq.trackers.trackastra.window_model import WindowModel
from torchtrack_uq.trackers.trackastra.windows import pair_logits
from torchtrack_uq.utils.device import choose_device

MISS = -6.0
"""Score of a cell being missed in a frame."""


class TrackastraTracker(nn.Module):
    """Scores candidate links with a Trackastra model.

    The score of a link is the transformer's logit, averaged over all windows that hold both cells, without
    Trackastra's threshold at 0.05 and without leaving the device. How the logits become log-weights depends
    on the model's `causal_norm`:

    - `quiet_softmax` (all published models): score = logit, appear = 0. The parental softmax of these is
      Trackastra's own normalisation.
    - `none` (independent sigmoids): the same, since a sigmoid is a softmax against a null class of logit 0;
      conditioning on at most one mother leaves the odds as they are.
    - `softmax`: score = logit, appear = max(0, largest logit) + log 1e-6: Trackastra shifts the logits by that
      maximum and adds 1e-6 to the denominator.
    - `linear`: score = log sigmoid(logit), appear = log 1e-6.

    With `max_gap` above 1, cells may be missed in up to `max_gap` - 1 frames between. Trackastra normalises over the
    mothers of each earlier frame by themselves, so a logit over g frames has its own null class of 0, "no ancestor in
    that frame"; a link scores that logit and (g - 1) `miss`. Up to the model's `delta_cutoff`, the longest links that
    it was trained on (2 by default in Trackastra; `train_config.yaml` says so), logits over gaps are in the windows of
    consecutive frames anyway. Longer ones nobody trained: for these the model is shown every g-th frame, as it would be
    of a recording that much slower, which takes as long as the movie itself for each such g.

    A model folder may say more (`ModelFacts`): the size of cells that movies are scaled to, that points without
    features are taken, and heads that score the events of each cell, which are added to the above.

    Gradients flow from the scores into the model's weights unless the caller works under `torch.no_grad()`. It is a
    module: whatever module owns it sees the transformer's `parameters()`, moves it with `to`, and saves it with
    `state_dict`. It starts in evaluation mode; `train()` turns the transformer's dropout on.

    Args:
        model: A `trackastra.model.Trackastra` or a bare `TrackingTransformer`.
        device: "auto", "cpu", "cuda", ...; by default where the model is.
        batch_size: Windows per forward pass; 1 on a CPU and 8 on a GPU by default, 4 and 32 for the copies
            of a window in `candidates_of_copies`.
        max_candidates: Keep the mothers of highest score of each daughter, this many; None keeps all within
            the model's `spatial_pos_cutoff`.
        average: What to average over windows: "logits" or "probabilities". Measured, neither calibrates
            better (`experiments/results/averaging.md`).
        max_gap: How many frames a link may span; 1 for consecutive frames only.
        miss: Score of a cell being missed in a frame. The default was best on average over masks as annotated and
            masks with 5 % of the cells deleted, of -1, -2, ... -6 and -8 (mean NLL of small_2d, `auto` at T = 1, over
            six movies at every and every fourth frame: .145; without links over gaps .353).
        from_corner: Count the coordinates of a window's cells from their corner, so that scores are the same wherever
            in the field they lie; a transformer embeds absolute positions. False takes them as they are, as Trackastra
            itself does.

    Raises:
        InputError: The model needs features that are not measured here, its `delta_cutoff` is no number of frames, or
            an option is out of range.
    """

    name = "trackastra"

    def __init__(
        self,
        model: Any,
        *,
        device: str | torch.device | None = None,
        batch_size: int | None = None,
        max_candidates: int | None = 16,
        average: Literal["logits", "probabilities"] = "logits",
        max_gap: int = 1,
        miss: float = MISS,
        from_corner: bool = True,
    ) -> None:
        facts = ModelFacts.of(model)
        check_max_gap(max_gap)
        check_miss(miss)
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}")
        if max_candidates is not None and max_candidates < 1:
            raise InputError(f"max_candidates must be at least 1, got {max_candidates}")
        if average not in ("logits", "probabilities"):
            raise InputError(f"average must be 'logits' or 'probabilities', got {average!r}")
        super().__init__()
        own = next(facts.transformer.parameters()).device
        self.transformer = facts.transformer.to(own if device is None else choose_device(device))
        self.event_heads = None if facts.event_heads is None else facts.event_heads.to(self.device)
        self.eval()
        self.batch_size = batch_size or (1 if self.device.type == "cpu" else 8)
        self.copies_per_batch = batch_size or (4 if self.device.type == "cpu" else 32)
        self.max_candidates, self.average = max_candidates, average
        self.max_gap, self.miss, self.from_corner = max_gap, miss, from_corner
        self.view, self.delta_cutoff = facts.view, facts.delta_cutoff
        self._forms = has_one_mask(self.transformer), has_local_form(self.transformer)

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        device: str | torch.device | None = None,
        download_dir: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> "TrackastraTracker":
        """Download (once) and load a published model: "general_2d" or "ctc".

        Raises:
            InputError: The name is unknown, or the model is not here yet and cannot be downloaded.
        """
        folder = download_model(name, None if download_dir is None else Path(download_dir))
        return cls.from_folder(folder, device=device, **options)

    @classmethod
    def from_folder(
        cls, folder: str | os.PathLike[str], device: str | torch.device | None = None, **options: Any
    ) -> "TrackastraTracker":
        """Load a model folder (`config.yaml`, `train_config.yaml`, `model.pt`).

        Raises:
            InputError: A file is missing or cannot be read.
        """
        return cls(load_folder(Path(folder).expanduser()), device=choose_device(device), **options)

    def save(self, folder: str | os.PathLike[str], training: Mapping[str, Any] | None = None) -> None:
        """Save the model as a folder that `from_folder` loads, and Trackastra's own `from_folder` as well.

        Args:
            folder: Gets `config.yaml`, `train_config.yaml`, `model.pt`, and `event_heads.pt` if there are any.
            training: How it was trained: plain numbers, texts and lists, for `train_config.yaml`.
        """
        facts = {**self.view.described(), "delta_cutoff": self.delta_cutoff}
        save_trackastra_folder(
            self.transformer, Path(folder), {**(training or {}), **facts}, self.event_heads
        )

    @property
    def device(self) -> torch.device:
        """Where the transformer is, and the scores will be."""
        return next(self.transformer.parameters()).device

    @property
    def default_events(self) -> bool:
        """Whether event scores are the default ones, which `torchtrack_uq.calibration.movie_prior` knows."""
        return self.miss == MISS and self.average == "logits"

    @property
    def identity(self) -> str:
        """Name and digest of the weights, see `tracker_identity`."""
        parts = [self.transformer] if self.event_heads is None else [self.transformer, self.event_heads]
        return f"{self.name}:{weights_digest(*parts)}"

    @property
    def config(self) -> dict[str, Any]:
        """The transformer's configuration, as in `config.yaml`."""
        return cast("dict[str, Any]", self.transformer.config)

    @property
    def causal_norm(self) -> str:
        """How the model normalises its logits."""
        return str(self.config["causal_norm"])

    def forward(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> CandidateGraph:
        """`candidates`, for modules that wrap modules, such as DistributedDataParallel."""
        return self.candidates(detections, movie, progress=progress)

    def candidates(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> CandidateGraph:
        """Score the links of a movie; pixels are not looked at again."""
        sharing = self._sharing
        shares = sharing.shares(detections.n_frames, 1)
        return sharing.join(detections, (sharing.score(detections, one, progress=progress) for one in shares))

    def shares(self, detections: Detections, n: int) -> list[WindowShare]:
        """Windows to be scored apart from each other, for `n` workers; see `DivisibleTracker`."""
        return self._sharing.shares(detections.n_frames, n)

    @torch.no_grad()
    def score_share(self, detections: Detections, movie: Movie | None, share: WindowShare) -> ScoredShare:
        """What some windows say of the links, on the CPU; the same bits on one thread, however they are shared out."""
        return self._sharing.score(detections, share, progress=False).on_host()

    def join_shares(
        self, detections: Detections, movie: Movie | None, parts: Iterable[ScoredShare]
    ) -> CandidateGraph:
        """The links of a movie from what all its windows say."""
        return self._sharing.join(detections, parts)

    def stream(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> Iterator[LinkChunk]:
        """Score the links of a movie; the frame pairs that a batch of windows completes are a chunk.

        The device is waited for where the corner of a window's cells is found (`corner_of`), not for scores: that they
        are finite is looked at by whoever reads the chunks.

        Raises:
            InputError: Links may span several frames: then a movie is one problem, and no part of it is solved alone.
        """
        if self.max_gap > 1:
            raise InputError(
                f"a movie with links over up to {self.max_gap} frames is one problem and cannot be streamed frame pair "
                "by frame pair: use `candidates`, or a tracker with max_gap=1"
            )
        return self._stream(detections, progress=progress)

    def _stream(self, detections: Detections, *, progress: bool) -> Iterator[LinkChunk]:
        tokens, scores = self._tokens(detections), self._scores
        known, window = 0, self.config["window"]
        events = self._events(tokens)
        for last, pairs in pair_logits(
            self._model,
            tokens,
            window,
            self.batch_size,
            progress=progress,
            add_events=None if events is None else events.add,
        ):
            if last > known:
                links = [scores.links(tokens, t, torch.stack(blocks)) for (t, _), blocks in pairs]
                yield scores.chunk(tokens, known, last, links, events)
                known = last

    def candidates_of_copies(
        self,
        detections: Detections,
        movie: Movie | None,
        copies: Iterable[tuple[Detections, Movie | None]],
        *,
        progress: bool = True,
    ) -> list[CandidateGraph]:
        """Score perturbed copies of a movie; the copies of a window are a batch of the transformer."""
        cells = [cells for cells, _ in copies]
        if self._model.is_local(detections.offsets, min(self.config["window"], detections.n_frames)):
            return [self.candidates(copy, progress=progress) for copy in cells]
        n_frames, per_batch = detections.n_frames, self.copies_per_batch
        return score_copies(self._sharing, n_frames, cells, per_batch, progress=progress)

    @property
    def _scores(self) -> LinkScores:
        """How logits become scores under the present options."""
        return LinkScores(
            self.causal_norm,
            float(self.config["spatial_pos_cutoff"]),
            self.max_candidates,
            self.average,
            self.max_gap,
            self.miss,
        )

    @property
    def _gap_in_window(self) -> int:
        """How many frames a link may span that is read from windows of consecutive frames."""
        return min(self.max_gap, self.delta_cutoff)

    @property
    def _sharing(self) -> ShareScorer:
        """How windows are scored, under the present options."""
        window, longest = self.config["window"], self._gap_in_window
        return ShareScorer(self._model, self._scores, window, self.batch_size, longest, self._tokens)

    @property
    def _model(self) -> WindowModel:
        return WindowModel(self.transformer, *self._forms, self.event_heads)

    def _events(self, tokens: TokenTensors) -> EventAverage | None:
        if self.event_heads is None:
            return None
        return EventAverage(tokens.offsets, self.config["window"], tokens.coords)

    def _tokens(self, detections: Detections) -> TokenTensors:
        return TokenTensors.of_model(
            detections, self.config, self.view, self.device, from_corner=self.from_corner
        )
