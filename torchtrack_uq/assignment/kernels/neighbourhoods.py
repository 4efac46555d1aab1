"""Neighbourhoods of pairs of a daughter and a mother, each copied, as the components of one problem."""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment.types import BoolArray, FloatArray, IntArray
from torchtrack_uq.utils.kernel import kernel


class Copies(NamedTuple):
    """Neighbourhoods of Q pairs behind each other: A daughters, B mothers and L links.

    Attributes:
        daughter: (A,) int64, daughter of the problem that each one is a copy of.
        mother: (B,) int64, likewise.
        rim: (A,) bool, daughters outside of a neighbourhood with links to mothers inside.
        place: (L,) int64, place of the link that each one is a copy of.
        link_mother: (L,) int64, its mother among the B.
        link_daughter: (L,) int64, its daughter among the A, not decreasing.
        asked: (Q,) int64, the mother of each pair among the B.
        is_cut: (Q,) bool, whether a neighbourhood is less than its component.
    """

    daughter: IntArray
    mother: IntArray
    rim: BoolArray
    place: IntArray
    link_mother: IntArray
    link_daughter: IntArray
    asked: IntArray
    is_cut: BoolArray


@kernel
def grown(values: IntArray, n: int) -> IntArray:
    """The same with room for a value at n."""
    if n < values.size:
        return values
    larger = np.empty(2 * n + 16, np.int64)
    larger[: values.size] = values
    return larger


@kernel
def copy_neighbourhoods(
    start: IntArray,
    mother_of: IntArray,
    daughter_of: IntArray,
    mother_start: IntArray,
    by_mother: IntArray,
    matters: BoolArray,
    probability: FloatArray,
    daughter: IntArray,
    mother: IntArray,
    most: int,
) -> tuple[IntArray, IntArray, BoolArray, IntArray, IntArray, IntArray, IntArray, BoolArray]:
    """Collect the cells around each pair (j, i), nearest first by number of links, without j; see `Copies`.

    Only links that matter (F,) count. At most `most` daughters are inside; among equally near ones, those of likelier
    links come first.
    """
    n_daughters, n_mothers, n_pairs = start.size - 1, mother_start.size - 1, daughter.size
    daughters, mothers, rims = np.empty(16, np.int64), np.empty(16, np.int64), np.empty(16, np.int64)
    places, rows, columns = np.empty(16, np.int64), np.empty(16, np.int64), np.empty(16, np.int64)
    asked, is_cut = np.empty(n_pairs, np.int64), np.zeros(n_pairs, np.bool_)
    at_daughter, at_mother = np.full(n_daughters, -1, np.int64), np.full(n_mothers, -1, np.int64)
    a = b = n_links = 0
    for q in range(n_pairs):
        left_out, wanted = daughter[q], mother[q]
        first_a, first_b = a, b
        mothers = grown(mothers, b)
        mothers[b] = wanted
        at_mother[wanted] = asked[q] = b
        b += 1
        for e in range(start[left_out], start[left_out + 1]):
            i = mother_of[e]
            if matters[e] and at_mother[i] < 0:
                mothers = grown(mothers, b)
                mothers[b] = i
                at_mother[i] = b
                b += 1
        seen, n_inside = first_b, 1
        while seen < b and n_inside < most:
            # the next mother's daughters, the likeliest first, and then their mothers
            i = mothers[seen]
            seen += 1
            near = by_mother[mother_start[i] : mother_start[i + 1]]
            for e in near[np.argsort(-probability[near])]:
                k = daughter_of[e]
                if not matters[e] or k == left_out or at_daughter[k] >= 0:
                    continue
                if n_inside == most:
                    break
                daughters, rims = grown(daughters, a), grown(rims, a)
                daughters[a], rims[a] = k, 0
                at_daughter[k] = a
                a += 1
                n_inside += 1
                for f in range(start[k], start[k + 1]):
                    other = mother_of[f]
                    if matters[f] and at_mother[other] < 0:
                        mothers = grown(mothers, b)
                        mothers[b] = other
                        at_mother[other] = b
                        b += 1
        for row in range(first_b, b):
            i = mothers[row]
            for p in range(mother_start[i], mother_start[i + 1]):
                k = daughter_of[by_mother[p]]
                if matters[by_mother[p]] and k != left_out and at_daughter[k] < 0:
                    daughters, rims = grown(daughters, a), grown(rims, a)
                    daughters[a], rims[a] = k, 1
                    at_daughter[k] = a
                    a += 1
                    is_cut[q] = True
        for column in range(first_a, a):
            k = daughters[column]
            for e in range(start[k], start[k + 1]):
                if matters[e] and at_mother[mother_of[e]] >= 0:
                    places, rows, columns = (
                        grown(places, n_links),
                        grown(rows, n_links),
                        grown(columns, n_links),
                    )
                    places[n_links], rows[n_links], columns[n_links] = e, at_mother[mother_of[e]], column
                    n_links += 1
        for column in range(first_a, a):
            at_daughter[daughters[column]] = -1
        for row in range(first_b, b):
            at_mother[mothers[row]] = -1
    return (
        daughters[:a],
        mothers[:b],
        rims[:a] > 0,
        places[:n_links],
        rows[:n_links],
        columns[:n_links],
        asked,
        is_cut,
    )
