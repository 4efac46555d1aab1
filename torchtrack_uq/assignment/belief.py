"""Loopy belief propagation for mothers of capacity two with event weights (a reference implementation).

Messages between a daughter j and a candidate mother i, in the gauge of `pruned` (w link, a null, g mother
weights):

    x_ij = w_ij / (a_j + sum over other mothers k of w_kj R_kj)               daughter to mother: odds of
    wanting it
    R_ij = (g1 + g2 e1) / (g0 + g1 e1 + g2 e2)                                mother to daughter: room for
    one more

with e1, e2 the elementary symmetric sums of the odds x of the mother's other daughters. Exact on trees
(Pearl 1988; for matchings Bayati, Shah & Sharma 2008); overconfident where cells may have changed places.
"""

import numpy as np

from torchtrack_uq.assignment.types import FloatArray, IntArray
from torchtrack_uq.utils.kernel import kernel

SMALLEST = 1e-120


@kernel
def propagate(
    start: IntArray,
    mother: IntArray,
    mother_start: IntArray,
    by_mother: IntArray,
    link: FloatArray,
    null: FloatArray,
    load: FloatArray,
    sweeps: int,
    damping: float,
    tolerance: float,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, float]:
    """Sweep until no probability moves by more than `tolerance`.

    Returns:
        Probabilities of links (F,), null (N,), no daughter (M,), two daughters (M,), and the last largest
        change.
    """
    n_daughters = start.size - 1
    n_mothers = mother_start.size - 1
    odds = np.zeros(link.size)
    room = np.ones(link.size)
    before1 = np.empty(link.size + 1)
    before2 = np.empty(link.size + 1)
    p_link = np.zeros(link.size)
    p_null = np.ones(n_daughters)
    p_none = np.zeros(n_mothers)
    p_two = np.zeros(n_mothers)
    change = np.inf
    for sweep in range(sweeps):
        change = 0.0
        for j in range(n_daughters):
            total = null[j]
            for e in range(start[j], start[j + 1]):
                before1[e] = total
                total += link[e] * room[e]
            behind = 0.0
            for e in range(start[j + 1] - 1, start[j] - 1, -1):
                odds[e] = link[e] / max(before1[e] + behind, SMALLEST)
                behind += link[e] * room[e]
                p = link[e] * room[e] / max(total, SMALLEST)
                change = max(change, abs(p - p_link[e]))
                p_link[e] = p
            p_null[j] = null[j] / max(total, SMALLEST)
        for i in range(n_mothers):
            g0, g1, g2 = load[i, 0], load[i, 1], load[i, 2]
            first, last = mother_start[i], mother_start[i + 1]
            e1, e2 = 0.0, 0.0
            for place in range(first, last):
                before1[place] = e1
                before2[place] = e2
                x = odds[by_mother[place]]
                e2 += e1 * x
                e1 += x
            none = g0 / (g0 + g1 * e1 + g2 * e2)
            two = g2 * e2 / (g0 + g1 * e1 + g2 * e2)
            change = max(change, abs(none - p_none[i]), abs(two - p_two[i]))
            p_none[i] = none
            p_two[i] = two
            after1, after2 = 0.0, 0.0
            for place in range(last - 1, first - 1, -1):
                e = by_mother[place]
                o1 = before1[place] + after1
                o2 = before2[place] + after2 + before1[place] * after1
                new = (g1 + g2 * o1) / max(g0 + g1 * o1 + g2 * o2, SMALLEST)
                room[e] = new if sweep == 0 else damping * room[e] + (1.0 - damping) * new
                after2 += after1 * odds[e]
                after1 += odds[e]
        if change <= tolerance and sweep > 0:
            break
    return p_link, p_null, p_none, p_two, change
