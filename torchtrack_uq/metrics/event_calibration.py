"""Calibration of yes/no events: links, nulls, divisions and disappearances, and errors of a segmentation."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.calibration_error import calibration_error, check_bins, check_norm
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.truth.detection_truth import DETECTION_EVENTS
from torchtrack_uq.truth.judged import JudgedEvents, judge_events
from torchtrack_uq.truth.targets import LinkTargets

EVENTS = ("link", "null", "division", "disappearance")
"""Those that every movie has."""
OF_ERRORS = ("missed", *DETECTION_EVENTS)
"""Those of an imperfect segmentation: a cell missed before, and detections that are false, merged or split."""


class EventCalibrationError(Metric):  # type: ignore[misc, unused-ignore]
    """Calibration error of one kind of event: its probability against whether it happened.

    Args:
        event: "link" (every candidate link of the known daughters), "null" (every known daughter), "division" or
            "disappearance" (every mother whose daughters are all annotated); "missed" (every known daughter, where
            links may skip frames); "false", "merged" or "split" (detections, by `judge_detections` only).
        n_bins: Number of bins.
        norm: "l1" (ECE), "l2" or "max", as in torchmetrics.
        **kwargs: As every torchmetrics Metric.

    Raises:
        InputError: Another event, n_bins below 1, or an unknown norm.

    >>> from torchtrack_uq.truth.judged import JudgedEvents
    >>> metric = EventCalibrationError("division", n_bins=2)
    >>> p, happened = torch.tensor([0.1, 0.2, 0.9]), torch.tensor([False, False, True])
    >>> metric.update({"division": JudgedEvents(p, happened, torch.tensor([0, 0, 0]))})
    >>> metric.compute()
    tensor(0.1333, dtype=torch.float64)
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(self, event: str, n_bins: int = 15, norm: str = "l1", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if event not in EVENTS + OF_ERRORS:
            raise InputError(f"event {event!r} is unknown; expected one of {', '.join(EVENTS + OF_ERRORS)}")
        check_bins(n_bins)
        check_norm(norm)
        self.event, self.n_bins, self.norm = event, n_bins, norm
        # A MetricCollection takes metrics with equal states for the same: two events may both be empty at first.
        self._probability, self._happened = f"{event}_probability", f"{event}_happened"
        self.add_state(self._probability, [], dist_reduce_fx="cat")
        self.add_state(self._happened, [], dist_reduce_fx="cat")

    def update(
        self,
        probabilities: LinkProbabilities | Mapping[str, JudgedEvents],
        targets: LinkTargets | None = None,
    ) -> None:
        """Add a movie.

        Args:
            probabilities: Of a movie, by any method; or its judged events, then without targets.
            targets: The movie's true mothers.

        Raises:
            InputError: Probabilities without targets, judged events with them or without this kind of event; or
                probabilities of links where errors of detections are to be judged.
        """
        if isinstance(probabilities, LinkProbabilities) and targets is not None:
            if self.event in DETECTION_EVENTS:
                raise InputError(
                    f"links do not say whether a detection is {self.event}; give update() what judge_detections says"
                )
            judged = judge_events(probabilities, targets)
            if self.event not in judged:  # no link skips a frame
                return
            events = judged[self.event]
        elif isinstance(probabilities, Mapping) and targets is None and self.event in probabilities:
            events = probabilities[self.event]
        else:
            raise InputError(
                f"give update() probabilities and targets, or judged events that hold {self.event!r} alone"
            )
        getattr(self, self._probability).append(events.probability.detach().to(self.device))
        getattr(self, self._happened).append(events.happened.to(self.device))

    def compute(self) -> Tensor:
        """Calibration error over all events so far: scalar float64; NaN with a warning if there are none."""
        probability, happened = getattr(self, self._probability), getattr(self, self._happened)
        if isinstance(probability, list) and not probability:
            probability = happened = torch.zeros(0)
        probability = dim_zero_cat(probability)
        if not len(probability):
            warnings.warn(f"no {self.event} to judge: its calibration error is NaN", stacklevel=2)
            return torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        return calibration_error(probability, dim_zero_cat(happened), self.n_bins, self.norm)
