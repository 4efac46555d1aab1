"""The windows of a movie in shares that are scored apart from each other, and put together as if they were not."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.trackers.trackastra.event_heads import EventAverage
from torchtrack_uq.trackers.trackastra.scores import Links, LinksByGap, LinkScores, renumbered
from torchtrack_uq.trackers.trackastra.token_tensors import TokenTensors
from torchtrack_uq.trackers.trackastra.tokens import every_frame
from torchtrack_uq.trackers.trackastra.window_model import WindowModel
from torchtrack_uq.trackers.trackastra.windows import Blocks, FramePair, pair_logits, window_starts
from torchtrack_uq.utils.crew import SHARES, spans

_LEAST = 4
"""Windows that are not cut further, since the ends of a share cost sending their logits."""


class Pass(NamedTuple):
    """One way through a movie: over every `step`-th frame from frame `first` on."""

    step: int
    first: int


@dataclass(frozen=True)
class WindowShare:
    """Windows that are scored together.

    Attributes:
        way: The frames that are looked at.
        starts: First frames of the windows, counted among these.
    """

    way: Pass
    starts: range


@dataclass(frozen=True)
class ScoredShare:
    """What the windows of a share say.

    Attributes:
        share: The windows.
        links: Scored links of the pairs of frames that no other window holds.
        blocks: Logits of the others, from each window.
        events: First frame and (L, 4) scores of events of each window of consecutive frames, if the model has heads
            for them.
    """

    share: WindowShare
    links: list[tuple[FramePair, Links]]
    blocks: list[tuple[FramePair, Blocks]]
    events: list[tuple[int, Tensor]] = field(default_factory=list)

    def on_host(self) -> "ScoredShare":
        """On the CPU, without gradients, and without the memory that the tensors are views of."""
        return ScoredShare(
            self.share,
            [(pair, (_sent(a), _sent(b), _sent(c))) for pair, (a, b, c) in self.links],
            [(pair, [_sent(block) for block in blocks]) for pair, blocks in self.blocks],
            [(start, _sent(scores)) for start, scores in self.events],
        )


def _sent(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


@dataclass(frozen=True)
class ShareScorer:
    """Scores the windows of a movie in shares.

    Attributes:
        model: The model.
        scores: How its logits become scores.
        window: Frames of a window.
        batch_size: Windows a forward pass.
        longest: How many frames a link may span that is read from windows of consecutive frames.
        tokens_of: A movie's cells as the model's tokens.
    """

    model: WindowModel
    scores: LinkScores
    window: int
    batch_size: int
    longest: int
    tokens_of: Callable[[Detections], TokenTensors]

    def ways(self, n_frames: int) -> list[Pass]:
        """All ways through a movie: over its frames, and for each longer gap over every so many of them."""
        gaps = range(self.longest + 1, self.scores.max_gap + 1)
        sparser = [Pass(gap, first) for gap in gaps for first in range(min(gap, n_frames - gap))]
        return [Pass(1, 0), *sparser]

    def shares(self, n_frames: int, n: int) -> list[WindowShare]:
        """All windows of all ways, in order: for `n` workers, or for one a share a way.

        The batches of windows are the same, however they are shared out: what is padded changes the last bits.
        """
        found: list[WindowShare] = []
        for way in self.ways(n_frames):
            starts = window_starts(len(range(way.first, n_frames, way.step)), self.window)
            pieces = 1 if n == 1 else max(-(-SHARES * n // way.step), 1)
            batch = self.batch_size
            for span in spans(-(-len(starts) // batch), pieces, least=-(-_LEAST // batch)):
                found.append(WindowShare(way, starts[span.start * batch : span.stop * batch]))
        return found

    def score(self, detections: Detections, share: WindowShare, *, progress: bool) -> ScoredShare:
        """Links of a share's pairs of frames, as far as it holds all windows that they are in."""
        _, tokens = self.seen(detections, share.way)
        found, starts = ScoredShare(share, [], []), share.starts
        for _, pairs in pair_logits(
            self.model,
            tokens,
            self.window,
            self.batch_size,
            max_gap=self.longest if share.way.step == 1 else 1,
            progress=progress,
            starts=starts,
            add_events=None if share.way.step > 1 else lambda t, scores: found.events.append((t, scores)),
        ):
            for (t, gap), blocks in pairs:
                holders = _holders(t, gap, tokens, self.window)
                if starts.start <= holders.start and holders.stop <= starts.stop:
                    links = self.scores.links(tokens, t, torch.stack(blocks), gap)
                    found.links.append(((t, gap), links))
                else:
                    found.blocks.append(((t, gap), blocks))
        return found

    def join(self, detections: Detections, parts: Iterable[ScoredShare]) -> CandidateGraph:
        """The links of a movie from all its shares, in their order."""
        found: dict[tuple[int, int, int], Links] = {}
        events: EventAverage | None = None
        for way, its_parts in groupby(parts, key=lambda part: part.share.way):
            index, tokens = self.seen(detections, way)
            if index is None and self.model.event_heads is not None:
                events = EventAverage(tokens.offsets, self.window, tokens.coords)
                its_parts = _noting_events(its_parts, events)
            for (t, gap), links in self._joined(its_parts, tokens):
                found[gap * way.step, way.first, t] = links if index is None else renumbered(links, index)
        by_gap: LinksByGap = {gap: [] for gap in range(1, self.scores.max_gap + 1)}
        for gap, first, t in sorted(found):
            by_gap[gap].append(found[gap, first, t])
        return self.scores.graph(detections, self.tokens_of(detections), by_gap, events)

    def _joined(
        self, parts: Iterable[ScoredShare], tokens: TokenTensors
    ) -> Iterator[tuple[FramePair, Links]]:
        """The pairs of frames of one way; those that shares have in common once the last of them is there."""
        waiting: dict[FramePair, Blocks] = {}
        device = tokens.coords.device
        for part in parts:
            for pair, (mother, daughter, score) in part.links:
                yield pair, (mother.to(device), daughter.to(device), score.to(device))
            for pair, blocks in part.blocks:
                waiting.setdefault(pair, []).extend(blocks)
            stop = part.share.starts.stop
            for t, gap in [pair for pair in waiting if _holders(*pair, tokens, self.window).stop <= stop]:
                logits = torch.stack(waiting.pop((t, gap))).to(device)
                yield (t, gap), self.scores.links(tokens, t, logits, gap)

    def seen(self, detections: Detections, way: Pass) -> tuple[Tensor | None, TokenTensors]:
        """The cells that a way through a movie looks at, None for all, and its tokens."""
        if way.step == 1:
            return None, self.tokens_of(detections)
        index, part = every_frame(detections, way.step, way.first)
        tokens = self.tokens_of(part)
        return torch.from_numpy(index).to(tokens.coords.device), tokens


def _noting_events(parts: Iterable[ScoredShare], events: EventAverage) -> Iterator[ScoredShare]:
    for part in parts:
        for start, scores in part.events:
            events.add(start, scores)
        yield part


def _holders(t: int, gap: int, tokens: TokenTensors, window: int) -> range:
    """The windows that hold frame `t` and the one `gap` frames before."""
    starts = window_starts(len(tokens.offsets) - 1, window)
    return range(max(t - window + 1, 0), min(t - gap + 1, len(starts)))
