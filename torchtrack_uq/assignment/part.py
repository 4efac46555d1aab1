"""Part of a problem: some links and the cells at their ends, so that work on it costs what the part is worth."""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.kernels.components import EliminationPlan
from torchtrack_uq.assignment.kernels.frontier import FrontierGraph
from torchtrack_uq.assignment.kernels.graph_part import graphs_of
from torchtrack_uq.assignment.problem import AssignmentProblem
from torchtrack_uq.assignment.pruned import Gauge, KeptGraph
from torchtrack_uq.assignment.types import BoolArray, IntArray


class Part(NamedTuple):
    """A problem of its own, its links and cells in the order that they have in the whole.

    Attributes:
        problem: The part.
        link: (F',) int64, which place of the whole each place of the part is.
        daughter: (N',) int64, which daughter.
        mother: (M',) int64, which mother.
    """

    problem: AssignmentProblem
    link: IntArray
    daughter: IntArray
    mother: IntArray

    def gauge(self, gauge: Gauge) -> Gauge:
        """The weights of its choices, from those of the whole."""
        return Gauge(
            gauge.link[self.link], gauge.null[self.daughter], gauge.load[self.mother], gauge.log_scale
        )

    def chosen(self, chosen: IntArray) -> IntArray:
        """(N',) place of the part that each daughter chose, from those of the whole (N,); -1 where it is outside."""
        own = chosen[self.daughter]
        at = np.minimum(np.searchsorted(self.link, own), max(self.link.size - 1, 0))
        place: IntArray = np.where((own >= 0) & (self.link[at] == own), at, -1)
        return place

    def kept(self, kept: KeptGraph, wanted: BoolArray) -> KeptGraph:
        """The frontier graphs of the `wanted` components (C,) of the whole, whose kept links must all be in the part.

        Cells of other components have none here. There are no steps any more.
        """
        graph, plan, component = kept.graph, kept.plan, np.flatnonzero(wanted)
        n_links, n = kept.keep.size, plan.daughter_component.size
        place = np.full(n_links + n + 3 * plan.mother_component.size, -1, np.int32)
        places = np.concatenate(
            [self.link, n_links + self.daughter, _loads(self.mother, n_links + n).ravel()]
        )
        place[places] = np.arange(places.size, dtype=np.int32)
        fields = graphs_of(
            graph.arc_start, graph.arc_to, graph.arc_factor, graph.layer_start, graph.first_layer, component, place
        )  # fmt: skip
        number = np.full(wanted.size + 1, -1)  # the last for cells outside all, at -1
        number[component] = np.arange(component.size)
        of_part = EliminationPlan(
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
            plan.position[self.mother],
            plan.width[component],
            number[plan.daughter_component[self.daughter]],
            number[plan.mother_component[self.mother]],
        )
        complete = FrontierGraph(*fields, graph.complete[component], graph.lost[component])
        keep = kept.keep[self.link] & (of_part.daughter_component[self.problem.links.daughter] >= 0)
        return KeptGraph(keep, of_part, complete)


def whole_of(problem: AssignmentProblem) -> Part:
    """The whole as a part of itself."""
    links, daughters, mothers = problem.links.mother.size, problem.n_daughters, problem.n_mothers
    return Part(problem, np.arange(links), np.arange(daughters), np.arange(mothers))


def part_of(problem: AssignmentProblem, among: BoolArray) -> Part:
    """The part with the links `among` (F,) bool."""
    links = problem.links
    link = np.flatnonzero(among)
    daughter, of_daughter = _numbered(links.daughter[link], problem.n_daughters)
    mother, of_mother = _numbered(links.mother[link], problem.n_mothers)
    part = AssignmentProblem(
        of_mother,
        of_daughter,
        links.score[link],
        problem.appear[daughter],
        problem.disappear[mother],
        problem.divide[mother],
    )
    return Part(part, link, daughter, mother)


def _loads(mother: IntArray, start: int) -> IntArray:
    """(M, 3) factors of the mothers' numbers of daughters."""
    return start + 3 * mother[:, None] + np.arange(3)


def _numbered(cell: IntArray, n_cells: int) -> tuple[IntArray, IntArray]:
    """Which of the cells occur, in order, and the number among them of each in `cell`."""
    occurs = np.zeros(n_cells, dtype=bool)
    occurs[cell] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[cell]
