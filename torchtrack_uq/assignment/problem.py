"""The problem of one frame pair: candidate links and event scores, validated once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from torchtrack_uq.assignment.kernels.links import GroupedLinks, group_links, sort_links
from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray

LARGEST_SCORE = 1e9  # beyond it float64 sums of scores lose the differences that matter


@dataclass(frozen=True, eq=False)
class AssignmentProblem:
    r"""Candidate links between the mothers of one frame and the daughters of the next, with their scores.

    The log-weight of a feasible assignment A (every daughter has at most one mother, every mother at most
    two daughters) is

        L(A) = sum of score over the links in A + sum of appear over daughters without mother
             + sum of disappear over mothers without daughter + sum of divide over mothers with two daughters.

    All scores are log-weights (natural logarithm, no unit): higher is likelier, -inf forbids. A link that
    is not listed is forbidden too. The arrays are copied and made read-only.

    Args:
        mother: (E,) int64, mother of each candidate link, 0 <= mother < M.
        daughter: (E,) int64, daughter of each candidate link, 0 <= daughter < N.
        score: (E,) float64, log-weight of each link.
        appear: (N,) float64, log-weight of each daughter having no mother.
        disappear: (M,) float64, log-weight of each mother having no daughter.
        divide: (M,) float64, log-weight added when a mother has two daughters.

    Raises:
        TypeError: indices that are not integers.
        ValueError: lengths that differ, indices out of range, duplicate links, NaN, +inf, or finite scores
            beyond 1e9 in size.

    Example:
        >>> problem = AssignmentProblem.build([0, 1, 1], [0, 0, 1], [-0.1, -2, -0.3], 2, 2)
        >>> problem.n_mothers, problem.n_daughters, problem.n_links
        (2, 2, 3)
    """

    mother: IntArray
    daughter: IntArray
    score: FloatArray
    appear: FloatArray
    disappear: FloatArray
    divide: FloatArray

    def __post_init__(self) -> None:
        for name in ("mother", "daughter"):
            _freeze(self, name, _as_indices(name, getattr(self, name)))
        for name in ("score", "appear", "disappear", "divide"):
            _freeze(self, name, _as_scores(name, getattr(self, name)))
        _check_same_length("mother", self.mother, "daughter", self.daughter)
        _check_same_length("mother", self.mother, "score", self.score)
        _check_same_length("disappear", self.disappear, "divide", self.divide)
        _check_range("mother", self.mother, self.n_mothers, "mothers")
        _check_range("daughter", self.daughter, self.n_daughters, "daughters")
        if not self._is_sorted:
            _check_no_duplicates(self.mother, self.daughter, self._link_order)

    @classmethod
    def build(
        cls,
        mother: ArrayLike,
        daughter: ArrayLike,
        score: ArrayLike,
        n_mothers: int,
        n_daughters: int,
        appear: ArrayLike = 0.0,
        disappear: ArrayLike = 0.0,
        divide: ArrayLike = 0.0,
    ) -> "AssignmentProblem":
        """Build a problem from anything numpy reads; event scores may be scalars.

        Args:
            mother: (E,) mother of each candidate link.
            daughter: (E,) daughter of each candidate link.
            score: (E,) log-weight of each link, or one scalar for all.
            n_mothers: number of mothers M.
            n_daughters: number of daughters N.
            appear: scalar or (N,) log-weight of a daughter without mother.
            disappear: scalar or (M,) log-weight of a mother without daughter.
            divide: scalar or (M,) log-weight added for a mother with two daughters.

        Raises:
            TypeError: indices that are not integers.
            ValueError: as for the class, and event scores that do not broadcast to N or M.

        Example:
            >>> AssignmentProblem.build([0], [0], [1.0], n_mothers=1, n_daughters=2, appear=-5).appear
            array([-5., -5.])
        """
        if n_mothers < 0 or n_daughters < 0:
            raise ValueError(
                f"n_mothers and n_daughters must be at least 0, got n_mothers={n_mothers} and "
                f"n_daughters={n_daughters}."
            )
        links = _as_indices("mother", mother)
        return cls(
            links,
            _as_indices("daughter", daughter),
            _broadcast("score", score, links.size),
            _broadcast("appear", appear, n_daughters),
            _broadcast("disappear", disappear, n_mothers),
            _broadcast("divide", divide, n_mothers),
        )

    @property
    def n_links(self) -> int:
        """Number of candidate links E."""
        return self.mother.size

    @property
    def n_mothers(self) -> int:
        """Number of mothers M."""
        return self.disappear.size

    @property
    def n_daughters(self) -> int:
        """Number of daughters N."""
        return self.appear.size

    @property
    def is_convex(self) -> bool:
        """Whether no mother's second daughter is cheaper than its first, see `non_convex_mothers`."""
        return not bool(self.non_convex_mothers.any())

    @cached_property
    def non_convex_mothers(self) -> BoolArray:
        """(M,) bool, mothers with disappear + divide > 0: one daughter is their least likely number.

        Only mothers that can divide count: what a division would score does not matter to those with fewer than two
        candidate daughters.
        """
        cheaper = self.disappear + self.divide > 0.0
        return cheaper & self._can_divide if cheaper.any() else cheaper

    @cached_property
    def possible_divide(self) -> FloatArray:
        """(M,) divide, lowered to -disappear at mothers that cannot divide, where it must not matter to solvers."""
        cheaper = self.disappear + self.divide > 0.0
        return np.where(cheaper & ~self.non_convex_mothers, -self.disappear, self.divide)

    @cached_property
    def _can_divide(self) -> BoolArray:
        """(M,) bool, mothers with two candidate daughters at least."""
        return np.diff(self.links.mother_start) >= 2

    @cached_property
    def _is_sorted(self) -> bool:
        """Whether links come by daughter and then by mother, none of them twice."""
        place = self.daughter * self.n_mothers + self.mother
        return bool((place[1:] > place[:-1]).all())

    @cached_property
    def _link_order(self) -> IntArray:
        if self._is_sorted:
            return np.arange(self.n_links, dtype=np.int64)
        return sort_links(self.mother, self.daughter, self.n_mothers, self.n_daughters)[1]

    @cached_property
    def links(self) -> GroupedLinks:
        """The finite links grouped by daughter and by mother; built on first use."""
        return group_links(
            self.mother, self.daughter, self.score, self._link_order, self.n_mothers, self.n_daughters
        )


