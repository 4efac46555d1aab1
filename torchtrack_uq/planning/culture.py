"""What cells will be imaged: how many, how they move, divide and go, in whatever units of length and time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.datasets.simulation import Conditions
from torchtrack_uq.errors import InputError

SPACING = 20.0
"""Pixels in which simulated cells of any density are apart on average: only ratios of lengths matter."""
_STRAIGHT = 0.95  # correlation of steps of cells that keep their direction
_DIVIDE_MOST = 0.25
"""Share of the cells that may divide between two frames: beyond, some would divide twice, which is not simulated."""

Floats = NDArray[np.float64]
Steps = Sequence[tuple[Floats, Floats]]
"""Of each of several frames, where K cells are (K, D) and their steps (K, D)."""


@dataclass(frozen=True)
class Walk:
    """A persistent random walk (Fürth 1920): mean squared displacement 2 v² P (t - P (1 - exp(-t / P))) after time t.

    Attributes:
        speed: Root mean square speed v in space, length a time.
        persistence: Time P for which a cell keeps its direction; infinite for cells that go straight on.

    Raises:
        InputError: A speed that is negative, or a persistence that is not positive.

    >>> Walk(speed=1.0, persistence=5.0).step(10.0, 2)
    (5.32..., 0.329...)
    """

    speed: float
    persistence: float = math.inf

    def __post_init__(self) -> None:
        if not (math.isfinite(self.speed) and self.speed >= 0):
            raise InputError(f"speed is {self.speed}; expected a finite number of at least 0")
        if not self.persistence > 0:
            raise InputError(f"persistence is {self.persistence}; expected a positive time")

    @classmethod
    def diffusing(cls, coefficient: float, ndim: int = 2) -> "Walk":
        """A walk without memory: mean squared displacement 2 D d t in D dimensions.

        Args:
            coefficient: Diffusion coefficient d, length² a time.
            ndim: D, 2 or 3.

        Raises:
            InputError: A coefficient that is negative.
        """
        if not (math.isfinite(coefficient) and coefficient >= 0):
            raise InputError(f"diffusion is {coefficient}; expected a finite number of at least 0")
        short = 1e-6
        return cls(math.sqrt(ndim * coefficient / short), short)

    def step(self, interval: float, ndim: int) -> tuple[float, float]:
        """Standard deviation of a step along each axis, and the correlation of one step with the next."""
        if math.isinf(self.persistence):
            return self.speed * interval / math.sqrt(ndim), _STRAIGHT
        ratio = interval / self.persistence
        gone = -math.expm1(-ratio)
        square = 2 * (self.speed * self.persistence) ** 2 * (ratio - gone if ratio > 1e-4 else ratio**2 / 2)
        if square <= 0:
            return 0.0, 0.0
        return math.sqrt(square / ndim), min((self.speed * self.persistence * gone) ** 2 / square, _STRAIGHT)


@dataclass(frozen=True, eq=False)
class MeasuredSteps:
    """Displacements that a pilot movie shows.

    Attributes:
        interval: Time between its frames.
        density: Cells a unit of area, or of volume in 3D, where they were measured. At another density neighbours are
            taken to move as alike as neighbours do there, whatever the distance between them.
        by_lag: By number of frames k, for each first frame places and displacements over k frames.
    """

    interval: float
    density: float
    by_lag: Mapping[int, Steps]

    def at(self, interval: float) -> Steps:
        """Those over a time.

        Raises:
            InputError: The pilot shows none over that time.
        """
        lag = round(interval / self.interval)
        if lag not in self.by_lag or abs(lag * self.interval - interval) > 1e-6 * interval:
            known = ", ".join(f"{k * self.interval:g}" for k in sorted(self.by_lag))
            raise InputError(
                f"the pilot says nothing about an interval of {interval:g}, and nothing is extrapolated; expected one "
                f"of {known}"
            )
        return self.by_lag[lag]


@dataclass(frozen=True, eq=False)
class Culture:
    """Cells to be imaged; lengths in one unit, times in one unit.

    Attributes:
        density: Cells a unit of area, or of volume in 3D.
        motion: How they move.
        ndim: Dimensions, 2 or 3.
        divide: Rate of division: divisions a cell and time (log 2 / division time where all cells divide).
        disappear: Rate at which cells die.
        appear: Rate at which cells turn up inside the field, a cell and time.
        apart: How near two centres come, such as most of a diameter; 0 for cells that do not know of each other.
        separation: Distance of two daughters at first.
        missed: Share of the cells that the segmentation misses.
        closed: Whether no cell crosses the border of the field, as in an embryo or a colony that is seen whole.

    Raises:
        InputError: A number out of its range, or more cells than have room.
    """

    density: float
    motion: Walk | MeasuredSteps
    ndim: int = 2
    divide: float = 0.0
    disappear: float = 0.0
    appear: float = 0.0
    apart: float = 0.0
    separation: float = 0.0
    missed: float = 0.0
    closed: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.density) and self.density > 0):
            raise InputError(f"density is {self.density}; expected a positive number of cells")
        if self.ndim not in (2, 3):
            raise InputError(f"cells lie in {self.ndim} dimensions; expected 2 or 3")
        for name in ("divide", "disappear", "appear", "apart", "separation"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value}; expected a finite number of at least 0")
        if not 0 <= self.missed < 1:
            raise InputError(f"missed is {self.missed}; expected a share of at least 0 and below 1")
        if self.apart * self.density ** (1 / self.ndim) > 1:
            raise InputError(
                f"cells that stay {self.apart:g} apart have no room at this density, where they lie "
                f"{self.density ** (-1 / self.ndim):g} apart on average; give a smaller diameter or density"
            )

    def at_density(self, density: float) -> "Culture":
        """The same cells, more or fewer of them; where it is more crowded, measured ones come nearer to each other.

        Args:
            density: Cells a unit of area or volume.

        Raises:
            InputError: It is not positive, or cells of a given diameter have no room.
        """
        apart = self.apart
        if isinstance(self.motion, MeasuredSteps) and density > self.density:
            apart *= (self.density / density) ** (1 / self.ndim)
        return replace(self, density=density, apart=apart)

    def can_be_simulated(self, interval: float) -> bool:
        """Whether few enough cells divide in that time."""
        return -math.expm1(-self.divide * interval) <= _DIVIDE_MOST

    def conditions(self, interval: float, n_cells: int = 200, n_frames: int = 10) -> Conditions:
        """A movie to simulate, one frame each `interval`, in pixels of which cells are `SPACING` apart.

        The number of cells grows as they divide; half-way through it is `n_cells`.

        Raises:
            InputError: An interval about which nothing is known, or in which too many cells divide.
        """
        if not (math.isfinite(interval) and interval > 0):
            raise InputError(f"interval is {interval}; expected a positive time between frames")
        if n_cells < 2:
            raise InputError(f"got {n_cells} cells in a simulated frame; expected at least 2")
        divide, disappear = (-math.expm1(-rate * interval) for rate in (self.divide, self.disappear))
        if not self.can_be_simulated(interval):
            raise InputError(
                f"{divide:.0%} of the cells divide within an interval of {interval:g}; beyond {_DIVIDE_MOST:.0%} some "
                "divide twice, which is not simulated: take shorter intervals"
            )
        scale = SPACING * self.density ** (1 / self.ndim)
        middle = (1 + divide - disappear) ** ((n_frames - 1) / 2)
        steps, places, sigma, persistence = None, None, 0.0, 0.0
        if isinstance(self.motion, MeasuredSteps):
            measured = self.motion.at(interval)
            steps = [scale * step for _, step in measured]
            places = [SPACING * self.motion.density ** (1 / self.ndim) * place for place, _ in measured]
        else:
            sigma, persistence = self.motion.step(interval, self.ndim)
        return Conditions(
            n_frames,
            max(1, round(n_cells / middle)),
            (SPACING * n_cells ** (1 / self.ndim),) * self.ndim,
            motion=scale * sigma,
            persistence=persistence,
            steps=steps,
            step_places=places,
            divide=divide,
            disappear=min(disappear, 1 - divide),
            appear=self.appear * interval * n_cells,
            apart=scale * self.apart,
            border="closed" if self.closed else "open",
            separation=scale * self.separation,
            diameter=max(scale * self.apart, 1e-3),
        )
