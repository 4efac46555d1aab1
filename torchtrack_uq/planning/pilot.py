"""What a short movie says about the cells in it: density, displacements, divisions, deaths, misses."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from torchtrack_uq.datasets.simulation import Conditions
from torchtrack_uq.datasets.simulation.true_frames import simulate_frames
from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.planning.culture import SPACING, Culture, MeasuredSteps
from torchtrack_uq.planning.outcome import SURE, Outcome, outcome_of
from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.trackers.gaps import max_gap_of
from torchtrack_uq.truth.targets import LinkTargets
from torchtrack_uq.uncertain_tracker import UncertainTracker

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
FEWEST_STEPS = 100
"""Displacements over as many frames that there must be, for a prediction at that interval."""
_LONGEST, _MOST_STEPS = 48, 50_000
_SURE_ENOUGH = 0.8
"""Share of the decisions of a pilot that must be sure."""
_INSIDE_LEAST = 0.2
_CROSS_LEAST = 0.25  # of the cells that would come over an open border; some are taken for daughters
_QUANTILES = (0.1, 0.5, 0.9)
_SHARES = tuple(k / 20 for k in range(19))
_STATIC = 900


@dataclass(frozen=True, eq=False)
class Pilot:
    """A tracked movie as evidence.

    Attributes:
        detections: Its N cells.
        mother: (N,) int64, the mother that each was linked to, -1 for none.
        sure: (N,) bool, whether that decision has a probability of at least `SURE`.
        shares: Of the cells of a frame, by name: divide and missed, as expected by the probabilities; disappear and
            appear, inside the field, as far as they are sure.
        closed: Whether no cell seems to cross the border of what is seen.
        interval: Time between frames; 1 where nobody knows.
        unit: Length of a pixel of x; 1 where nobody knows.
        expected_wrong: Share of its own decisions that is expected to be wrong; predictions near it mean little.
    """

    detections: Detections
    mother: Integers
    sure: NDArray[np.bool_]
    shares: dict[str, float]
    closed: bool
    interval: float = 1.0
    unit: float = 1.0
    expected_wrong: float = 0.0

    @classmethod
    def of(cls, result: TrackingResult, *, interval: float | None = None) -> "Pilot":
        """From a tracked movie; lengths are in micrometres and times in minutes where the movie states its scale.

        Args:
            result: Of the movie.
            interval: Minutes between frames, in place of what the movie states.

        Raises:
            InputError: An interval that is none, or links that are not sure enough to learn from.
        """
        if interval is not None and not (math.isfinite(interval) and interval > 0):
            raise InputError(
                f"the pilot's interval is {interval:g} minutes; expected a positive time between frames"
            )
        cells, p = result.detections, result.decision_probability
        later = cells.frame > 0
        sure = np.asarray(p >= SURE) | ~later
        if not later.any() or sure[later].mean() < _SURE_ENOUGH:
            share = sure[later].mean() if later.any() else 0.0
            raise InputError(
                f"only {share:.0%} of the pilot's links have a probability of at least {SURE:.0%}, too few to learn "
                f"from; expected {_SURE_ENOUGH:.0%}: image the pilot faster, or give numbers"
            )
        if interval is None and cells.interval is not None:
            interval = cells.interval / 60
        return cls(
            cells,
            result.mother,
            sure,
            *_events(result, sure),
            1.0 if interval is None else float(interval),
            1.0 if cells.voxel_size is None else float(cells.voxel_size[-1]),
            float(np.mean(1 - np.minimum(p[later], 1.0))),
        )

    def culture(self) -> Culture:
        """The cells of the movie.

        The density is that of where the cells are, which is what counts: see `crowding`.

        Raises:
            InputError: Too few displacements even over one frame, or never two cells in a frame.
        """
        by_lag = self.displacements()
        if not by_lag:
            raise InputError(
                f"the pilot has fewer than {FEWEST_STEPS} sure links, too few to learn from; give a longer one, or "
                "numbers"
            )
        nearest = nearest_distances(self.detections) * self.unit
        if not len(nearest):
            raise InputError("no frame of the pilot holds two cells; give numbers instead")
        density, apart = crowding(nearest, self.detections.ndim)
        rates = {
            name: -math.log1p(-min(self.shares[name], 0.5)) / self.interval
            for name in ("divide", "disappear", "appear")
        }
        return Culture(
            density,
            MeasuredSteps(self.interval, density, by_lag),
            self.detections.ndim,
            apart=apart,
            separation=self._separation(float(np.median(nearest))),
            missed=min(self.shares["missed"], 0.5),
            closed=self.closed,
            **rates,
        )

    def displacements(self) -> dict[int, list[tuple[Floats, Floats]]]:
        """By number of frames, and for each first frame, places and displacements of sure tracks that do not divide.

        As far as there are `FEWEST_STEPS` of them; of many first frames, some.
        """
        cells, at = self.detections, np.arange(len(self.mother))
        coords = cells.isotropic_coords * self.unit
        n_daughters = np.bincount(self.mother[self.mother >= 0], minlength=len(at))
        ok, ancestor = np.ones(len(at), dtype=np.bool_), at.copy()
        found: dict[int, list[tuple[Floats, Floats]]] = {}
        for lag in range(1, min(cells.n_frames, _LONGEST + 1)):
            ok &= self.sure[ancestor] & (self.mother[ancestor] >= 0)
            ancestor = np.where(ok, self.mother[ancestor], ancestor)
            ok &= n_daughters[ancestor] == 1
            now = np.flatnonzero(ok & (cells.frame - cells.frame[ancestor] == lag))
            if len(now) < FEWEST_STEPS:
                break
            first = cells.frame[ancestor[now]]
            frames = np.unique(first)
            frames = frames[:: -(-len(now) // _MOST_STEPS)]
            found[lag] = []
            for t in frames:
                these = now[first == t]
                place = coords[ancestor[these]]
                found[lag].append((place, coords[these] - place))
        return found

    def subsampled(self, stride: int) -> tuple[Detections, LinkTargets]:
        """Every `stride`-th frame, with the mothers that its own tracks give, where they are sure.

        Raises:
            InputError: Fewer than two frames are left.
        """
        cells = self.detections
        if (cells.n_frames - 1) // stride < 1:
            raise InputError(f"the pilot has {cells.n_frames} frames; stride {stride} leaves fewer than two")
        keep = np.flatnonzero(cells.frame % stride == 0)
        ancestor, known = self.mother[keep], self.sure[keep]
        while True:
            between = (ancestor >= 0) & (cells.frame[ancestor] % stride != 0)
            if not between.any():
                break
            known = np.where(between, known & self.sure[ancestor], known)
            ancestor = np.where(between, self.mother[ancestor], ancestor)
        new = np.full(len(cells), -1, dtype=np.int64)
        new[keep] = np.arange(len(keep))
        mother = np.where(ancestor >= 0, new[ancestor], -1)
        frame = cells.frame[keep] // stride
        reach = max_gap_of(UncertainTracker("distance").tracker)
        mother = np.where(frame - frame[mother] <= reach, mother, -1)
        subset = Detections(
            frame,
            cells.label[keep],
            cells.coords[keep],
            (cells.n_frames - 1) // stride + 1,
            stride=cells.stride * stride,
            field_shape=cells.field_shape,
            voxel_size=cells.voxel_size,
        )
        targets = LinkTargets.from_mothers(
            torch.from_numpy(mother), torch.from_numpy(frame), torch.from_numpy(known), max_gap=reach
        )
        return subset, targets

    def check(self, stride: int) -> Outcome:
        """How well every `stride`-th frame of the pilot is tracked, held against its own sure tracks.

        Raises:
            InputError: As `subsampled`, or nothing is sure.
        """
        return outcome_of(UncertainTracker("distance", "auto"), *self.subsampled(stride))

    def _separation(self, otherwise: float) -> float:
        """Median distance of sisters in the first frame in which both are seen."""
        order = np.argsort(self.mother, kind="stable")
        mother = self.mother[order]
        same = np.flatnonzero((mother[1:] == mother[:-1]) & (mother[1:] >= 0))
        a, b = order[same], order[same + 1]
        near = self.sure[a] & self.sure[b] & (self.detections.frame[a] == self.detections.frame[b])
        if not near.any():
            return otherwise
        coords = self.detections.isotropic_coords * self.unit
        return float(np.median(np.linalg.norm(coords[a[near]] - coords[b[near]], axis=1)))


def nearest_distances(cells: Detections) -> Floats:
    """Distances, in pixels of x, of all cells that are not alone in their frame to the nearest other one there."""
    coords = cells.isotropic_coords
    frames = [coords[cells.in_frame(t)] for t in range(cells.n_frames)]
    found = [np.asarray(cKDTree(frame).query(frame, k=2)[0])[:, 1] for frame in frames if len(frame) > 1]
    return np.concatenate(found) if found else np.zeros(0)


def _events(result: TrackingResult, sure: NDArray[np.bool_]) -> tuple[dict[str, float], bool]:
    """`Pilot.shares` and `Pilot.closed`; inside is what lies farther from the edge of what is seen than cells move."""
    cells, p = result.detections, result.probabilities
    coords, mother = cells.isotropic_coords, result.mother
    linked = np.flatnonzero((mother >= 0) & sure)
    step = np.abs(coords[linked] - coords[mother[linked]]) if len(linked) else np.zeros((1, cells.ndim))
    low, high = coords.min(axis=0), coords.max(axis=0)
    reach = 3 * np.quantile(step, 0.75, axis=0)
    inside = ((coords >= low + reach) & (coords <= high - reach)).all(axis=1)
    if inside.mean() < _INSIDE_LEAST:
        inside[:] = True
    early, late = cells.frame < cells.n_frames - 1, cells.frame > 0
    came = sure & (mother < 0)
    went = (p.disappear.detach().double().cpu().numpy() >= SURE) & early
    divides, missed = (column.detach().double().cpu().numpy() for column in (p.divide, p.missed))
    shares = {
        "divide": float(divides[early].mean()),
        "disappear": float(went[early & inside].mean()),
        "appear": float(came[late & inside].mean()),
        "missed": float(missed[late].mean()) if p.graph.max_gap > 1 else 0.0,
    }
    over_border = float((step.mean(axis=0) / np.maximum(high - low, 1e-9)).sum())
    closed = float((mother < 0)[late].mean()) - shares["appear"] < _CROSS_LEAST * over_border
    return {name: 0.0 if math.isnan(value) else value for name, value in shares.items()}, closed


def crowding(nearest: Floats, ndim: int) -> tuple[float, float]:
    """Density of simulated cells that lie as near to each other as measured, and how far these push each other.

    Of cells that push each other to some share of their mean distance, the share is taken at which distances to the
    nearest neighbour vary as measured (10th and 90th percentile beside the median), then the density at which they are
    as large.

    Args:
        nearest: Distances of cells to their nearest neighbour.
        ndim: 2 or 3.

    Returns:
        Cells a unit of area or volume, and a length.
    """
    low, middle, high = np.quantile(nearest, _QUANTILES)
    middle = max(float(middle), 1e-12)
    shape = np.log(np.maximum([low / middle, high / middle], 1e-6))
    best, found = math.inf, (1.0, 0.0)
    for share in _SHARES:
        quantiles = _simulated_nearest(share, ndim)
        unlike = float(np.abs(np.log(quantiles[[0, 2]] / quantiles[1]) - shape).sum())
        if unlike < best:
            spacing = middle / float(quantiles[1])
            best, found = unlike, (spacing**-ndim, share * spacing)
    return found


@cache
def _simulated_nearest(share: float, ndim: int) -> Floats:
    """The quantiles, in mean distances, of cells that push each other to a share of that."""
    side = (SPACING * _STATIC ** (1 / ndim),) * ndim
    conditions = Conditions(2, _STATIC, side, motion=0.0, apart=share * SPACING)
    place = next(simulate_frames(conditions)).place
    found: Floats = np.quantile(np.asarray(cKDTree(place).query(place, k=2)[0])[:, 1], _QUANTILES) / SPACING
    return found
