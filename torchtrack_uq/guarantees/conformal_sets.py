"""Sets of mothers that hold the true one with a stated probability."""

import math
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchtrack_uq.errors import InputError
from torchtrack_uq.functional.segments import segment_max
from torchtrack_uq.guarantees.annotation_sample import AnnotationSample
from torchtrack_uq.guarantees.conformal import (
    SCORES,
    class_scores,
    conformal_quantile,
    true_scores,
    weighted_quantile,
)
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.truth.decisions import class_probabilities
from torchtrack_uq.truth.judged import first_of_segment
from torchtrack_uq.truth.targets import LinkTargets

_FIT, _USE = 0, 1


class MotherSets(NamedTuple):
    """A set of candidate mothers, null among them, for each daughter.

    Attributes:
        link: (E,) bool, whether the link's mother is in its daughter's set.
        null: (N,) bool, whether "no mother" is; False in frame 0.
    """

    link: Tensor
    null: Tensor


class ConformalSets:
    """For each daughter a set of mothers ("none" may be one) that holds the truth with probability `coverage`.

    Split conformal prediction: the threshold on the nonconformity of a class is a quantile of that of the truth over
    annotated daughters. A daughter whose true mother is no candidate cannot be covered and counts as missed, so the
    coverage is over all daughters.

    The promise is marginal, over daughters exchangeable with the annotated ones, and over the draw of those: not for
    each movie, frame or kind of daughter (the few that divide may be covered less, the many easy ones more), and not
    for another movie or frame rate. See docs/guarantees.md.

    Args:
        coverage: In (0, 1).
        score: "LAC" (smallest sets) or "APS" (larger sets for doubtful daughters); see `class_scores`.
        allow_empty: If False, the likeliest class is in every set: coverage can only rise. If True, sets may be
            empty, as happens where the tracker is right more often than `coverage`.
        seed: Of the random shares of APS.

    Attributes:
        quantile: The largest nonconformity of a class in a set; inf means that every set holds every class.
        n_calibration: Annotated daughters that it rests on.
        n_unreachable: How many of those have a true mother who is no candidate.

    Raises:
        InputError: A coverage outside (0, 1), or an unknown score.

    >>> import numpy as np
    >>> from torchtrack_uq import CandidateGraph, Detections, ParentalSoftmax
    >>> cells = Detections.from_points(np.repeat([0, 1], 20), np.zeros((40, 2)))
    >>> rows, columns = np.indices((20, 20)).reshape(2, -1)
    >>> graph = CandidateGraph.from_links(cells, rows, columns + 20, np.where(rows == columns, 9.0, 0.0))
    >>> p, mothers = ParentalSoftmax()(graph), torch.arange(40) - 20
    >>> targets = LinkTargets.from_mothers(mothers.clamp(min=-1), graph.frame)
    >>> sets = ConformalSets(0.9).fit([(p, targets)]).sets(p)
    >>> int(sets.link.sum()), int(sets.null.sum())  # one mother for each daughter
    (20, 0)
    """

    def __init__(
        self, coverage: float = 0.95, score: str = "LAC", *, allow_empty: bool = False, seed: int = 0
    ) -> None:
        if not 0 < coverage < 1:
            raise InputError(f"coverage must lie between 0 and 1, got {coverage:g}")
        if score not in SCORES:
            raise InputError(f"score {score!r} is unknown; expected one of {', '.join(SCORES)}")
        self.coverage, self.score, self.allow_empty, self.seed = coverage, score, allow_empty, seed
        self.quantile: float | None = None
        self.n_calibration = self.n_unreachable = 0

    def fit(self, movies: Iterable[tuple[LinkProbabilities, LinkTargets]]) -> "ConformalSets":
        """Find the quantile; warns (UserWarning) if the coverage cannot be met.

        Args:
            movies: Probabilities and true mothers of annotated movies.

        Raises:
            InputError: No annotated daughter, or targets that do not fit.
        """
        scores = [
            true_scores(p, targets, self.score, (self.seed, _FIT, i)).cpu()
            for i, (p, targets) in enumerate(movies)
        ]
        if not sum(len(part) for part in scores):
            raise InputError("there is no annotated daughter to fit conformal sets to")
        return self.fit_scores(torch.cat(scores))

    def fit_scores(self, scores: Tensor, sample: AnnotationSample | None = None) -> "ConformalSets":
        """Find the quantile from scores of the truth; warns as `fit`.

        Args:
            scores: (n,) floats, as `true_scores` gives them.
            sample: How the n daughters were drawn, scores in the order of `sample.cell`; the promise is then about a
                random daughter of those that were not drawn. By default they are exchangeable with new ones.

        Raises:
            InputError: No scores, or a sample of another size.
        """
        n_alike: float = len(scores)
        if sample is None:
            self.quantile = conformal_quantile(scores, self.coverage)
        else:
            weights, new = torch.from_numpy(sample.conformal_weight), sample.new_conformal_weight
            self.quantile = weighted_quantile(scores.cpu(), weights, self.coverage, new)
            n_alike = float(weights.sum()) / new if new > 0 else math.inf
        self.n_calibration, self.n_unreachable = len(scores), int(scores.isinf().sum())
        if not self.attainable:
            fewest = math.ceil(round(self.coverage / (1 - self.coverage), 9))
            reason = (
                f"{self.n_unreachable} of {self.n_calibration} annotated daughters have a true mother who is no "
                "candidate; widen the tracker's search range"
                if n_alike >= fewest
                else f"{self.n_calibration} annotated daughters "
                + ("" if sample is None else f"count as {n_alike:.0f} drawn evenly: they ")
                + f"are too few, it takes at least {fewest}"
            )
            warnings.warn(
                f"a coverage of {self.coverage:g} cannot be promised, so every set holds every class: {reason}",
                stacklevel=3,
            )
        return self

    @property
    def attainable(self) -> bool:
        """Whether the coverage can be met; if not, sets hold everything and still miss unreachable mothers."""
        return self._fitted() < math.inf

    def sets(self, probabilities: LinkProbabilities) -> MotherSets:
        """The sets of a movie, on the device of its probabilities.

        Raises:
            InputError: Nothing was fitted yet.
        """
        quantile, graph = self._fitted(), probabilities.graph
        link_score, null_score = class_scores(probabilities, self.score, (self.seed, _USE))
        link, null = link_score <= quantile, null_score <= quantile
        if not self.allow_empty:
            p_link, p_null = class_probabilities(probabilities)
            best = segment_max(p_link, graph.daughter, graph.n_cells)
            null = null | (p_null > best)
            link = link | first_of_segment(
                p_link >= torch.maximum(best, p_null)[graph.daughter], graph.daughter, graph.n_cells
            )
        return MotherSets(link, null & graph.is_daughter)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file (an infinite quantile as None); `from_json` reads them back."""
        quantile = self._fitted()
        return {
            "coverage": self.coverage,
            "score": self.score,
            "allow_empty": self.allow_empty,
            "seed": self.seed,
            "quantile": quantile if quantile < math.inf else None,
            "n_calibration": self.n_calibration,
            "n_unreachable": self.n_unreachable,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "ConformalSets":
        """Read back what `to_json` made.

        Raises:
            InputError: Something is missing.
        """
        try:
            sets = cls(
                stored["coverage"], stored["score"], allow_empty=stored["allow_empty"], seed=stored["seed"]
            )
            sets.quantile = math.inf if stored["quantile"] is None else float(stored["quantile"])
            sets.n_calibration, sets.n_unreachable = stored["n_calibration"], stored["n_unreachable"]
        except (KeyError, TypeError) as error:
            raise InputError(f"the conformal sets cannot be read ({error!r}); fit again") from error
        return sets

    def _fitted(self) -> float:
        if self.quantile is None:
            raise InputError("the conformal sets are not fitted yet; call fit with annotated movies first")
        return self.quantile
