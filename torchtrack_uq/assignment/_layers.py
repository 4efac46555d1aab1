"""One layer of a frontier graph: the states after a step from those before it.

A state holds the loads of the mothers in the frontier, two bits each. Where few mothers are in the frontier
the state is also ranked among all conceivable ones (loads as digits to the base three), and a table by rank
finds equal states at once; elsewhere they are found by hashing.

A step is given as rows of choices. At a daughter each state takes every choice that its loads allow; a
retiring mother has one row per load, and each state takes that of its own.
"""

from typing import NamedTuple

import numpy as np

from torchtrack_uq.assignment._compile import kernel
from torchtrack_uq.assignment._types import FloatArray, IntArray

LOADS_PER_WORD = 31  # two bits each in a non-negative int64
RANKED_WIDTH = 10  # mothers in the frontier up to which states are ranked: 3^10 entries stay in fast cache


class Choices(NamedTuple):
    """The choices of a step; columns of equal length.

    Attributes:
        factor: factor of the arcs.
        word: word of the state that holds the mother's load.
        shift: bits by which that load is shifted.
        most: the choice is possible while the load is below it.
        bits: what is added to the word.
        rank: what is added to the state's rank.
        cost: cost of the factor.
        weight: weight of the factor.
    """

    factor: IntArray
    word: IntArray
    shift: IntArray
    most: IntArray
    bits: IntArray
    rank: IntArray
    cost: FloatArray
    weight: FloatArray


@kernel
def new_choices(size: int) -> Choices:
    """Room for `size` choices."""
    return Choices(
        np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64),
        np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64),
        np.empty(size), np.empty(size),
    )  # fmt: skip


@kernel
def put_choice(
    choices: Choices, row: int, factor: int, place: int, most: int, change: int, cost: float, weight: float
) -> None:
    """Write a choice that changes the load at `place` of the frontier by `change`."""
    shift = 2 * (place % LOADS_PER_WORD)
    choices.factor[row] = factor
    choices.word[row] = place // LOADS_PER_WORD
    choices.shift[row] = shift
    choices.most[row] = most
    choices.bits[row] = np.int64(change) * (np.int64(1) << shift)
    choices.rank[row] = change * 3**place if place < RANKED_WIDTH else 0
    choices.cost[row] = cost
    choices.weight[row] = weight


@kernel
def expand_ranked(
    retires: bool,
    choices: Choices,
    n_choices: int,
    n_here: int,
    first: int,
    layer: int,
    n_arcs: int,
    bound: float,
    negligible: float,
    stamp: int,
    table: IntArray,
    bits: IntArray,
    rank: IntArray,
    cost: FloatArray,
    mass: FloatArray,
    next_bits: IntArray,
    next_rank: IntArray,
    next_cost: FloatArray,
    next_mass: FloatArray,
    arc_start: IntArray,
    arc_to: IntArray,
    arc_factor: IntArray,
) -> tuple[int, int, float]:
    """The next layer of narrow frontiers: (its number of states, arcs so far, mass left out).

    Entries of `table` (by rank) are `stamp` + place in the next layer; smaller ones are of earlier layers.
    States of mass at most `negligible` are left out, unless that is 0.
    """
    n_next = 0
    lost = 0.0
    begin, end = 0, n_choices
    for v in range(n_here):
        arc_start[first + v] = n_arcs
        if negligible > 0.0 and mass[v] <= negligible:
            lost += mass[v]
            continue
        state = bits[v]
        if retires:
            begin = (state >> choices.shift[0]) & 3
            end = begin + 1
        for q in range(begin, end):
            if (state >> choices.shift[q]) & 3 >= choices.most[q]:
                continue
            reach = cost[v] + choices.cost[q]
            if reach > bound:
                continue
            place = rank[v] + choices.rank[q]
            to = table[place] - stamp
            if to < 0:
                to = n_next
                n_next += 1
                table[place] = stamp + to
                next_bits[to] = state + choices.bits[q]
                next_rank[to] = place
                next_cost[to] = reach
                next_mass[to] = mass[v] * choices.weight[q]
            else:
                next_cost[to] = min(next_cost[to], reach)
                next_mass[to] += mass[v] * choices.weight[q]
            arc_to[n_arcs] = layer + to
            arc_factor[n_arcs] = choices.factor[q]
            n_arcs += 1
    return n_next, n_arcs, lost


@kernel
def find_or_add(table: IntArray, stamp: int, mask: int, keys: IntArray, count: int) -> int:
    """Place in the layer of the state `keys[count]` by hashing; `count` itself if it is new.

    Only the first `mask` + 1 slots (a power of two) are used, so that small layers stay in the fastest
    cache.
    """
    h = np.int64(0)
    for w in range(keys.shape[1]):
        h = (h ^ keys[count, w]) * np.int64(-7046029254386353131)
        h ^= (h >> 29) & np.int64(0x7FFFFFFFF)
    slot = h & mask
    while table[slot] >= stamp:
        other = table[slot] - stamp
        same = True
        for w in range(keys.shape[1]):
            if keys[other, w] != keys[count, w]:
                same = False
                break
        if same:
            return int(other)
        slot = (slot + 1) & mask
    table[slot] = stamp + count
    return count


@kernel
def expand_hashed(
    retires: bool,
    choices: Choices,
    n_choices: int,
    n_here: int,
    first: int,
    layer: int,
    n_arcs: int,
    bound: float,
    negligible: float,
    stamp: int,
    table: IntArray,
    mask: int,
    keys: IntArray,
    cost: FloatArray,
    mass: FloatArray,
    next_keys: IntArray,
    next_cost: FloatArray,
    next_mass: FloatArray,
    arc_start: IntArray,
    arc_to: IntArray,
    arc_factor: IntArray,
) -> tuple[int, int, float]:
    """The next layer of wide frontiers, as `expand_ranked`; states are rows of `keys`."""
    n_next = 0
    lost = 0.0
    begin, end = 0, n_choices
    for v in range(n_here):
        arc_start[first + v] = n_arcs
        if negligible > 0.0 and mass[v] <= negligible:
            lost += mass[v]
            continue
        if retires:
            begin = (keys[v, choices.word[0]] >> choices.shift[0]) & 3
            end = begin + 1
        for q in range(begin, end):
            word = choices.word[q]
            if (keys[v, word] >> choices.shift[q]) & 3 >= choices.most[q]:
                continue
            reach = cost[v] + choices.cost[q]
            if reach > bound:
                continue
            for w in range(keys.shape[1]):
                next_keys[n_next, w] = keys[v, w]
            next_keys[n_next, word] += choices.bits[q]
            to = find_or_add(table, stamp, mask, next_keys, n_next)
            if to == n_next:
                n_next += 1
                next_cost[to] = reach
                next_mass[to] = mass[v] * choices.weight[q]
            else:
                next_cost[to] = min(next_cost[to], reach)
                next_mass[to] += mass[v] * choices.weight[q]
            arc_to[n_arcs] = layer + to
            arc_factor[n_arcs] = choices.factor[q]
            n_arcs += 1
    return n_next, n_arcs, lost
