"""The front door of the layers: a method and a temperature."""

from typing import Any

import torch
from torch import Tensor, nn

from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.assignment_posterior import POSTERIOR_METHODS
from torchtrack_uq.layers.event_offsets import EventOffsets
from torchtrack_uq.layers.feature_perturbation import FeaturePerturbation
from torchtrack_uq.layers.make import make_method
from torchtrack_uq.layers.method import Method, ModuleMethod, Scored, Scores
from torchtrack_uq.layers.paper import paper_options
from torchtrack_uq.layers.registry import METHODS
from torchtrack_uq.layers.temperature import TemperatureScaler
from torchtrack_uq.layers.uncompiled import uncompiled
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.covariates import with_covariates
from torchtrack_uq.links.perturbed_scores import PerturbedScores
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.posterior.support import Support
from torchtrack_uq.trackers.gaps import max_gap_of
from torchtrack_uq.trackers.protocol import StreamingTracker, Tracker
from torchtrack_uq.utils.registry import with_options


class UncertaintyLayer(nn.Module):
    """Turns any tracker's scores into link probabilities: a method (paper sec. 2) and a temperature T.

    The temperature divides all scores, those of events included, before SM, FP, AS, exact, auto and bp; FP+A's
    frequencies are tempered afterwards. The probabilities come with the tracker's own scores, never instead.

    Args:
        method: "SM" parental softmax; "FP" the same of costs averaged under noise; "FP+A" frequency among MAP
            assignments under noise; "AS" the K best assignments; "exact" and "auto" all assignments; "bp" belief
            propagation. Or a module that makes `LinkProbabilities` from a `CandidateGraph`.
        temperature: T, or a (fitted) `TemperatureScaler`; None means 1.
        k: Number of assignments for "AS"; 100 by default.
        perturbation: Noise for "FP" and "FP+A"; the default one if None.
        events: Corrections of the event scores, constants or an `EventModel`, for methods that use these scores
            tempered (not FP+A).
        paper: Whether "SM", "FP", "FP+A" and "AS" are the paper's to the letter (see `paper_options`): "no mother" is
            no class, frequencies are taken as they are, and nothing is left for what the list of AS lacks.

    Raises:
        InputError: An unknown method, a temperature that is not positive, event offsets for FP+A, or `paper` with a
            method that is not in the paper or not given by name.

    >>> import numpy as np
    >>> cells = Detections.from_points(np.array([0, 1, 1, 1]), np.zeros((4, 2)))
    >>> graph = CandidateGraph.from_links(cells, [0, 0, 0], [1, 2, 3], [0.0, 0.0, 0.0])
    >>> UncertaintyLayer("SM")(graph).expected_daughters[0], UncertaintyLayer("exact")(graph).expected_daughters[0]
    (tensor(1.5000, grad_fn=<SelectBackward0>), tensor(1.2857, grad_fn=<SelectBackward0>))
    """

    def __init__(
        self,
        method: str | nn.Module = "auto",
        temperature: float | TemperatureScaler | None = None,
        *,
        k: int | None = None,
        perturbation: FeaturePerturbation | None = None,
        events: EventOffsets | None = None,
        paper: bool = False,
    ) -> None:
        super().__init__()
        self.posterior = _method(method, k, paper)
        if isinstance(temperature, TemperatureScaler):
            self.scaler = temperature
        else:
            self.scaler = TemperatureScaler(1.0 if temperature is None else temperature)
        self.perturbation = (perturbation or FeaturePerturbation()) if self.posterior.needs_noise else None
        if events is not None and not self.posterior.takes_offsets:
            raise InputError(
                f"{self.method} counts assignments under the tracker's own event scores; it takes no offsets"
            )
        self.events = events

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.posterior.name

    @property
    def options(self) -> dict[str, Any]:
        """Options of the method that are not the default ones."""
        return self.posterior.options

    @property
    def temperature(self) -> Tensor:
        """T, a scalar tensor with gradient."""
        return self.scaler.temperature

    def scores(
        self, tracker: Tracker, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> Scores:
        """What `forward` needs: a tracker's scores, under R draws of noise if the method asks for them."""
        if self.perturbation is not None:
            perturbed: PerturbedScores = self.perturbation(tracker, detections, movie, progress=progress)
            return with_covariates(perturbed, detections) if self._needs_covariates else perturbed
        graph = tracker.candidates(detections, movie, progress=progress)
        return with_covariates(graph, detections) if self._needs_covariates else graph

    def probabilities(
        self, tracker: Tracker, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> LinkProbabilities:
        """Link probabilities of a movie from a tracker: `scores` and `forward` in one.

        Under `torch.no_grad()`, a tracker that streams goes on scoring while the frame pairs that it is through
        with are solved on the CPU ("AS", "exact" and "auto"). The probabilities are the same. Where links may span
        several frames, a movie is one problem, and nothing is solved before all of it is scored; nor with an
        `EventModel`, which looks at the whole movie first.

        Args:
            tracker: Scores the links.
            detections: The movie's cells.
            movie: Its images and masks, for trackers that look at pixels.
            progress: Whether to show a progress bar.
        """
        in_parts = max_gap_of(tracker) == 1 and not self._needs_covariates
        by_pairs = self.posterior.streams and in_parts
        if not (by_pairs and isinstance(tracker, StreamingTracker) and detections.n_frames > 1):
            return self(self.scores(tracker, detections, movie, progress=progress))  # type: ignore[no-any-return]
        chunks = tracker.stream(detections, movie, progress=progress)
        return self.posterior.stream(detections, chunks, self.tempered)

    @uncompiled  # graphs of a movie are no tensors to trace
    def forward(self, scores: Scores, solved: Any | None = None) -> LinkProbabilities:
        """Link probabilities of a whole movie.

        Args:
            scores: A tracker's candidate links; for "FP" and "FP+A" what `scores` or `FeaturePerturbation`
                makes of them.
            solved: What `solve` found for these scores, at any temperature; solved now if it is not given.

        Raises:
            InputError: Plain scores for a method that needs perturbed ones.
        """
        return self.posterior.at(scores, self, solved)

    @torch.no_grad()
    def solve(self, scores: Scores) -> Any | None:
        """What `forward` needs and the temperature does not change, to be found once and used at any.

        Returns:
            For "AS" the K best assignments (at the present event offsets, which do change them), for "FP+A" how
            often each choice was made, for other methods None.
        """
        return self.posterior.solve(scores, self)

    def tempered(self, graph: Scored) -> Scored:
        """Scores divided by T, event scores corrected; of a movie or of a chunk of one."""
        scaled: Scored = self.scaler(graph)
        return scaled if self.events is None else self.events(scaled)

    def corrected(self, graph: CandidateGraph) -> CandidateGraph:
        """The tracker's scores with corrected event scores, at temperature 1: what the MAP assignment is of."""
        return graph if self.events is None else self.events(graph, unit=self.temperature)

    def log_prob(self, graph: CandidateGraph, mother: Tensor, support: Support | None = None) -> Tensor:
        """Joint log-likelihood L(A)/T - log Z of an assignment: `AssignmentPosterior.log_prob` at this T.

        Raises:
            InputError: The method does not sum over assignments.
        """
        found: Tensor = self.joint_posterior.log_prob(self.tempered(graph), mother, support)
        return found

    @property
    def _needs_covariates(self) -> bool:
        return self.events is not None and self.events.needs_covariates

    @property
    def joint_posterior(self) -> Method:
        """The method, as one that sums over assignments.

        Raises:
            InputError: The method does not sum over assignments.
        """
        if not self.posterior.sums_assignments:
            raise InputError(
                f"method {self.method} has no joint likelihood; use one of {', '.join(POSTERIOR_METHODS)}"
            )
        return self.posterior

    def get_extra_state(self) -> dict[str, Any]:
        """The method and its options, which the temperature was fitted for, go into `state_dict`."""
        return {"method": self.method, "options": self.options}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Refuse the state of another method or of other options: its temperature means something else.

        States of versions that saved no options are taken for those of the layer.
        """
        options = state.get("options", self.options)
        if (state["method"], options) != (self.method, self.options):
            raise InputError(
                f"this state was saved by method {with_options(state['method'], options)}, but the layer's method is "
                f"{with_options(self.method, self.options)}; a temperature holds for the method that it was fitted for"
            )

    def extra_repr(self) -> str:
        """Method, for `print(module)`."""
        return f"method={self.method!r}"


def _method(method: str | nn.Module, k: int | None, paper: bool) -> Method:
    if isinstance(method, str):
        options = paper_options(method) if paper and method in METHODS else {}
        made = make_method(method, k=k if "k" in METHODS[method].options else None, **options)
        found = made if isinstance(made, Method) else ModuleMethod(made)
        found.name = method  # what a calibration file must say to make it again
        return found
    if paper:
        raise InputError("paper=True is for methods that are given by name, such as 'AS'")
    return method if isinstance(method, Method) else ModuleMethod(method)
