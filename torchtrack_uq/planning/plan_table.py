"""Trackability before the experiment: wrong links and doubts against frame interval and density."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from torchtrack_uq.errors import InputError
from torchtrack_uq.planning.culture import Culture, MeasuredSteps
from torchtrack_uq.planning.outcome import MEASURES, predict
from torchtrack_uq.utils.progress import with_progress

_LAGS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
_NEAR, _FAR = 0.03, 0.6  # root mean square steps, in mean distances between cells, that are worth a look
_CERTAIN = 1.645  # standard errors: with 95 % confidence
_COLUMNS = ("interval", "density", "n", *(f"{name}{end}" for name in MEASURES for end in ("", "_se")))


@dataclass(frozen=True, eq=False)
class Plan:
    """What simulated movies say.

    Attributes:
        table: A row for each interval and density, by density and then interval: `interval`, `density`, `n` (links
            judged), and as shares of these `wrong`, `doubtful` (below 90 %) and `expected` (wrong ones that the
            probabilities expect), each with its standard error `_se`.
        aim: Share of wrong links to stay below.
        time_unit: Of intervals.
        length_unit: Densities are cells a square of 100 of these, or a cube in 3D.
        ndim: Dimensions.
    """

    table: pd.DataFrame
    aim: float
    time_unit: str = "min"
    length_unit: str = "µm"
    ndim: int = 2

    def longest(self, density: float) -> float | None:
        """The longest interval up to which all that were tried keep the aim; None where the shortest does not.

        An interval keeps it if the share of wrong links plus 1.6 standard errors is not above.

        Args:
            density: One of the table's.

        Raises:
            InputError: It is none of these.
        """
        rows = self._rows(density)
        keeps = (rows["wrong"] + _CERTAIN * rows["wrong_se"] <= self.aim).to_numpy()
        n = len(keeps) if keeps.all() else int(np.argmin(keeps))
        return float(rows["interval"].iloc[n - 1]) if n else None

    def sentence(self, density: float) -> str:
        """What to do at a density, in plain words."""
        rows, longest = self._rows(density), self.longest(density)
        here = f"At {density:.4g} cells per {self.per}"
        aim = f"{100 * self.aim:g} %"
        first, last = rows.iloc[0], rows.iloc[-1]
        if longest is None and self._unclear(first):
            return (
                f"{here}, every {first['interval']:g} {self.time_unit} ({_said(first)} wrong links) cannot be told "
                f"apart from {aim}, so no interval is promised: simulate more cells (--cells) or movies (--repeats), "
                "which makes the error smaller, or try shorter intervals (--every)."
            )
        if longest is None:
            return (
                f"{here}, none of the intervals in the range ({first['interval']:g} to {last['interval']:g} "
                f"{self.time_unit}) keeps wrong links within {aim}: the shortest has {_said(first)}."
            )
        kept = rows[rows["interval"] == longest].iloc[0]
        said = (
            f"{here}, image every {longest:g} {self.time_unit} for at most {aim} wrong links ({_said(kept)})"
        )
        longer = rows[rows["interval"] > longest]
        if not len(longer):
            return f"{said}; that is the longest interval tried, and nothing is known of longer ones."
        then = longer.iloc[0]
        unclear = (
            f", which cannot be told apart from {aim} without more cells (--cells) or movies (--repeats)"
            if self._unclear(then)
            else ""
        )
        return f"{said}; the next interval tried, {then['interval']:g} {self.time_unit}, has {_said(then)}{unclear}."

    def _unclear(self, row: pd.Series) -> bool:
        """Whether an interval that does not keep the aim may keep it: the error of the simulation decides."""
        return bool(row["wrong"] - _CERTAIN * row["wrong_se"] <= self.aim)

    @property
    def per(self) -> str:
        """What densities are counted in."""
        return f"(100 {self.length_unit}){'²' if self.ndim == 2 else '³'}"

    @property
    def densities(self) -> list[float]:
        """Those of the table, ascending."""
        return [float(value) for value in np.unique(self.table["density"])]

    def text(self) -> str:
        """The table for people."""
        lines = [
            f"{'every':>12} {'cells per':>12} {'wrong links':>18} {'below 90 %':>12} {'expected wrong':>16}"
        ]
        lines.append(f"{self.time_unit:>12} {self.per:>12}")
        for row in self.table.to_dict("records"):
            lines.append(
                f"{row['interval']:>12g} {row['density']:>12.4g} {row['wrong']:>9.2%} ± {row['wrong_se']:<6.2%} "
                f"{row['doubtful']:>12.1%} {row['expected']:>16.2%}"
            )
        return "\n".join(lines)

    def _rows(self, density: float) -> pd.DataFrame:
        rows = self.table[np.isclose(self.table["density"], density, rtol=1e-9)]
        if not len(rows):
            raise InputError(
                f"the plan has no density {density:g}; expected one of {', '.join(f'{d:g}' for d in self.densities)}"
            )
        return rows.sort_values("interval")


def _said(row: pd.Series) -> str:
    return f"{row['wrong']:.2%} ± {row['wrong_se']:.2%}"


def make_plan(
    culture: Culture,
    intervals: Sequence[float] | None = None,
    densities: Sequence[float] | None = None,
    *,
    aim: float = 0.01,
    n_cells: int = 200,
    n_frames: int = 10,
    repeats: int = 4,
    seed: int = 0,
    time_unit: str = "min",
    length_unit: str = "µm",
    progress: bool = True,
) -> Plan:
    """Simulate and track movies for each interval and density, see `predict`.

    Args:
        culture: The cells.
        intervals: Times between frames; by default those at which cells move a fair share of the distance between them,
            or for a pilot multiples of its own.
        densities: Cells in a square (cube) of 100 units of length; by default the culture's.
        aim: Share of wrong links to stay below.
        n_cells: In a simulated frame.
        n_frames: Of a simulated movie.
        repeats: Movies for each interval and density.
        seed: The same seed makes the same plan.
        time_unit: What intervals are called.
        length_unit: What lengths are called.
        progress: Show a progress bar.

    Raises:
        InputError: An aim that is no share, or anything that cannot be simulated, before work starts.

    >>> from torchtrack_uq.planning.culture import Walk
    >>> plan = make_plan(
    ...     Culture(0.002, Walk(0.5, 10.0)), [1, 2], [20], n_cells=40, n_frames=4, repeats=2, progress=False
    ... )
    >>> plan.densities
    [20.0]
    >>> plan.table[["interval", "density", "n"]].values.tolist()
    [[1.0, 20.0, ...], [2.0, 20.0, ...]]
    """
    if not 0 < aim < 1:
        raise InputError(f"aim is {aim}; expected a share of wrong links above 0 and below 1, such as 0.01")
    unit = 100.0**culture.ndim
    wanted = [culture.density * unit] if densities is None else sorted({float(d) for d in densities})
    if not wanted:
        raise InputError("no density is given; expected at least one")
    if (wrong := next((d for d in wanted if not (math.isfinite(d) and d > 0)), None)) is not None:
        raise InputError(f"density is {wrong:g}; expected a positive number of cells")
    if seed < 0:
        raise InputError(f"seed is {seed}; expected a whole number of at least 0")
    cultures = [culture.at_density(density / unit) for density in wanted]
    times = default_intervals(cultures[-1]) if intervals is None else sorted({float(t) for t in intervals})
    if not times:
        raise InputError("no interval is given; expected at least one")
    grid = list(product(zip(wanted, cultures, strict=True), times))
    for (density, one), interval in grid:
        try:
            one.conditions(interval, n_cells, n_frames)
        except InputError as error:
            raise InputError(
                f"an interval of {interval:g} {time_unit} at density {density:.4g} cannot be simulated: {error}"
            ) from error
    rows = []
    for (density, one), interval in with_progress(grid, "Simulating and tracking", show=progress):
        found = predict(one, interval, n_cells=n_cells, n_frames=n_frames, repeats=repeats, seed=seed)
        shares = (found.wrong, found.doubtful, found.expected)
        with_errors = [value for pair in zip(shares, found.errors, strict=True) for value in pair]
        rows.append((interval, density, found.n, *with_errors))
    return Plan(pd.DataFrame(rows, columns=list(_COLUMNS)), aim, time_unit, length_unit, culture.ndim)


def default_intervals(culture: Culture) -> list[float]:
    """Intervals worth a look: round numbers at which cells move .03 to .6 of the distance between them.

    They are from 0.001 to 50,000 in the unit of time, which nobody's minutes go beyond.

    Raises:
        InputError: There are none, as for cells that do not move, or of numbers in other units than was thought.
    """
    if isinstance(culture.motion, MeasuredSteps):
        candidates = [lag * culture.motion.interval for lag in _LAGS if lag in culture.motion.by_lag]
    else:
        spacing = culture.density ** (-1 / culture.ndim)
        round_ones = [m * 10.0**e for e in range(-3, 5) for m in (1.0, 2.0, 5.0)]
        steps = [
            culture.motion.step(t, culture.ndim)[0] * np.sqrt(culture.ndim) / spacing for t in round_ones
        ]
        candidates = [t for t, step in zip(round_ones, steps, strict=True) if _NEAR <= step <= _FAR]
    possible = [t for t in candidates if culture.can_be_simulated(t)]
    if not possible:
        raise InputError(
            "no interval between frames suggests itself for cells that move and divide like these; look whether all "
            "numbers are in the units that are expected, or say which to try (--every)"
        )
    return possible
