"""Whether the bound on what nobody looked at holds, and how large it is, over many simulated reviews of a movie."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from torchtrack_uq.guarantees import Looks

REVIEWS = 200
CHECKS = 8
MOST_LOOKS = 300
DELTA = 0.05
Bools = NDArray[np.bool_]


def simulate(found: dict[str, Any], reviews: int = REVIEWS) -> dict[str, float]:
    """Reviews in which every other look is drawn and the others follow the queue, and plain random audits.

    A review counts as failed if the bound is broken at any of `CHECKS` times.
    """
    n = found["n"]
    wrong = np.zeros(n, np.bool_)
    wrong[found["wrong"]] = True
    doubt = 1 - np.clip(np.array(found["p"]), 0, 1)
    queue, size = np.array(found["queue"]), min(MOST_LOOKS, n // 3)
    rng = np.random.default_rng(0)
    failed, bounds, true, audits, fixed = 0, [], [], [], []
    for _ in range(reviews):
        cell, drawn = mixed_looks(queue, size, rng)
        failed += breaks(n, cell, drawn, wrong, doubt)
        looks = looks_at(n, cell, drawn, wrong, doubt)
        bounds.append(looks.share_left(DELTA))
        true.append((wrong.sum() - looks.wrong.sum()) / looks.n_left)
        audit = rng.permutation(n)[:size]
        every = np.ones(size, np.bool_)
        audits.append(looks_at(n, audit, every, wrong, doubt).share_left(DELTA))
        fixed.append(fixed_audit(n, size, int(wrong[audit].sum())))
    return {
        "looks": size,
        "held": 1 - failed / reviews,
        "bound": float(np.mean(bounds)),
        "wrong_left": float(np.mean(true)),
        "audit_bound": float(np.mean(audits)),
        "audit_bound_fixed": float(np.mean(fixed)),
        "wrong_after_audit": float(wrong.mean()),
    }


def mixed_looks(
    queue: NDArray[np.int64], size: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Bools]:
    """By turns the next of the queue that was not looked at, and one drawn evenly among all that were not."""
    unseen = np.ones(len(queue), np.bool_)
    cell, drawn, at = [], [], 0
    for look in range(size):
        if look % 2:
            while not unseen[queue[at]]:
                at += 1
            one = int(queue[at])
        else:
            one = int(rng.choice(np.flatnonzero(unseen)))
        cell.append(one)
        drawn.append(look % 2 == 0)
        unseen[one] = False
    return np.array(cell), np.array(drawn)


def breaks(n: int, cell: NDArray[np.int64], drawn: Bools, wrong: Bools, doubt: NDArray[np.float64]) -> bool:
    """Whether more is wrong among what was not looked at than the bound says, at any of the checks."""
    for k in np.linspace(1, len(cell), CHECKS).astype(int):
        looks = looks_at(n, cell[:k], drawn[:k], wrong, doubt)
        if looks.errors_left(DELTA) < wrong.sum() - looks.wrong.sum():
            return True
    return False


def looks_at(
    n: int, cell: NDArray[np.int64], drawn: Bools, wrong: Bools, doubt: NDArray[np.float64]
) -> Looks:
    """Looks with their verdicts."""
    return Looks(n, cell, drawn, wrong[cell], np.ones(len(cell), np.bool_), doubt)


def fixed_audit(n: int, size: int, found: int) -> float:
    """The exact bound on the rest after a random audit whose size was fixed beforehand; no stopping early."""
    few, many = found, n - size + found  # errors in all that are not refuted, and refuted
    while many - few > 1:
        middle = (few + many) // 2
        if hypergeom.cdf(found, n, middle, size) > DELTA:
            few = middle
        else:
            many = middle
    return (few - found) / (n - size)
