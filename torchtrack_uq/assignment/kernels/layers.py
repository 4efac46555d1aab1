"""One layer of a frontier graph whose states are too many to be ranked: they are found by hashing.

Each step of an elimination is given as rows of choices (see `_frontier`, which does the same for narrow
frontiers, where a table by the rank of a state finds it at once).
"""

import numpy as np

from torchtrack_uq.assignment.types import FloatArray, IntArray, SmallIntArray
from torchtrack_uq.utils.kernel import kernel

LOADS_PER_WORD = 31  # two bits each in a non-negative int64

# columns of the choices of a step
FACTOR = 0  # factor of the arcs
WORD = 1  # word of the state that holds the mother's load
SHIFT = 2  # bits by which that load is shifted
MOST = 3  # the choice is possible while the load is below it
CHANGE = 4  # what is added to the word
RANK = 5  # what is added to the state's rank
COST, WEIGHT = 0, 1  # and of their numbers


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
    choice: IntArray,
    choice_number: FloatArray,
    n_choices: int,
    n_here: int,
    first: int,
    n_arcs: int,
    bound: float,
    negligible: float,
    stamp: int,
    table: IntArray,
    mask: int,
    keys: IntArray,
    number: FloatArray,
    next_keys: IntArray,
    next_number: FloatArray,
    arc_start: SmallIntArray,
    arc_to: SmallIntArray,
    arc_factor: SmallIntArray,
) -> tuple[int, int, float]:
    """The next layer: (its number of states, arcs so far, mass left out).

    States are rows of `keys`, with their cost and mass in `number`. Entries of `table` are `stamp` + place
    in the next layer; smaller ones are of earlier layers. States of mass at most `negligible` are left out,
    unless that is 0.
    """
    n_next = 0
    lost = 0.0
    begin, end = 0, n_choices
    for v in range(n_here):
        arc_start[first + v] = n_arcs
        mass = number[v, WEIGHT]
        if negligible > 0.0 and mass <= negligible:
            lost += mass
            continue
        if retires:
            begin = (keys[v, choice[0, WORD]] >> choice[0, SHIFT]) & 3
            end = begin + 1
        for q in range(begin, end):
            word = choice[q, WORD]
            if (keys[v, word] >> choice[q, SHIFT]) & 3 >= choice[q, MOST]:
                continue
            reach = number[v, COST] + choice_number[q, COST]
            if reach > bound:
                continue
            for w in range(keys.shape[1]):
                next_keys[n_next, w] = keys[v, w]
            next_keys[n_next, word] += choice[q, CHANGE]
            to = find_or_add(table, stamp, mask, next_keys, n_next)
            if to == n_next:
                n_next += 1
                next_number[to, COST] = reach
                next_number[to, WEIGHT] = mass * choice_number[q, WEIGHT]
            else:
                next_number[to, COST] = min(next_number[to, COST], reach)
                next_number[to, WEIGHT] += mass * choice_number[q, WEIGHT]
            arc_to[n_arcs] = first + n_here + to
            arc_factor[n_arcs] = choice[q, FACTOR]
            n_arcs += 1
    return n_next, n_arcs, lost
