"""What a method is: the way from scores to probabilities, as an object that says what it needs."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from inspect import signature
from typing import Any, ClassVar, Protocol, TypeVar

from torch import Tensor, nn

from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.registry import METHODS
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.chunks import LinkChunk
from torchtrack_uq.links.perturbed_scores import PerturbedScores
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections

Scores = CandidateGraph | PerturbedScores
"""What a tracker said about a movie: once, or under noise as well."""
Scored = TypeVar("Scored", CandidateGraph, LinkChunk)


class Scaling(Protocol):
    """What a method is told of temperature and event offsets: `UncertaintyLayer` is one."""

    @property
    def temperature(self) -> Tensor:
        """T, a scalar tensor with gradient."""
        ...

    def tempered(self, graph: Scored) -> Scored:
        """Scores divided by T, event scores corrected; of a movie or of a chunk of one."""
        ...


class Method(nn.Module):
    """Turns a tracker's scores into link probabilities at any temperature.

    A method is a subclass, in a file of its own, with `at` and whatever of the following is not as here; and a line in
    `layers.registry`.

    Attributes:
        name: What it is called in results and calibration files; the name of its registry entry, if it has one.
        options: What `make_method(name, **options)` has to be told to make it again: its attributes that bear the name
            of an option of its registry entry (numbers, strings, booleans), where they are not the default.
        needs_noise: Whether it starts from `PerturbedScores`; else from a plain `CandidateGraph`.
        takes_offsets: Whether corrections of the event scores reach it.
        sums_assignments: Whether it has a `log_prob`, a likelihood of whole assignments.
        cheap_gradient: Whether autograd gives the derivative by the temperature exactly, at the price of an evaluation;
            fits take central differences of the likelihood otherwise.
        may_refuse: Whether it refuses movies that are too ambiguous for it, depending on the temperature.

    >>> class Uniform(Method):
    ...     name = "uniform"
    ...
    ...     def at(self, scores, scaling, solved=None):
    ...         graph = graph_of(scores)
    ...         same = graph.with_scores(*(0 * getattr(graph, name) for name in SCORES))
    ...         return replace(ParentalSoftmax()(same), graph=graph, method=self.name)
    >>> from dataclasses import replace
    >>> import numpy as np
    >>> from torchtrack_uq.layers import ParentalSoftmax, UncertaintyLayer
    >>> from torchtrack_uq.links.names import SCORES
    >>> cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
    >>> UncertaintyLayer(Uniform())(CandidateGraph.from_links(cells, [0, 1], [2, 2], [5.0, 0.0])).link
    tensor([0.3333, 0.3333])
    """

    name: str = ""
    needs_noise: ClassVar[bool] = False
    takes_offsets: ClassVar[bool] = True
    sums_assignments: ClassVar[bool] = False

    @property
    def options(self) -> dict[str, Any]:
        """See the class."""
        return options_of(self, self.name)

    @property
    def cheap_gradient(self) -> bool:
        """See the class."""
        return False

    @property
    def may_refuse(self) -> bool:
        """See the class."""
        return False

    @property
    def streams(self) -> bool:
        """Whether `stream` would solve the first frame pairs of a movie while the last ones are being scored."""
        return False

    def at(self, scores: Scores, scaling: Scaling, solved: Any | None = None) -> LinkProbabilities:
        """Link probabilities of a whole movie.

        Args:
            scores: A tracker's, of the kind that `needs_noise` says.
            scaling: Temperature and event offsets.
            solved: What `solve` found for these scores, at any temperature; solved now if it is not given.

        Returns:
            Probabilities whose `graph` holds the scores as they were given, never scaled ones.

        Raises:
            InputError: Scores of the other kind, or a movie that the method cannot do.
        """
        raise NotImplementedError

    def solve(self, scores: Scores, scaling: Scaling) -> Any | None:
        """What `at` needs and the temperature does not change, to be found once and used at any; None for nothing."""
        return None

    def stream(
        self,
        detections: Detections,
        chunks: Iterable[LinkChunk],
        temper: Callable[[Any], Any] | None = None,
    ) -> LinkProbabilities:
        """`at` for links that are still being scored; only called where `streams` is true."""
        raise NotImplementedError

    def log_prob(self, graph: CandidateGraph, mother: Tensor, support: Any | None = None) -> Tensor:
        """(n_frames - 1,) log-likelihood of an assignment; only called where `sums_assignments` is true."""
        raise NotImplementedError


class ModuleMethod(Method):
    """Any module that makes `LinkProbabilities` from a `CandidateGraph` as a method.

    Args:
        module: The module.
        name: Name of the method; by default the module's class.
    """

    def __init__(self, module: nn.Module, name: str | None = None) -> None:
        super().__init__()
        self.module = module
        self.name = type(module).__name__ if name is None else name

    @property
    def options(self) -> dict[str, Any]:
        """Those of the module."""
        return options_of(self.module, self.name)

    def forward(self, graph: CandidateGraph) -> LinkProbabilities:
        """What the module makes of a graph."""
        found: LinkProbabilities = self.module(graph)
        return found

    def at(self, scores: Scores, scaling: Scaling, solved: Any | None = None) -> LinkProbabilities:
        """What the module makes of the tempered scores."""
        return with_graph(self(scaling.tempered(graph_of(scores))), graph_of(scores))


def options_of(thing: Any, name: str) -> dict[str, Any]:
    """Attributes that bear the name of an option of a registered method, where they are not the constructor's default.

    >>> from torchtrack_uq.layers import AssignmentPosterior
    >>> options_of(AssignmentPosterior("AS", k=10), "AS")
    {'k': 10}
    """
    if name not in METHODS:
        return {}
    default = {key: value.default for key, value in signature(type(thing)).parameters.items()}
    given = {key: getattr(thing, key, default.get(key)) for key in METHODS[name].options}
    plain = {key: value for key, value in given.items() if isinstance(value, bool | int | float | str)}
    return {key: value for key, value in plain.items() if value != default.get(key)}


def with_graph(probabilities: LinkProbabilities, graph: CandidateGraph) -> LinkProbabilities:
    """The same probabilities beside the scores that a tracker gave, instead of tempered ones."""
    return replace(probabilities, graph=graph)


def graph_of(scores: Scores) -> CandidateGraph:
    """The candidate links without noise."""
    return scores.graph if isinstance(scores, PerturbedScores) else scores


def perturbed(scores: Scores, method: Method) -> PerturbedScores:
    """The scores under noise that a method needs.

    Raises:
        InputError: They are plain.
    """
    if not isinstance(scores, PerturbedScores):
        raise InputError(
            f"method {method.name} needs scores under noise; make them with `layer.scores(tracker, detections, movie)`"
        )
    return scores
