"""What may be wrong with each cell of a tracked movie, and how likely it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.functional import segment_sum
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.covariates import distance_to_border
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.posterior.false_cells import KnownFalse, false_cells
from torchtrack_uq.posterior.merged_split import merged_and_split
from torchtrack_uq.posterior.problems import to_host
from torchtrack_uq.trackers.neighbours import can_be_linked, typical_displacement
from torchtrack_uq.truth.decisions import class_probabilities, decision_probability
from torchtrack_uq.utils.remembered import remembered

Floats = NDArray[np.float64]
DETECTION_DOUBTS = ("missed", "false", "merged", "split")
"""What the segmentation may have done wrong: columns `p_missed` and so on of `cells.csv`."""
REASONS = {
    "missed": "missed before",
    "false": "false",
    "merged": "merged",
    "split": "split",
    "appeared": "appeared inside",
    "ended": "ended inside",
    "alike": "two mothers alike",
    "or_none": "mother or none",
}
"""How a review list says it; of equal probabilities the first one counts."""
_STEPS = 3.0  # standard deviations that a cell may have moved in from outside
_WRONG_IF_INSIDE = 0.5  # probability that a beginning or an end inside the field is not the truth
_HALF_A_PIXEL = 0.5  # from the centre of the outermost pixel to the border


@dataclass(frozen=True, eq=False)
class CellDoubts:
    """Probabilities of all that may be wrong with each of a movie's N cells.

    Attributes:
        part: By kind, a key of `REASONS`, (N,) float64; NaN where it is not known.
        decision: (N,) float64, probability of what was decided for the cell as a daughter; NaN in frame 0.
    """

    part: Mapping[str, Floats]
    decision: Floats

    @classmethod
    def of(
        cls,
        detections: Detections,
        probabilities: LinkProbabilities,
        selected: NDArray[np.bool_],
        frame_shape: tuple[int, ...] | None,
        scaled: CandidateGraph | None = None,
        border_share: Mapping[str, Tensor] | None = None,
        earlier: KnownFalse | None = None,
    ) -> "CellDoubts":
        """What a posterior says of cells, their detections and the decisions about them.

        `missed` is a link over a gap, unknown in frames 0 and 1 and where links skip no frames. `false` is neither
        mother nor daughter (`false_cells`). `appeared` and `ended` are cells inside the field that have no mother but a
        daughter, or no daughter but a mother; inside is farther from every border of the field than half the median
        diameter and three times the movie's typical step (`typical_displacement`), so that nothing was there to come
        from. An `EventModel` knows better: with its `border_share`, cells appeared inside with probability p_appear (1
        - share), wherever they are, and likewise ended. `alike` is the mass of other mothers than the chosen one, over
        links that skip no frame unless the chosen one does. `or_none` is having no mother since the cell came over the
        border, for cells that were linked, and having one in the frame before, for cells that were not.

        Args:
            detections: The movie's N cells.
            probabilities: Of its E candidate links, on the CPU.
            selected: (E,) bool, the links that were chosen, at most one a daughter.
            frame_shape: (Y, X) or (Z, Y, X); None for points: the box around all of them is their field.
            scaled: The candidate links with the scores that the probabilities are of, see `false_cells`.
            border_share: (N,) share of each cell's weight of appearing, and of disappearing, that is due to the border
                (`EventModel.border_share`); without it, 1 near the border and 0 far inside.
            earlier: What was known of false cells before a correction, see `false_cells`.

        >>> cells = Detections.from_points(np.array([0, 2]), np.full((2, 2), 50.0))
        >>> graph = CandidateGraph.from_links(cells, [0], [1], [0.0], appear=-3.0, disappear=-3.0, max_gap=2)
        >>> from torchtrack_uq import AssignmentPosterior
        >>> doubts = CellDoubts.of(cells, AssignmentPosterior("exact")(graph), np.array([True]), (100, 100))
        >>> doubts.reason.tolist(), doubts.doubt.round(2).tolist()
        (['ended inside', 'missed before'], [0.0, 1.0])
        """
        graph, n = probabilities.graph, len(detections)
        first, last = detections.frame == 0, detections.frame == detections.n_frames - 1
        link, null = class_probabilities(probabilities)
        chosen = torch.from_numpy(selected)
        over_gap = graph.gap > 1

        def mass(links: Tensor) -> Floats:
            found: Floats = segment_sum(link * links, graph.daughter, n).numpy()
            return found

        linked = np.zeros(n, np.bool_)
        linked[graph.daughter[chosen].numpy()] = True
        decided_over_gap = torch.zeros(n, dtype=torch.bool)
        decided_over_gap[graph.daughter[chosen & over_gap]] = True
        missed = np.where(detections.frame < 2, np.nan, mass(over_gap))
        if graph.max_gap == 1:
            missed = np.full(n, np.nan)
        false = false_cells(probabilities, scaled, earlier=earlier)[0].numpy()
        merged, split = (p.numpy() for p in merged_and_split(detections, probabilities))
        if border_share is None:
            came_in = went_out = 1.0 - far_inside(detections, frame_shape)
        else:
            came_in, went_out = (
                border_share[name].detach().cpu().numpy() for name in ("appear", "disappear")
            )
        others = mass(~chosen & (~over_gap | decided_over_gap[graph.daughter]))
        no_mother = np.where(first, np.nan, null.numpy())
        no_daughter = np.where(last, np.nan, probabilities.disappear.detach().double().numpy())
        alive = np.nan_to_num(false)
        part = {
            "missed": missed,
            "false": false,
            "merged": merged,
            "split": split,
            "appeared": np.clip(no_mother - alive, 0, 1) * (1 - came_in),
            "ended": np.clip(no_daughter - alive, 0, 1) * (1 - went_out),
            "alike": np.where(linked, others, 0.0),
            "or_none": np.where(linked, no_mother * came_in, others),
        }
        decision = decision_probability(probabilities, selected).numpy()
        return cls(part, np.where(first, np.nan, decision))

    def known_false(self, probabilities: LinkProbabilities) -> KnownFalse:
        """What `false_cells` need not find again after a correction; from the probabilities that the doubts are of."""
        null, disappear = to_host(probabilities.null), to_host(probabilities.disappear)
        return KnownFalse(null, disappear, self.part["false"])

    @cached_property
    def doubt(self) -> Floats:
        """(N,) the largest probability of anything being wrong, a wrong decision included; 0 where nothing is known.

        Cells do come and go inside the field. That one ended there with certainty is an error only as often as it is
        not the truth, of which the model knows nothing: such events count as wrong in one case of two. (Of the first 50
        cells of the list, with perfect masks and the distance tracker, so many had a wrong mother or daughter, for
        counting them in full: mouse-epidermis, where the 50 surest doubts were true ends, 28 for 0; HeLa 46 for 41,
        cglutamicum 47 for 50, SIM+ 47 for 47.)
        """
        most: Floats = np.nan_to_num(1 - self.decision)
        for kind in self.part:  # one after the other: all of them together are much of a long movie's memory
            np.maximum(most, self._wrong(kind, slice(None)), out=most)
        return np.clip(most, 0.0, 1.0, out=most)

    @property
    def error(self) -> Floats:
        """(N,) probability that what was decided for the cell is wrong; 0 in frame 0, where nothing was."""
        return 1 - np.nan_to_num(self.decision, nan=1.0)

    @property
    def reason(self) -> NDArray[np.str_]:
        """(N,) what is likeliest to be wrong, one of `REASONS`; empty where nothing can be.

        The model of the movie knows no merged and no split cells: it takes a detection in which two cells ran together
        for a false one, past which both are linked. So only the share that is neither merged nor split counts as false.
        """
        return self.reason_of(np.arange(len(self.decision)))

    def reason_of(self, cell: NDArray[np.int64]) -> NDArray[np.str_]:
        """(R,) the same, of R cells."""
        known = {kind: self._wrong(kind, cell) for kind in self.part}
        known["false"] = known["false"] * np.clip(1 - known["merged"] - known["split"], 0, 1)
        parts = np.stack([known[kind] for kind in REASONS])
        names = np.array(list(REASONS.values()))
        return np.where(parts.max(axis=0) > 0, names[parts.argmax(axis=0)], "")

    def _wrong(self, kind: str, cell: NDArray[np.int64] | slice) -> Floats:
        """(R,) probability of some cells that it is so and an error; 0 where it is not known."""
        known: Floats = np.nan_to_num(self.part[kind][cell])
        return known * _WRONG_IF_INSIDE if kind in ("appeared", "ended") else known

    def columns(self) -> dict[str, Floats]:
        """Columns `p_missed`, `p_false`, `p_merged` and `p_split` of `cells.csv`."""
        return {f"p_{kind}": self.part[kind] for kind in DETECTION_DOUBTS}

    def expected(self) -> dict[str, float]:
        """Expected number of detections of each kind that something is known of: the sum of their probabilities."""
        return {
            kind: float(np.nansum(self.part[kind]))
            for kind in DETECTION_DOUBTS
            if not np.isnan(self.part[kind]).all()
        }


@remembered
def far_inside(detections: Detections, frame_shape: tuple[int, ...] | None) -> NDArray[np.bool_]:
    """(N,) bool, cells too far from every border of the field to have come over it, or to have left, in one frame."""
    edge = distance_to_border(detections, frame_shape, depth=True, margin=_HALF_A_PIXEL)
    diameter = detections.features.get("equivalent_diameter_area")
    radius = float(np.median(diameter)) / 2 if diameter is not None and len(diameter) else 0.0
    step = typical_displacement(detections) if can_be_linked(detections, 1) else 0.0
    return np.asarray(edge > radius + _STEPS * step)
