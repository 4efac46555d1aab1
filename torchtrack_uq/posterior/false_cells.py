"""Probability that a detection is none of the tracked cells: it has neither mother nor daughter."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.assignment import Marginals
from torchtrack_uq.assignment.joint_none import joint_none
from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.problems import MovieProblems, to_host
from torchtrack_uq.utils.cores import beside


class KnownFalse(NamedTuple):
    """What was found for the same N cells before somebody decided about some of them.

    Attributes:
        null: (N,) float64, probability of having no mother.
        disappear: (N,) float64, of having no daughter.
        false: (N,) float64, of both; NaN where not known.
    """

    null: NDArray[np.float64]
    disappear: NDArray[np.float64]
    false: NDArray[np.float64]


def false_cells(
    probabilities: LinkProbabilities,
    scaled: CandidateGraph | None = None,
    *,
    tolerance: float = 1e-3,
    earlier: KnownFalse | None = None,
) -> tuple[Tensor, Tensor]:
    """P(no mother and no daughter) of each cell: how likely it is that the segmentation made it up.

    Where links may skip frames, the two events belong to one assignment problem and depend on each other: a link
    past the cell, from before it to after it, makes both of them happen. So their marginals are not multiplied, but the
    second is found given the first, see `torchtrack_uq.assignment.joint_none`. With `max_gap` = 1 they belong to two
    frame pairs, which the model takes for independent, and the product is exact. Methods that do not sum over
    assignments (SM, FP, FP+A, modules of one's own) know nothing of how they depend: theirs is the product as well, of
    which nothing is proved.

    Args:
        probabilities: Of a movie, or of a batch of movies, by any method.
        scaled: The candidate links with the scores that the probabilities are of: at the temperature, and with
            corrected event scores (`UncertaintyLayer.tempered`). None: the product, whatever the method.
        tolerance: Largest error that does not matter, at least 0; cells of which one event is less probable count as
            independent. At 0 all that is summed is exact.
        earlier: Cells whose two marginals have changed by no more than the tolerance since then keep what they had, as
            an estimate: in a crowded movie the sums are by far the longest part of a review's decision.

    Returns:
        (N,) float64 probabilities on the CPU, NaN for cells of first and last frames, of which only one of the two
        could be known; and (N,) bool, whether they are exact given the marginals; False where they are estimates, of a
        neighbourhood or as products.

    Raises:
        InputError: `scaled` has other links or cells than the probabilities.

    >>> from torchtrack_uq import AssignmentPosterior, Detections
    >>> cells = Detections.from_points(np.array([0, 1, 2]), np.zeros((3, 2)))
    >>> graph = CandidateGraph.from_links(
    ...     cells, [0, 1, 0], [1, 2, 2], torch.zeros(3, dtype=torch.float64), appear=-3.0, disappear=-3.0, max_gap=2,
    ...     divide=-torch.inf)
    >>> p = AssignmentPosterior("exact")(graph)
    >>> float(false_cells(p, graph)[0][1]), float(p.null[1] * p.disappear[1])
    (0.0024..., 2.4...e-05)
    """
    graph = probabilities.graph
    if scaled is not None and (scaled.n_links, scaled.n_cells, scaled.max_gap) != (
        graph.n_links, graph.n_cells, graph.max_gap
    ):  # fmt: skip
        raise InputError(
            f"the scaled graph is {scaled}, the probabilities are of {graph}; expected the same links and cells"
        )
    null, disappear = to_host(probabilities.null), to_host(probabilities.disappear)
    known = (graph.is_daughter & graph.is_mother).cpu().numpy()
    false = np.where(known, null * disappear, np.nan)
    independent = scaled is None or graph.max_gap == 1 or probabilities.covered_mass is None
    exact = known & (graph.max_gap == 1 and probabilities.covered_mass is not None)
    if scaled is None or independent:
        return torch.from_numpy(false), torch.from_numpy(exact)
    problems, link = MovieProblems.of(graph), to_host(probabilities.link)
    score = to_host(Choices.of(scaled).score)
    asked = known
    if earlier is not None:
        away = np.maximum(np.abs(null - earlier.null), np.abs(disappear - earlier.disappear))
        same = known & (away <= tolerance) & np.isfinite(earlier.false)
        low, high = np.maximum(null + disappear - 1, 0), np.minimum(null, disappear)
        false[same] = np.clip(earlier.false, low, np.maximum(low, high))[same]
        exact &= ~same
        asked = known & ~same
    for pair, at in enumerate(problems.ranges):
        # all but the first frame are daughters, all but the last one mothers
        cells = np.arange(at.daughters.start, at.mothers.stop)
        cells = cells[asked[cells]]
        if not len(cells):
            continue
        marginals = Marginals(
            link[at.links], null[at.daughters], disappear[at.mothers], np.zeros(0), 0.0, 0.0, 0.0, False, ""
        )
        found = beside(
            joint_none,
            problems.build(pair, score),
            marginals,
            cells - at.daughters.start,
            cells - at.mothers.start,
            tolerance,
        )
        false[cells], exact[cells] = found.probability, found.whole
    return torch.from_numpy(false), torch.from_numpy(exact)
