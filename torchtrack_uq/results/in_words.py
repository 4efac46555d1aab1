"""A tracked movie in a few lines."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchtrack_uq.guarantees.acceptance import AcceptanceThreshold
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.scale import by_axis, is_isotropic
from torchtrack_uq.results.doubts import CellDoubts
from torchtrack_uq.results.proof import proof_sentence, proved_exact, short_lists
from torchtrack_uq.results.tracklets import Tracklets
from torchtrack_uq.utils.registry import with_options

DOUBTFUL_BELOW = 0.9
"""A decision is doubtful if its probability is below this."""
_SAID = {"missed": "seen again after a miss", "false": "false", "merged": "merged", "split": "split"}
_WORTH_SAYING = 0.5
_NOT_CALIBRATED = (
    "not calibrated on your own cells: have thirty drawn to annotate (`torchtrack-uq sample`), "
    "and fit to them (`fit --decisions`)"
)


class Tracked(Protocol):
    """What a summary is of: a `TrackingResult`."""

    @property
    def detections(self) -> Detections:
        """The movie's N cells."""
        ...

    @property
    def probabilities(self) -> LinkProbabilities:
        """Of its E candidate links."""
        ...

    @property
    def candidates(self) -> CandidateGraph:
        """These links."""
        ...

    @property
    def selected(self) -> NDArray[np.bool_]:
        """(E,) bool, the links that were chosen."""
        ...

    @property
    def tracker(self) -> str:
        """Name of the tracker."""
        ...

    @property
    def temperature(self) -> float:
        """Of the probabilities."""
        ...

    @property
    def prior(self) -> str | None:
        """What temperature and event scores are from, if from other movies."""
        ...

    @property
    def calibrated(self) -> bool:
        """Whether they were fitted to annotated cells."""
        ...

    @property
    def acceptance(self) -> AcceptanceThreshold | None:
        """Which decisions need no review."""
        ...

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """(N,) bool, decisions that need none."""
        ...

    @property
    def decided(self) -> NDArray[np.bool_] | None:
        """(N,) bool, cells that a person decided about."""
        ...

    @property
    def mother(self) -> NDArray[np.int64]:
        """(N,) int64, index of the chosen mother, or -1."""
        ...

    @property
    def tracklets(self) -> Tracklets:
        """Tracks of the chosen links."""
        ...

    @property
    def decision_probability(self) -> NDArray[np.float64]:
        """(N,) probability of what was decided."""
        ...

    @property
    def doubts(self) -> CellDoubts:
        """What may be wrong with each cell."""
        ...

    def review(self, n: int | None = None) -> pd.DataFrame:
        """Cells, the most doubtful first."""
        ...


class TrackedCells(Tracked, Protocol):
    """What lists and files are of: a `TrackingResult` too."""

    @property
    def cells(self) -> pd.DataFrame:
        """One row a cell."""
        ...


def summary(result: Tracked) -> str:
    """See `TrackingResult.summary`."""
    detections, mother = result.detections, result.mother
    n_divisions = int((np.bincount(mother[mother >= 0]) == 2).sum()) if (mother >= 0).any() else 0
    daughters = detections.frame > 0
    doubtful = daughters & (result.decision_probability < DOUBTFUL_BELOW)
    n_links, n_decisions = int(result.selected.sum()), int(daughters.sum())
    share = doubtful.sum() / max(n_decisions, 1)
    method = with_options(result.probabilities.method, result.probabilities.options)
    graph = result.candidates
    begun, ended = (detections.frame[end.numpy()[result.selected]] for end in (graph.mother, graph.daughter))
    n_gaps = int((ended - begun > 1).sum())
    gaps = f" ({n_gaps} over gaps)" if graph.max_gap > 1 else ""
    known = "" if result.prior is None else f"; T and event scores from other movies: {result.prior}"
    lines = [
        f"{len(detections)} cells in {detections.n_frames} frames: {n_links} links{gaps}, "
        f"{n_divisions} divisions, {len(result.tracklets.table)} tracks "
        f"({result.tracker}, {method}, T = {result.temperature:.3g}{known})",
        f"{int(doubtful.sum())} of {n_decisions} decisions are doubtful ({share:.1%} below "
        f"probability {DOUBTFUL_BELOW:g})",
    ]
    exact = proved_exact(result.probabilities)
    if exact is not None and n_decisions:
        n_exact = int((exact & daughters).sum())
        lines.append(proof_sentence(n_exact, n_decisions, result.probabilities.options))
    if (short := short_lists(result.probabilities)) is not None:
        lines.append(short)
    if result.acceptance is not None:
        n_accepted = int(result.accepted.sum())
        lines.append(
            f"{n_accepted} of {n_decisions} decisions are accepted ({result.acceptance.promise}, if this movie is "
            f"like the annotated ones); {n_decisions - n_accepted} are for review"
        )
    if doubtful.any():
        counts = pd.Series(detections.frame_number[doubtful]).value_counts()
        frames = ", ".join(f"{t} ({n})" for t, n in counts.head(5).items())
        lines.append(f"most of them in frames {frames}")
    if not is_isotropic(detections.voxel_size):
        lines.append(voxel_sentence(detections.voxel_size or ()))
    if (sentence := segmentation_sentence(result.doubts, detections.frame_number)) is not None:
        lines.append(sentence)
    worst = result.review(3)
    worst = worst[worst["doubt"] > 1 - DOUBTFUL_BELOW]
    spots = "; ".join(
        f"cell {row['label']} in frame {row['frame']} at "
        + ", ".join(f"{axis} {row[axis]:.0f}" for axis in "zyx"[-detections.ndim :])
        + (f" ({row['reason']})" if row["reason"] else "")
        for row in worst.to_dict("records")
    )
    if spots:
        lines.append(f"most doubtful: {spots}")
    if n_decisions and not result.calibrated:
        lines.append(_NOT_CALIBRATED)
    return "\n".join(lines)


def voxel_sentence(voxel_size: Sequence[float]) -> str:
    """What a voxel that is no cube is taken for.

    >>> voxel_sentence((0.5, 0.16, 0.16))
    'voxels of 0.5 x 0.16 x 0.16 µm are no cubes: distances and sizes are those in space, counted in pixels of 0.16 µm'
    """
    return (
        f"voxels of {by_axis(voxel_size)} µm are no {'cubes' if len(voxel_size) == 3 else 'squares'}: distances and "
        f"sizes are those in space, counted in pixels of {voxel_size[-1]:g} µm"
    )


def segmentation_sentence(doubts: CellDoubts, frame: NDArray[np.int64]) -> str | None:
    """How many detections are expected to be wrong, of each kind, and in which frames most of them are.

    Expected numbers are sums of probabilities; of kinds that come to less than half a cell nothing is said.
    """
    expected = {kind: n for kind, n in doubts.expected().items() if n >= _WORTH_SAYING}
    if not expected:
        return None
    counts = ", ".join(f"{n:.1f} {_SAID[kind]}" for kind, n in expected.items())
    by_frame = pd.Series(np.nansum([doubts.part[kind] for kind in expected], axis=0)).groupby(frame).sum()
    largest = by_frame.sort_values(ascending=False, kind="stable").head(5)
    frames = ", ".join(f"{t} ({n:.1f})" for t, n in largest[largest >= _WORTH_SAYING].items())
    return f"expected among the detections: {counts}" + (f"; most in frames {frames}" if frames else "")