def _freeze(problem: AssignmentProblem, name: str, values: FloatArray | IntArray) -> None:
    values.setflags(write=False)
    object.__setattr__(problem, name, values)


def _as_indices(name: str, values: ArrayLike) -> IntArray:
    array = np.asarray(values)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}; convert it to int64.")
    if array.ndim != 1:
        raise ValueError(f"{name} must have one dimension, one entry per link, got shape {array.shape}.")
    return np.array(array, dtype=np.int64)


def _as_scores(name: str, values: ArrayLike) -> FloatArray:
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {array.shape}; `build` takes scalars.")
    allowed = (np.abs(array) <= LARGEST_SCORE) | (array == -np.inf)
    if not allowed.all():
        row = int(np.argmin(allowed))
        raise ValueError(
            f"{name} must be finite (at most {LARGEST_SCORE:g} in size) or -inf to forbid, got {array[row]} "
            f"at index {row}."
        )
    return array


def _broadcast(name: str, values: ArrayLike, length: int) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim > 0 and array.shape != (length,):
        raise ValueError(f"{name} must be a scalar or have shape ({length},), got shape {array.shape}.")
    return np.broadcast_to(array, (length,))


def _check_same_length(name: str, values: np.ndarray, other_name: str, other: np.ndarray) -> None:
    if values.size != other.size:
        raise ValueError(
            f"{name} and {other_name} must have the same length, got {values.size} and {other.size}."
        )


def _check_range(name: str, index: IntArray, count: int, what: str) -> None:
    if index.size and (index.min() < 0 or index.max() >= count):
        row = int(np.argmax((index < 0) | (index >= count)))
        raise ValueError(
            f"{name} must lie in 0 .. {count - 1} as there are {count} {what}, got {index[row]} at link "
            f"{row}."
        )


def _check_no_duplicates(mother: IntArray, daughter: IntArray, order: IntArray) -> None:
    m, d = mother[order], daughter[order]
    repeated = np.flatnonzero((m[1:] == m[:-1]) & (d[1:] == d[:-1]))
    if repeated.size:
        row = order[repeated[0] + 1]
        raise ValueError(
            f"every (mother, daughter) pair may be listed once, got mother {mother[row]} and daughter "
            f"{daughter[row]} at link {row} again; keep the link with the higher score."
        )
