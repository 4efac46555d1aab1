"""Trackastra's transformer (Gallusser and Weigert, ECCV 2024) as a tracker that keeps its logits."""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.chunks import LinkChunk, candidates_from_chunks
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.trackers.trackastra.attention import has_one_mask, one_attention_mask
from torchtrack_uq.trackers.trackastra.folder import download_model, load_folder, weights_digest
from torchtrack_uq.trackers.trackastra.tokens import as_model_sees_it
from torchtrack_uq.trackers.trackastra.windows import TokenTensors, copies_logits, pair_logits
from torchtrack_uq.utils.device import choose_device

# Trackastra adds this to the denominator of every normalisation (`trackastra.utils.blockwise_causal_norm`),
# which is a null class in all but name for the modes that have no other.
_NORMALISATION_EPS = 1e-6

_Links = tuple[Tensor, Tensor, Tensor]
"""Mothers, daughters and scores of some links."""


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

    Raises:
        InputError: The model needs features that are not measured here, or an option is out of range.
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
    ) -> None:
        transformer = getattr(model, "transformer", model)
        if not isinstance(transformer, nn.Module) or not hasattr(transformer, "config"):
            raise InputError(
                f"model is a {type(model).__name__}; expected a trackastra.model.Trackastra or TrackingTransformer"
            )
        config = cast("dict[str, Any]", transformer.config)
        kind = getattr(model, "train_args", {}).get("features", "wrfeat")
        if "pretrained_feat_dim" in config or str(kind).startswith("pretrained"):
            raise InputError(
                "this model needs image embeddings (trackastra[etultra]), which are not supported; "
                "use a model trained with features 'wrfeat', such as general_2d"
            )
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size must be at least 1, got {batch_size}")
        if max_candidates is not None and max_candidates < 1:
            raise InputError(f"max_candidates must be at least 1, got {max_candidates}")
        if average not in ("logits", "probabilities"):
            raise InputError(f"average must be 'logits' or 'probabilities', got {average!r}")
        super().__init__()
        own = next(transformer.parameters()).device
        self.transformer = transformer.to(own if device is None else choose_device(device))
        self.eval()
        self.batch_size = batch_size or (1 if self.device.type == "cpu" else 8)
        self.copies_per_batch = batch_size or (4 if self.device.type == "cpu" else 32)
        self.max_candidates, self.average = max_candidates, average
        self._one_mask = has_one_mask(transformer)

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

    @property
    def device(self) -> torch.device:
        """Where the transformer is, and the scores will be."""
        return next(self.transformer.parameters()).device

    @property
    def identity(self) -> str:
        """Name and digest of the weights, see `tracker_identity`."""
        return f"{self.name}:{weights_digest(self.transformer)}"

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
        chunks = self.stream(detections, movie, progress=progress)
        return candidates_from_chunks(detections, chunks, self.device)

    def stream(
        self, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> Iterator[LinkChunk]:
        """Score the links of a movie; the frame pairs that a batch of windows completes are a chunk.

        Nothing here waits for the device.
        """
        config = self.config
        tokens = self._tokens(detections)
        known = 0
        for last, pairs in pair_logits(
            self._forward, tokens, config["window"], self.batch_size, progress=progress
        ):
            if last > known:
                links = [self._links(tokens, t, torch.stack(blocks)) for t, blocks in pairs]
                yield self._chunk(tokens, known, last, links)
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
        tokens = [self._tokens(copy) for copy in cells]
        links: list[list[_Links]] = [[] for _ in tokens]
        for t, logits in copies_logits(
            self._forward, tokens, self.config["window"], self.copies_per_batch, progress=progress
        ):
            for r, copy in enumerate(tokens):
                links[r].append(self._links(copy, t, logits[:, r]))
        return [
            candidates_from_chunks(
                copy,
                [self._chunk(its_tokens, 0, copy.n_frames - 1, found)] if copy.n_frames > 1 else [],
                self.device,
            )
            for copy, its_tokens, found in zip(cells, tokens, links, strict=True)
        ]

    def _forward(self, points: Tensor, features: Tensor | None, padding_mask: Tensor | None) -> Tensor:
        """The model's logits, (B, L, L)."""
        with one_attention_mask(self.transformer) if self._one_mask else nullcontext():
            logits: Tensor = self.transformer(points, features=features, padding_mask=padding_mask)
        return logits

    def _tokens(self, detections: Detections) -> TokenTensors:
        coord_dim, feat_dim = self.config["coord_dim"], self.config["feat_dim"]
        seen = as_model_sees_it(detections, coord_dim, feat_dim)
        return TokenTensors.from_detections(seen, feat_dim > 0, self.device)

    def _links(self, tokens: TokenTensors, t: int, logits: Tensor) -> "_Links":
        """The best mothers of every cell of frame `t` from (windows, mothers, daughters) logits."""
        first_mother, first_daughter, end = (int(tokens.offsets[k]) for k in (t - 1, t, t + 1))
        distance = torch.cdist(  # exactly: the fast way is off by up to a tenth of a pixel
            tokens.coords[first_mother:first_daughter],
            tokens.coords[first_daughter:end],
            compute_mode="donot_use_mm_for_euclid_dist",
        )
        far = distance > self.config["spatial_pos_cutoff"]
        score = self._average_windows(logits, far).masked_fill(far, -torch.inf)
        kept = len(score) if self.max_candidates is None else min(self.max_candidates, len(score))
        best, which = torch.topk(score, kept, dim=0)
        daughter = torch.arange(first_daughter, end, device=self.device).expand(kept, -1)
        return (which + first_mother).flatten(), daughter.flatten(), best.flatten()

    def _average_windows(self, logits: Tensor, far: Tensor) -> Tensor:
        """(windows, mothers, daughters) logits to (mothers, daughters) scores."""
        if self.causal_norm == "linear":
            logits = nn.functional.logsigmoid(logits)
        if self.average == "logits" or self.causal_norm != "quiet_softmax":
            return logits.mean(dim=0)
        null = logits.new_zeros(len(logits), 1, logits.shape[2])
        log_p = torch.cat([null, logits.masked_fill(far, -torch.inf)], dim=1).log_softmax(dim=1)
        mean = log_p.logsumexp(dim=0)
        return mean[1:] - mean[:1]

    def _chunk(self, tokens: TokenTensors, first: int, last: int, links: "list[_Links]") -> LinkChunk:
        """Links of the frame pairs from `first` to `last`, with the scores of the events."""
        if links:
            mother, daughter, score = (torch.cat(parts) for parts in zip(*links, strict=True))
        else:
            mother = daughter = torch.zeros(0, dtype=torch.int64, device=self.device)
            score = torch.zeros(0, device=self.device)
        score = score.float()
        first_mother, first_daughter, first_last, end = (
            int(tokens.offsets[t]) for t in (first, first + 1, last, last + 1)
        )
        appear = score.new_zeros(end - first_daughter)
        if self.causal_norm == "softmax":
            # at least 0, as in Trackastra
            top = appear.scatter_reduce(0, daughter - first_daughter, score, "amax")
            appear = top + math.log(_NORMALISATION_EPS)
        elif self.causal_norm == "linear":
            appear = appear + math.log(_NORMALISATION_EPS)
        no_event = score.new_zeros(first_last - first_mother)
        is_candidate = score.detach() != -torch.inf
        return LinkChunk(first, last, mother, daughter, score, is_candidate, appear, no_event, no_event)
