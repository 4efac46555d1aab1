"""What is simulated: how cells move, divide, die and come, how large they are, and where the field ends."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.scale import aspect, check_scale

Border = Literal["open", "gone", "closed"]

_NOT_NEGATIVE = ("motion", "flow", "appear", "separation", "apart", "diameter_spread", "jitter")
_LARGEST_RESERVOIR, _MOST_CELLS = 1000.0, 5e7
_CROWDED, _JAMMED = 1.2, 3.0
"""Distances that cells may keep, in mean distances between them: spheres can keep 1.12, and a few more push."""
_POSITIVE = ("diameter", "flow_length", "elongation")


@dataclass(frozen=True, eq=False)
class Conditions:
    """A movie to simulate. Lengths are in pixels of x along every axis, times in frames.

    Between two frames every cell dies with probability `disappear`, divides with probability `divide`, or stays itself.
    Whoever is there takes a step, and a Poisson number of new cells turns up, uniformly.

    Steps: independent normal noise of standard deviation `motion` along each axis; with `persistence` r, a cell's steps
    in two frames that follow each other have correlation r, so that its mean squared displacement over k frames is
    D motion² (k + 2 sum_{j<k} (k - j) r^j) in D dimensions. With `steps`, they are drawn from measured ones instead.
    To these `drift` is added, and `flow`: a smooth field of velocities that stands still, of Gaussian size.

    Attributes:
        n_frames: Number of frames, at least 2.
        n_cells: Number of cells in the first frame, uniform in the field (with an open border: their expected number).
        size: Field of view in pixels, (Y, X) or (Z, Y, X).
        motion: Standard deviation of a step along each axis.
        persistence: Correlation of a cell's step with its last one, at least 0 and below 1.
        drift: Step that all cells take in every frame, one number an axis; none by default.
        flow: Root mean square, along each axis, of the collective flow.
        flow_length: Wave length of the flow.
        steps: Measured steps to draw from, in place of `motion`: arrays (K, D) of which each frame takes one, and each
            cell a row. None for normal noise.
        step_places: Where these were measured, arrays (K, D): then each cell takes the step of the nearest place, in a
            copy that is shifted and mirrored at random and repeats itself, so that neighbours move alike.
        divide: Probability that a cell divides before the next frame.
        disappear: Probability that it dies.
        appear: Expected number of cells that turn up in the field in each frame.
        steady: Whether deaths are added (or new cells) so that the expected number of cells stays `n_cells`; not with
            border "gone". Without, it grows exponentially where more divide than die.
        separation: Distance at which two daughters start, either side of their mother in a random direction.
        apart: Cells push each other until none are nearer than this, as far as there is room; 0 for cells that do not
            know of each other. It changes displacements.
        border: "open": the field is a window onto a larger tissue, cells leave and come over its border, and who comes
            back is a new track. "gone": whoever leaves is gone, and none come. "closed": cells turn round at it.
        diameter: Mean equivalent diameter of a full-grown cell. A daughter starts with half of the volume.
        diameter_spread: Standard deviation of the logarithm of diameters.
        elongation: Longest axis of a cell over its shortest.
        jitter: Standard deviation, along each axis, of measured points around the true ones.
        voxel_size: Edge lengths of a voxel in micrometres, ((z,) y, x); None where that means nothing.
        interval: Seconds between frames, likewise.

    Raises:
        InputError: A number out of its range, or settings that exclude each other.

    >>> Conditions(n_cells=50, divide=0.1).expected_growth
    1.09
    >>> Conditions(persistence=1.5)
    Traceback (most recent call last):
    torchtrack_uq.errors.InputError: persistence is 1.5; expected a correlation of at least 0 and below 1
    """

    n_frames: int = 20
    n_cells: int = 100
    size: Sequence[float] = (400.0, 400.0)
    motion: float = 5.0
    persistence: float = 0.0
    drift: Sequence[float] = ()
    flow: float = 0.0
    flow_length: float = 150.0
    steps: Sequence[NDArray[np.float64]] | None = None
    step_places: Sequence[NDArray[np.float64]] | None = None
    divide: float = 0.02
    disappear: float = 0.01
    appear: float = 1.0
    steady: bool = False
    separation: float = 10.0
    apart: float = 0.0
    border: Border = "open"
    diameter: float = 12.0
    diameter_spread: float = 0.1
    elongation: float = 1.3
    jitter: float = 0.0
    voxel_size: tuple[float, ...] | None = None
    interval: float | None = None

    def __post_init__(self) -> None:
        if self.n_frames < 2 or self.n_cells < 1:
            raise InputError(
                f"got {self.n_frames} frames and {self.n_cells} cells; a movie needs at least 2 frames and a cell to "
                "begin with"
            )
        size = tuple(float(length) for length in self.size)
        if len(size) not in (2, 3) or not all(math.isfinite(length) and length > 0 for length in size):
            raise InputError(f"size must be two or three positive lengths in pixels, got {tuple(self.size)}")
        for name in (*_NOT_NEGATIVE, *_POSITIVE):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} must be a number of at least 0, got {value}")
            if name in _POSITIVE and not value > 0:
                raise InputError(f"{name} must be above 0, got {value}")
        if not (self.divide >= 0 and self.disappear >= 0 and self.divide + self.disappear <= 1):
            raise InputError(
                "divide and disappear must be probabilities that sum to at most 1, got "
                f"{self.divide} and {self.disappear}"
            )
        if not 0 <= self.persistence < 1:
            raise InputError(
                f"persistence is {self.persistence}; expected a correlation of at least 0 and below 1"
            )
        if self.elongation < 1:
            raise InputError(f"elongation is {self.elongation}; expected at least 1, a circle")
        if self.border not in ("open", "gone", "closed"):
            raise InputError(f"border is {self.border!r}; expected 'open', 'gone' or 'closed'")
        if self.steady and self.border == "gone":
            raise InputError(
                "a steady number of cells needs border='open' or 'closed': where whoever leaves is gone, none come"
            )
        self._check_steps()
        check_scale(self.voxel_size, self.interval, self.ndim)
        self._check_room()

    def _check_room(self) -> None:
        """Refuse what would fill the memory, however it was meant."""
        if not self.reservoir <= _LARGEST_RESERVOIR:
            raise InputError(
                f"cells move so far in a frame that a tissue of {self.reservoir:.2g} fields would have to be simulated "
                f"beyond an open border; expected at most {_LARGEST_RESERVOIR:g}: take a larger field or shorter steps "
                "(in Python also border='closed')"
            )
        if not self.most_cells * self.reservoir <= _MOST_CELLS:
            raise InputError(
                f"about {self.most_cells * self.reservoir:.2g} cells would live in one frame; expected at most "
                f"{_MOST_CELLS:.0e}: take fewer cells, frames or divisions, or a steady number"
            )
        for n, most, when in (
            (self.n_cells, _CROWDED, "to begin with"),
            (self.most_cells, _JAMMED, "in the fullest frame"),
        ):
            spacing = float(np.prod(self.field) / n) ** (1 / self.ndim)
            if self.apart > most * spacing:
                raise InputError(
                    f"{when} cells lie {spacing:.3g} from each other on average, and to stay {self.apart:.3g} apart "
                    "they have no room: take a larger field, fewer or smaller cells, or a smaller apart"
                )

    def _check_steps(self) -> None:
        if len(self.drift) not in (0, self.ndim) or not all(math.isfinite(step) for step in self.drift):
            raise InputError(
                f"drift is {tuple(self.drift)}; expected {self.ndim} finite numbers, one an axis"
            )
        if self.steps is None:
            if self.step_places is not None:
                raise InputError("step_places say where steps were measured; give the steps too")
            return
        if self.persistence:
            raise InputError(
                "measured steps are drawn anew in each frame and know no persistence; give one of the two"
            )
        if not len(self.steps) or any(
            step.ndim != 2 or step.shape[1] != self.ndim or not len(step) or not np.isfinite(step).all()
            for step in self.steps
        ):
            raise InputError(
                f"steps must be arrays (K, {self.ndim}) of finite numbers, at least one, none of them empty"
            )
        if self.step_places is not None and (
            [place.shape for place in self.step_places] != [step.shape for step in self.steps]
            or not all(np.isfinite(place).all() for place in self.step_places)
        ):
            raise InputError("step_places must be finite and of the same shapes as steps, one place a step")

    @property
    def ndim(self) -> int:
        """Number of dimensions, 2 or 3."""
        return len(self.size)

    @property
    def field(self) -> NDArray[np.float64]:
        """(D,) lengths of the field in pixels of x."""
        found: NDArray[np.float64] = np.asarray(self.size, dtype=np.float64) * self.aspect
        return found

    @property
    def aspect(self) -> NDArray[np.float64]:
        """(D,) edge lengths of a voxel in pixels of x."""
        return aspect(self.voxel_size, self.ndim)

    @property
    def expected_growth(self) -> float:
        """By which factor the number of cells grows from frame to frame, without those that turn up."""
        return 1.0 if self.steady else 1 + self.divide - self.disappear

    @property
    def expected_cells(self) -> float:
        """About how many detections the movie will have."""
        if self.steady:
            return float(self.n_cells * self.n_frames)
        total, now = 0.0, float(self.n_cells)
        for _ in range(self.n_frames):
            total, now = total + now, now * self.expected_growth + self.appear
        return total

    @property
    def most_cells(self) -> float:
        """About how many cells the fullest frame has."""
        if self.steady:
            return float(self.n_cells)
        growth, rest = self.expected_growth, self.n_frames - 1
        with np.errstate(over="ignore"):
            last = np.float64(growth) ** rest
        if np.isinf(last):  # and no newcomers would make it no number
            return math.inf
        added = rest if growth == 1 else (last - 1) / (growth - 1)
        return float(max(self.n_cells, self.n_cells * last + self.appear * added))

    @property
    def margin(self) -> float:
        """How far the tissue goes on beyond an open border, farther than most steps reach; 0 for other borders."""
        if self.border != "open":
            return 0.0
        step = self.motion * math.sqrt(self.ndim)
        if self.steps is not None:
            step = max(float(np.quantile(np.linalg.norm(pool, axis=1), 0.9)) for pool in self.steps)
        drift = float(np.linalg.norm(np.asarray(self.drift))) if len(self.drift) else 0.0
        return 3 * step + drift + 2 * self.flow + self.separation + 2 * self.apart

    @property
    def reservoir(self) -> float:
        """All cells that are simulated for each one in the field."""
        with np.errstate(over="ignore"):
            return float(np.prod(1 + 2 * self.margin / self.field))

    def to_plain(self) -> dict[str, object]:
        """Plain values by name, for a file; of measured steps, how many there are."""
        found = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in ("size", "drift", "voxel_size"):
            if found[name] is not None:
                found[name] = [float(value) for value in found[name]]
        found["steps"] = None if self.steps is None else sum(map(len, self.steps))
        del found["step_places"]
        return found
