"""Redraws of two daughters at a time, given all others: a Markov chain whose distribution is the posterior.

Two cells that may have changed places cannot do so one after the other, or only over a state that is unlikely.
"""

import numpy as np

from torchtrack_uq.assignment.types import FloatArray, IntArray
from torchtrack_uq.utils.kernel import kernel


@kernel
def _ratio(load: FloatArray, i: int, n: int) -> float:
    """g(n + 1) / g(n) of a mother with n daughters, 0 with two."""
    return 0.0 if n >= 2 else float(load[i, n + 1] / load[i, n])


@kernel
def _weigh(
    start: IntArray,
    mother: IntArray,
    link: FloatArray,
    null: FloatArray,
    load: FloatArray,
    n_of: IntArray,
    j: int,
    weight: FloatArray,
) -> float:
    """Put the weight of each option of daughter j, null first, into `weight`; returns their sum."""
    total: float = null[j]
    weight[0] = total
    for e in range(start[j], start[j + 1]):
        one = link[e] * _ratio(load, mother[e], n_of[mother[e]])
        weight[e - start[j] + 1] = one
        total += one
    return total


@kernel
def _taken(weight: FloatArray, left: float) -> int:
    """The option at which weights sum to `left`."""
    taken = 0
    for a in range(weight.size):
        if weight[a] > 0.0:
            taken = a
            left -= weight[a]
            if left < 0.0:
                break
    return taken


@kernel
def redraw_pairs(
    start: IntArray,
    mother: IntArray,
    link: FloatArray,
    null: FloatArray,
    load: FloatArray,
    movable: IntArray,
    partner_start: IntArray,
    partner: IntArray,
    parent: IntArray,
    n_redraws: int,
    generator: np.random.Generator,
) -> None:
    """Go on with the chain from a feasible assignment, in place.

    A random daughter, one of her mothers and one of that mother's daughters, all by equal chances, are given mothers
    anew, by the weights of both together.

    Args:
        start: (N + 1,) options of daughter j are `start[j]` to `start[j + 1] - 1`.
        mother: (O,) mother of each option.
        link: (O,) its weight.
        null: (N,) weight of having no mother.
        load: (M, 3) weight g(n) of a mother having n daughters, all positive.
        movable: (K,) the daughters with options.
        partner_start: (M + 1,) daughters with the option of mother i are `partner_start[i]` and so on.
        partner: (O,) these daughters.
        parent: (N,) mother of each daughter, -1 for none; changed.
        n_redraws: how many pairs.
        generator: of the random numbers.
    """
    n_of = np.zeros(load.shape[0], np.int64)
    for j in range(parent.size):
        if parent[j] >= 0:
            n_of[parent[j]] += 1
    most = 0
    for j in movable:
        most = max(most, start[j + 1] - start[j] + 1)
    of_j, of_k = np.empty(most), np.empty(most)
    place = np.full(load.shape[0], -1, np.int64)  # of each mother among the options of k
    for _ in range(n_redraws):
        j = movable[int(generator.random() * movable.size)]
        i = mother[start[j] + int(generator.random() * (start[j + 1] - start[j]))]
        k = partner[partner_start[i] + int(generator.random() * (partner_start[i + 1] - partner_start[i]))]
        if parent[j] >= 0:
            n_of[parent[j]] -= 1
        if k != j and parent[k] >= 0:
            n_of[parent[k]] -= 1
        any_k = 1.0
        if k != j:
            any_k = _weigh(start, mother, link, null, load, n_of, k, of_k)
            for e in range(start[k], start[k + 1]):
                place[mother[e]] = e - start[k] + 1
        _weigh(start, mother, link, null, load, n_of, j, of_j)
        total = of_j[0] * any_k
        of_j[0] = total
        for a in range(1, start[j + 1] - start[j] + 1):
            m, rest = mother[start[j] + a - 1], any_k
            b = place[m] if k != j else -1
            if b >= 0:  # k shares that mother, who has one daughter more then
                if of_k[b] < 0.5 * any_k:
                    rest -= of_k[b]
                else:  # a difference would leave nothing but rounding
                    rest = of_k[:b].sum() + of_k[b + 1 : start[k + 1] - start[k] + 1].sum()
                rest += link[start[k] + b - 1] * _ratio(load, m, n_of[m] + 1)
            of_j[a] *= rest
            total += of_j[a]
        a = _taken(of_j[: start[j + 1] - start[j] + 1], generator.random() * total)
        parent[j] = mother[start[j] + a - 1] if a > 0 else -1
        if parent[j] >= 0:
            n_of[parent[j]] += 1
        if k != j:
            for e in range(start[k], start[k + 1]):
                place[mother[e]] = -1
            total = _weigh(start, mother, link, null, load, n_of, k, of_k)
            b = _taken(of_k[: start[k + 1] - start[k] + 1], generator.random() * total)
            parent[k] = mother[start[k] + b - 1] if b > 0 else -1
            if parent[k] >= 0:
                n_of[parent[k]] += 1
