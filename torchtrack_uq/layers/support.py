"""The K best assignments of every frame pair of a movie, found once and re-weighted at any temperature."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.assignment import AssignmentProblem, KBest
from torchtrack_uq.candidates import CandidateGraph

_Int = NDArray[np.int64]
_LINK, _APPEAR, _DISAPPEAR, _DIVIDE = range(4)  # kinds of choices


@dataclass(frozen=True, eq=False)
class Support:
    """Listed assignments of all P frame pairs as differences to the MAP; R assignments, D differences.

    Indices count choices (see `functional.assignments`). The list does not depend on the temperature, since
    that changes no order.

    Attributes:
        base: (C,) bool, choices of the MAP assignments.
        row: (D,) int64, listed assignment of each difference.
        changed: (D,) int64, choice that differs.
        sign: (D,) float64, +1 for a choice that it makes and the MAP does not, -1 the other way.
        pair_of_row: (R,) int64, frame pair of each listed assignment; within a pair the likeliest first.
        complete: (P,) bool, whether a pair's list holds all of its feasible assignments.
        price: (N,) float64, price of a place at each mother, for the bound on log Z.
        map_weight: (P,) float64, log-weight of each MAP assignment, in the same units.
    """

    base: Tensor
    row: Tensor
    changed: Tensor
    sign: Tensor
    pair_of_row: Tensor
    complete: Tensor
    price: Tensor
    map_weight: Tensor

    def to(self, device: torch.device) -> "Support":
        """The same support on another device."""
        return Support(**{item.name: getattr(self, item.name).to(device) for item in fields(self)})

    @classmethod
    def of(
        cls, graph: CandidateGraph, problems: Sequence[AssignmentProblem], best: Sequence[KBest]
    ) -> "Support":
        """Translate the solver's lists to choices of the whole movie.

        Args:
            graph: The movie, on any device.
            problems: Its frame pairs.
            best: The K best assignments of each.
        """
        cell, link = graph.cell_offsets.numpy(), graph.link_offsets.numpy()
        n_links, n_cells = graph.n_links, graph.n_cells
        base = np.zeros(n_links + 3 * n_cells, bool)
        price = np.zeros(n_cells)
        rows, changes, signs = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
        n_rows = np.zeros(len(best), np.int64)
        for p, (problem, listed) in enumerate(zip(problems, best, strict=True)):
            first = _First(n_links, n_cells, int(link[p + 1]), int(cell[p]), int(cell[p + 1]))
            base[first.choices(_parent_choices(problem, listed.map.parent))] = True
            row, changed, sign = _differences(problem, listed)
            rows.append(row + n_rows.sum())
            changes.append(first.choices(changed))
            signs.append(sign)
            n_rows[p] = listed.n_assignments
            price[cell[p] : cell[p + 1]] = listed.map.mother_price
        return cls(
            base=torch.from_numpy(base),
            row=torch.from_numpy(np.concatenate(rows)),
            changed=torch.from_numpy(np.concatenate(changes)),
            sign=torch.from_numpy(np.concatenate(signs)),
            pair_of_row=torch.from_numpy(np.repeat(np.arange(len(best)), n_rows)),
            complete=torch.tensor([listed.is_complete for listed in best], dtype=torch.bool),
            price=torch.from_numpy(price),
            map_weight=torch.tensor([listed.map.log_weight for listed in best], dtype=torch.float64),
        )


@dataclass(frozen=True)
class _First:
    """Where a frame pair's links and cells lie in the movie's vector of choices."""

    n_links: int
    n_cells: int
    link: int
    mother: int
    daughter: int

    def choices(self, local: tuple[_Int, _Int]) -> _Int:
        kind, index = local
        start = np.array(
            [
                self.link,
                self.n_links + self.daughter,
                self.n_links + self.n_cells + self.mother,
                self.n_links + 2 * self.n_cells + self.mother,
            ]
        )
        return start[kind] + index


def _options(problem: AssignmentProblem, daughter: _Int, parent: _Int) -> tuple[_Int, _Int]:
    """The choice that a daughter makes with each parent: a link, or to appear."""
    if not len(daughter):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    width = problem.n_mothers + 1
    key = problem.daughter * width + problem.mother  # ascending, since a graph's links are sorted
    link = np.searchsorted(key, daughter * width + parent)
    is_null = parent < 0
    return np.where(is_null, _APPEAR, _LINK), np.where(is_null, daughter, link)


def _parent_choices(problem: AssignmentProblem, parent: _Int) -> tuple[_Int, _Int]:
    kind, index = _options(problem, np.arange(problem.n_daughters), parent)
    load = np.bincount(parent[parent >= 0], minlength=problem.n_mothers)
    none, two = np.flatnonzero(load == 0), np.flatnonzero(load == 2)
    events = np.repeat([_DISAPPEAR, _DIVIDE], [len(none), len(two)])
    return np.concatenate([kind, events]), np.concatenate([index, none, two])


def _differences(
    problem: AssignmentProblem, listed: KBest
) -> tuple[_Int, tuple[_Int, _Int], NDArray[np.float64]]:
    """Row, choice and sign of everything in which the listed assignments differ from the MAP."""
    row = np.repeat(np.arange(listed.n_assignments), np.diff(listed.change_start))
    daughter, new = listed.changed_daughter, listed.changed_parent
    old = listed.map.parent[daughter]
    differs = new != old
    row, daughter, new, old = row[differs], daughter[differs], new[differs], old[differs]
    # loads of the mothers that gain or lose a daughter
    touched = np.concatenate([new, old])
    gain = np.repeat([1, -1], len(new))
    real = touched >= 0
    key, where = np.unique((np.tile(row, 2) * problem.n_mothers + touched)[real], return_inverse=True)
    change = np.bincount(where, weights=gain[real], minlength=len(key)).astype(np.int64)
    event_row, mother = np.divmod(key, max(problem.n_mothers, 1))
    map_load = np.bincount(listed.map.parent[listed.map.parent >= 0], minlength=problem.n_mothers)
    before = map_load[mother]
    after = before + change
    out: list[tuple[_Int, _Int, _Int, float]] = []
    for parents, sign in ((new, 1.0), (old, -1.0)):
        kind, index = _options(problem, daughter, parents)
        out.append((row, kind, index, sign))
    for load, other, sign in ((after, before, 1.0), (before, after, -1.0)):
        for count, kind_of in ((0, _DISAPPEAR), (2, _DIVIDE)):
            at = np.flatnonzero((load == count) & (other != count))
            out.append((event_row[at], np.full(len(at), kind_of), mother[at], sign))
    rows, kinds, indices, signs = zip(*out, strict=True)
    sign = np.repeat(np.array(signs), [len(part) for part in rows])
    return np.concatenate(rows), (np.concatenate(kinds), np.concatenate(indices)), sign
