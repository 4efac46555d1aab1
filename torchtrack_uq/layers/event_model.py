"""Event scores that depend on where a cell is and what it looks like."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.event_offsets import EventOffsets
from torchtrack_uq.layers.method import Scored
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import COVARIATES

COEFFICIENTS = ("appear_at_border", "disappear_at_border", "border_width", "divide_size", "divide_shrinking")
"""What an `EventModel` has beside the offsets."""


class EventModel(EventOffsets):
    """Event scores from what every cell has: its distance to the border of the field, and its size.

    Cells come and go at the border. Beside the rate exp(appear) everywhere, there is one that falls off with the
    distance b to the border (`COVARIATES`, in reaches: steps and radii of this movie):

        a_i / T + appear + log(1 + (exp(appear_at_border) - 1) exp(-b_i / border_width))

    so that `appear_at_border` is what a cell right at the border gets more, in nats, and likewise for disappearing. A
    cell that divides is large for where it is, and large beside the two nearest cells of the next frame:

        v_i / T + divide + divide_size * size_i + divide_shrinking * shrinking_i

    in nats a doubling of area or volume. With all coefficients 0 it is an `EventOffsets` with the same constants.
    As there, divisions stay at most at minus the score of disappearing.

    Graphs need `covariates`, see `torchtrack_uq.links.covariates`; an `UncertaintyLayer` that has an event model
    adds them to what trackers score.

    Args:
        appear: As of `EventOffsets`.
        disappear: Likewise.
        divide: Likewise.
        miss: Likewise.
        appear_at_border: Nats that appearing right at the border costs less.
        disappear_at_border: Likewise for disappearing.
        border_width: Reaches in which either rate falls to 1 / e, positive.
        divide_size: Nats for each doubling against the neighbours.
        divide_shrinking: Nats for each doubling against the nearest daughters.

    Raises:
        InputError: A number that is not finite, or a width that is not positive.

    >>> EventModel(appear=-1.0, appear_at_border=4.0)
    EventModel(appear=-1, disappear=0, divide=0, appear_at_border=4, ...)
    """

    needs_covariates: ClassVar[bool] = True

    def __init__(
        self,
        appear: float = 0.0,
        disappear: float = 0.0,
        divide: float = 0.0,
        miss: float = 0.0,
        *,
        appear_at_border: float = 0.0,
        disappear_at_border: float = 0.0,
        border_width: float = 1.0,
        divide_size: float = 0.0,
        divide_shrinking: float = 0.0,
    ) -> None:
        super().__init__(appear, disappear, divide, miss)
        if not (math.isfinite(border_width) and border_width > 0):
            raise InputError(f"border_width must be a positive number of reaches, got {border_width}")
        given = {
            "appear_at_border": appear_at_border,
            "disappear_at_border": disappear_at_border,
            "log_border_width": math.log(border_width),
            "divide_size": divide_size,
            "divide_shrinking": divide_shrinking,
        }
        for name, value in given.items():
            if not math.isfinite(value):
                raise InputError(f"{name} must be a finite number, got {value}")
            setattr(self, name, nn.Parameter(torch.tensor(float(value), dtype=torch.float64)))

    def cell_offsets(self, graph: Scored) -> dict[str, Tensor]:
        """(N,) offsets of the event scores by name, in nats at temperature 1; see the class.

        Raises:
            InputError: The graph has no covariates, or is a chunk of one that is still being scored.
        """
        covariates = self._covariates(graph)
        offsets = dict(super().cell_offsets(graph))
        for name in ("appear", "disappear"):
            offsets[name] = offsets[name] + torch.log1p(self._at_border(name, covariates["border"]))
        size = self.get_parameter("divide_size") * covariates["size"]
        shrinking = self.get_parameter("divide_shrinking") * covariates["shrinking"]
        return {**offsets, "divide": offsets["divide"] + size + shrinking}

    def border_share(self, graph: CandidateGraph) -> dict[str, Tensor]:
        """Of each cell's weight of appearing, and of disappearing, the share that is due to the border.

        The probability that a cell appeared inside the field, without coming over its border, is p_appear (1 - share).

        Returns:
            (N,) float64 from 0 to 1 under "appear" and "disappear", 0 where the border makes the event rarer.

        Raises:
            InputError: As `cell_offsets`.

        >>> from torchtrack_uq import Detections
        >>> import numpy as np
        >>> from torchtrack_uq.links.covariates import with_covariates
        >>> cells = Detections.from_points(np.array([0, 0, 1]), np.array([[0.0, 0], [8, 8], [3, 4]]))
        >>> graph = with_covariates(CandidateGraph.from_links(cells, [0], [2], [0.0]), cells)
        >>> EventModel(appear_at_border=2.0).border_share(graph)["appear"].detach()
        tensor([0.8647, 0.8647, 0.7781], dtype=torch.float64)
        """
        border = self._covariates(graph)["border"]
        extra = {name: self._at_border(name, border).clamp(min=0) for name in ("appear", "disappear")}
        return {name: more / (1 + more) for name, more in extra.items()}

    @property
    def coefficients(self) -> dict[str, float]:
        """What there is beside the offsets, as numbers, by `COEFFICIENTS`; `EventModel(**values, **coefficients)`."""
        found = {
            name: float(self.get_parameter(name).detach()) for name in COEFFICIENTS if name != "border_width"
        }
        width = math.exp(float(self.get_parameter("log_border_width").detach()))
        return {name: width if name == "border_width" else found[name] for name in COEFFICIENTS}

    def extra_repr(self) -> str:
        """Offsets and coefficients, for `print(module)`."""
        return ", ".join(
            f"{name}={value:.4g}" for name, value in {**self.values, **self.coefficients}.items()
        )

    def _at_border(self, name: str, border: Tensor) -> Tensor:
        """(N,) how much likelier an event is than inside the field, less 1; above -1."""
        width = self.get_parameter("log_border_width").exp()
        return torch.expm1(self.get_parameter(f"{name}_at_border")) * torch.exp(-border / width)

    def _covariates(self, graph: Scored) -> dict[str, Tensor]:
        found = graph.covariates if isinstance(graph, CandidateGraph) else None
        if found is None:
            raise InputError(
                "an EventModel needs covariates of the cells, which these candidate links lack: score them with "
                "`layer.scores(tracker, detections, movie)`, or add them with `with_covariates(graph, detections)` "
                "of torchtrack_uq.links.covariates"
            )
        return dict(zip(COVARIATES, found.to(torch.float64).unbind(1), strict=True))
