"""An order in which to eliminate the cells of a component, so that few states are possible at any time.

The order is greedy: next comes the daughter after which the fewest states are possible. Several first daughters are
tried, the more the longer the elimination takes. Components of a movie run along time, where greed leaves daughters
behind that keep their mothers in the frontier for ever after, so there it is also tried with a *window*: of the
daughters near the frontier only those that follow the earliest of them closely.
"""

import numpy as np

from torchtrack_uq.assignment.types import IntArray
from torchtrack_uq.utils.kernel import kernel

TRIAL_COST = 25.0  # time to order a daughter, in arcs of the elimination
MOST_TRIALS = 24
WINDOWS = np.array([2, 8, 32])  # daughters that greed may look ahead along time
WORTH_WINDOWS = 4.0  # orderings of which the time makes an elimination long enough to try windows
LOST = 1e30  # arcs, from which on a component is out of reach in any order: the rest of it is not looked at
MOST_MEMBERS = 200  # daughters up to which several orders are tried; larger components take too long anyway


@kernel
def order_greedily(
    seed: int,
    daughter_start: IntArray,
    mother_of: IntArray,
    mother_start: IntArray,
    daughter_of: IntArray,
    treated: IntArray,
    state: IntArray,
    near: IntArray,
    steps: IntArray,
    rank: IntArray,
    window: int,
    most: float,
) -> float:
    """Order one component, beginning with daughter `seed`, into `steps`; returns the arcs expected at most.

    Next comes the best of the daughters near the frontier whose `rank` (N,) lies at most `window` above the lowest.
    Gives up once more than `most` arcs are expected. `treated` (per mother) and `state` (per daughter: 0 far, 1 near
    the frontier, 2 treated) are all 0 before and after.
    """
    n_steps = 0
    n_near = 1
    near[0] = seed
    state[seed] = 1
    states = 1.0
    arcs = 0.0
    while n_near > 0:
        best = n_near - 1
        best_growth = np.inf
        last = rank[near[0]]
        n_looked_at = n_near if arcs < LOST else 0
        for s in range(1, n_looked_at):
            last = min(last, rank[near[s]])
        last += window
        for s in range(n_looked_at):
            j = near[s]
            if rank[j] > last:
                continue
            growth = 1.0
            for q in range(daughter_start[j], daughter_start[j + 1]):
                i = mother_of[q]
                t = treated[i]
                if t + 1 == mother_start[i + 1] - mother_start[i]:  # its last: the mother can retire
                    growth /= min(t, 2) + 1.0
                elif t < 2:
                    growth *= (t + 2.0) / (t + 1.0)
            if growth < best_growth or (growth == best_growth and j < near[best]):
                best = s
                best_growth = growth
        j = near[best]
        n_near -= 1
        near[best] = near[n_near]
        state[j] = 2
        steps[n_steps] = j
        n_steps += 1
        arcs += states * (1.0 + daughter_start[j + 1] - daughter_start[j])
        if arcs > most:
            break
        for q in range(daughter_start[j], daughter_start[j + 1]):
            i = mother_of[q]
            treated[i] += 1
            if treated[i] < 3:
                states *= (treated[i] + 1.0) / treated[i]
            if treated[i] > 1:
                continue
            for p in range(mother_start[i], mother_start[i + 1]):
                other = daughter_of[p]
                if state[other] == 0:
                    state[other] = 1
                    near[n_near] = other
                    n_near += 1
        for q in range(daughter_start[j], daughter_start[j + 1]):
            i = mother_of[q]
            if treated[i] == mother_start[i + 1] - mother_start[i]:
                steps[n_steps] = -1 - i
                n_steps += 1
                arcs += states
                states /= min(treated[i], 2) + 1.0
    for s in range(n_near):
        state[near[s]] = 0
    for s in range(n_steps):
        j = steps[s]
        if j >= 0:
            state[j] = 0
            for q in range(daughter_start[j], daughter_start[j + 1]):
                treated[mother_of[q]] = 0
    return float(arcs)


@kernel
def order_component(
    member: IntArray,
    daughter_start: IntArray,
    mother_of: IntArray,
    mother_start: IntArray,
    daughter_of: IntArray,
    treated: IntArray,
    state: IntArray,
    near: IntArray,
    steps: IntArray,
    trial: IntArray,
    rank: IntArray,
    most: float,
    hopeless: float,
) -> float:
    """The best of several orders of one component, into `steps`; more than `most` arcs where none fits.

    Where the first one takes more than `hopeless` arcs no other is tried: none would take so few that it mattered.
    """
    n = member.size
    fewest = order_greedily(
        member[0], daughter_start, mother_of, mother_start, daughter_of, treated, state, near, steps, rank,
        rank.size, most,
    )  # fmt: skip
    if fewest > hopeless:
        return fewest
    if fewest > most or fewest > WORTH_WINDOWS * TRIAL_COST * n:
        for window in WINDOWS:
            if window >= n:
                break
            arcs = order_greedily(
                member[0], daughter_start, mother_of, mother_start, daughter_of, treated, state, near, trial,
                rank, window, min(fewest, most),
            )  # fmt: skip
            if arcs < fewest and arcs <= most:
                fewest = arcs
                steps[:] = trial[: steps.size]
    if fewest > most:
        return fewest
    trials = 1
    if n <= MOST_MEMBERS:
        trials = int(min(float(n), MOST_TRIALS, fewest / (TRIAL_COST * n)))
    for r in range(1, trials):
        arcs = order_greedily(
            member[r * n // trials], daughter_start, mother_of, mother_start, daughter_of, treated, state, near,
            trial, rank, rank.size, np.inf,
        )  # fmt: skip
        if arcs < fewest:
            fewest = arcs
            steps[:] = trial[: steps.size]
    return fewest
