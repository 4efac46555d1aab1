"""How a movie's frame pairs are shared out between fitting a temperature and judging it.

*Alternating blocks*, the study's split in time: the frame pairs are cut into ten contiguous blocks of equal length
(blocks of one frame pair where there are fewer than ten), and temperatures are fitted on every other block and judged
on those between. The last block is always judged, and in odd numbers of blocks the first as well: where a movie grows
harder, its hardest frames are among those that are judged, never only among those that are fitted on. This is what a
user does who annotates stretches spread over a movie. It assumes that the stretches are like those between them; they
show the same cells, a moment later. One number is fitted, on hundreds of daughters, so that what it could learn of
single cells is next to nothing; what it does learn is how hard this movie is, early and late. Ten blocks: enough that
a movie that changes is seen at five of its stages, few enough that a block at native rate is still a stretch of
frames (Fluo-N2DL-HeLa: 9 frame pairs) and not a frame.

*First half -> second half*, the stress test: fitted on the first half of the frame pairs, judged on the second. That
is extrapolation. In a colony that grows, the first half has hardly an error, and no fit on it can know what comes.

The tracker has seen the whole movie either way; only what is fitted on and what is judged is shared out.
"""

from dataclasses import replace

import torch
from torch import Tensor

from torchtrack_uq.calibration import ScoredMovie
from torchtrack_uq.layers.method import Scores
from torchtrack_uq.links import PerturbedScores
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.truth.targets import LinkTargets

N_BLOCKS = 10


def alternating(n_pairs: int, n_blocks: int = N_BLOCKS) -> Tensor:
    """(P,) bool, the frame pairs that are judged; the others are fitted on.

    >>> "".join("FJ"[int(judged)] for judged in alternating(20))
    'FFJJFFJJFFJJFFJJFFJJ'
    >>> "".join("FJ"[int(judged)] for judged in alternating(3))
    'JFJ'
    """
    n_blocks = max(min(n_blocks, n_pairs), 1)
    block = torch.arange(n_pairs) * n_blocks // max(n_pairs, 1)
    return (n_blocks - 1 - block) % 2 == 0


def second_half(n_pairs: int) -> Tensor:
    """(P,) bool, the frame pairs that the stress test judges.

    >>> "".join("FJ"[int(judged)] for judged in second_half(5))
    'FFJJJ'
    """
    return torch.arange(n_pairs) >= n_pairs // 2


def part_of(movie: ScoredMovie, pairs: Tensor) -> ScoredMovie:
    """A movie of which only some frame pairs count: the others' daughters and mothers are not known.

    Where nothing is solved once for all temperatures, the others lose their candidates too, so that no posterior of
    theirs is summed for nothing.

    Args:
        movie: Scored; solved or not.
        pairs: (P,) bool, the frame pairs that count.
    """
    graph, targets = movie.graph, movie.targets
    as_daughter = torch.cat([torch.tensor([False]), pairs])[graph.frame]
    as_mother = torch.cat([pairs, torch.tensor([False])])[graph.frame]
    kept = LinkTargets(targets.mother, targets.known & as_daughter, targets.mother_known & as_mother)
    scores = movie.scores if movie.solved is not None else _without_links(movie.scores, as_daughter)
    return ScoredMovie(movie.name, scores, kept, movie.solved)


def pairs_of(movie: ScoredMovie) -> Tensor:
    """(P,) bool, the frame pairs with a daughter to judge."""
    pairs = torch.zeros(movie.graph.n_frames - 1, dtype=torch.bool)
    pairs[movie.graph.frame[movie.targets.known] - 1] = True
    return pairs


def _without_links(scores: Scores, daughters: Tensor) -> Scores:
    if isinstance(scores, PerturbedScores):
        kept = daughters[scores.graph.daughter]
        graph = _fewer(scores.graph, kept)
        return PerturbedScores(graph, scores.score[:, kept], scores.appear, scores.disappear, scores.divide)
    return _fewer(scores, daughters[scores.daughter])


def _fewer(graph: CandidateGraph, kept: Tensor) -> CandidateGraph:
    return replace(graph, mother=graph.mother[kept], daughter=graph.daughter[kept], score=graph.score[kept])
