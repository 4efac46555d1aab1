"""Everything about the cells of one reel: links, probabilities, decisions, doubts and draws."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.assignment import AssignmentProblem, InfeasibleProblemError
from torchtrack_uq.assignment.piece import CannotBeCutError, PieceMarginals, marginals_of_piece
from torchtrack_uq.assignment.stretches import Proved
from torchtrack_uq.guarantees.acceptance import AcceptanceThreshold
from torchtrack_uq.layers.assignment_posterior import AssignmentPosterior
from torchtrack_uq.layers.method import with_graph
from torchtrack_uq.layers.uncertainty import UncertaintyLayer
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import NO_MOTHER
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.some_frames import some_frames
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.given import given_mothers
from torchtrack_uq.posterior.histories import Histories, draw_histories
from torchtrack_uq.posterior.map_links import map_links
from torchtrack_uq.posterior.problems import MovieProblems, to_host
from torchtrack_uq.reels.ahead import Ahead
from torchtrack_uq.reels.cutting import Reel, half_margin
from torchtrack_uq.results.left_out import LeftOut
from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.trackers.protocol import Tracker
from torchtrack_uq.utils.cores import beside

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Setting:
    """What all reels of a movie have in common.

    Attributes:
        detections: The movie's cells.
        tracker: Scores some frames as it would the movie.
        layer: Method "auto", temperature and event scores of the movie.
        border_share: (N,) by event, how much of it is due to the border, see `CellDoubts`.
        acceptance: Which decisions to accept without review.
        max_gap: How many frames links may span.
        n_draws: Draws of histories.
        redraws_per_cell: Of Markov chains, where a component cannot be drawn from as it is.
    """

    detections: Detections
    tracker: Tracker
    layer: UncertaintyLayer
    border_share: Mapping[str, Tensor]
    acceptance: AcceptanceThreshold | None
    max_gap: int
    n_draws: int
    redraws_per_cell: int


class Worked(NamedTuple):
    """A reel that was worked on.

    Attributes:
        reel: Its frames.
        number: Which one it is.
        start: Cell of the movie that is the first of its result.
        own: Its own cells among those of its result.
        result: Of all that it scored; right for its own cells.
        ahead: What the reel before needs.
        changed: How many decisions on the two sides of the cut after it are others than what the reel of the other side
            makes of them: half a margin from where it sees nothing more.
    """

    reel: Reel
    number: int
    start: int
    own: slice
    result: TrackingResult
    ahead: Ahead
    changed: int

    def draw(self, n: int, redraws_per_cell: int) -> "Drawn":
        """Draws of its cells, of which those of its own mean something; see `draw_histories`."""
        assert self.result.scaled is not None
        seed = int(np.random.SeedSequence([0, self.number]).generate_state(1)[0])
        drawn = draw_histories(
            self.result.scaled,
            n,
            seed=seed,
            sums=self.result.probabilities.sums,
            most_redraws=redraws_per_cell * len(self.result.detections),
        )
        frame = self.result.detections.frame + self.reel.begin
        left_out = LeftOut.of(drawn, self.result.probabilities)
        own = (left_out.daughter >= self.own.start) & (left_out.daughter < self.own.stop)
        mother, daughter, probability = (values[own] for values in left_out)
        its_own = LeftOut(mother + self.start, daughter + self.start, probability)
        return Drawn(self.reel, self.start, self.own, frame, drawn, its_own)


class Drawn(NamedTuple):
    """Draws of a reel's cells.

    Attributes:
        reel: Its frames.
        start: As of `Worked`, like the next.
        own: Its own cells.
        frame: (N',) frame of each cell, as in the movie.
        histories: Of all that it scored.
        left_out: Links of its own daughters that no draw holds, in numbers of the movie.
    """

    reel: Reel
    start: int
    own: slice
    frame: Ints
    histories: Histories
    left_out: LeftOut


@dataclass(frozen=True, eq=False)
class _Cells:
    """Where a reel's cells lie among those of the movie."""

    reel: Reel
    detections: Detections

    @cached_property
    def start(self) -> int:
        return int(self.detections.offsets[self.reel.begin])

    def before(self, frame: int) -> int:
        """How many of the reel's cells lie in frames before one of the movie's."""
        return int(self.detections.offsets[frame]) - self.start


@torch.no_grad()
def work_on(setting: Setting, reel: Reel, number: int, mother: Ints, ahead: Ahead) -> Worked:
    """Work on a reel when those after it are done.

    Args:
        setting: Of the movie.
        reel: Its frames.
        number: Which one it is.
        mother: (N,) mothers of the movie's cells, decided for those in reels after this one, -1 for none.
        ahead: What the reel after it has proved.

    Raises:
        CannotBeCutError: The movie has to be summed in one go.
        InputError: It cannot be scored.
    """
    cells, layer = _Cells(reel, setting.detections), setting.layer
    part = some_frames(setting.detections, reel.begin, reel.end)
    graph = setting.tracker.candidates(part, progress=False)
    scaled = layer.tempered(graph)
    problems, numbers = MovieProblems.of(scaled), to_host(Choices.of(scaled).score)
    problem, (at,) = problems.build(0, numbers), problems.ranges
    inside = [
        min(max(cells.before(frame) - at.daughters.start, 0), problem.n_daughters)
        for frame in (reel.low, reel.high)
    ]
    first_mother, first_daughter = cells.start + at.mothers.start, cells.start + at.daughters.start
    following = ahead.to(problem, first_mother, first_daughter)
    try:
        found = beside(_sum, problem, (inside[0], inside[1]), following)
    except InfeasibleProblemError as error:
        raise CannotBeCutError(str(error)) from error
    posterior = layer.posterior
    assert isinstance(posterior, AssignmentPosterior)
    probabilities = with_graph(posterior.of_solved(scaled, [found.marginals]), graph)
    own = slice(cells.before(reel.first), cells.before(reel.last))
    stop = cells.start + len(part)
    selected = decide(layer.corrected(graph), mother[cells.start : stop] - cells.start, own.stop)
    result = TrackingResult(
        movie=None,
        detections=part,
        probabilities=probabilities,
        selected=selected,
        tracker=setting.tracker.name,
        acceptance=setting.acceptance,
        scaled=scaled,
        border_share={name: share[cells.start : stop] for name, share in setting.border_share.items()},
    )
    guess = np.full(len(part), NO_MOTHER)
    guess[at.daughters] = np.where(found.parent < 0, NO_MOTHER, found.parent + first_mother)
    decided = np.where(result.mother < 0, NO_MOTHER, result.mother + cells.start)
    half = half_margin(setting.max_gap)
    after = slice(own.stop, cells.before(min(reel.last + half, reel.end)))
    changed = int((guess[after] != decided[after]).sum())
    changed += int((ahead.guess != decided[ahead.near - cells.start]).sum())
    near = np.arange(cells.before(max(reel.first - half, reel.begin)), own.start)
    needed = int(setting.detections.offsets[min(2 * reel.first - reel.begin, reel.end)])
    told = Ahead.of(
        found.proved, problem, first_mother, first_daughter, needed, near + cells.start, guess[near]
    )
    return Worked(reel, number, cells.start, own, result, told, changed)


def _sum(problem: AssignmentProblem, inside: tuple[int, int], following: Proved) -> PieceMarginals:
    return marginals_of_piece(problem, inside, following=following)


def decide(graph: CandidateGraph, mother: Ints, undecided: int) -> NDArray[np.bool_]:
    """(E,) bool, links of the likeliest assignment in which cells from `undecided` on have the mothers that they have.

    Args:
        graph: Candidate links of some frames, as the tracker scores them.
        mother: (N,) decided mothers, below 0 for none; means nothing before.
        undecided: How many of the cells may still choose.

    Raises:
        CannotBeCutError: What was decided is impossible.

    >>> from torchtrack_uq import Detections
    >>> cells = Detections.from_points(np.array([0, 0, 1, 2]), np.zeros((4, 2)))
    >>> links = [0, 1, 0, 2], [2, 2, 3, 3], [0.0, 1.0, 0.0, 5.0]
    >>> graph = CandidateGraph.from_links(cells, *links, appear=-9.0, disappear=-9.0, divide=-9.0, max_gap=2)
    >>> decide(graph, np.array([-1, -1, -1, 0]), 3)
    array([False,  True,  True, False])
    """
    known = torch.arange(graph.n_cells) >= undecided
    given, possible = given_mothers(graph, torch.from_numpy(np.maximum(mother, -1)), known)
    if not bool(possible.all()):
        raise CannotBeCutError("what was decided in one part of the movie is impossible in another")
    return map_links(given)
