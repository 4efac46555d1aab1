"""Frames of a hundred small frame pairs that share nothing: a million of them can be checked against enumeration.

Whatever a solver says of a frame it says of each part, and a part has few enough assignments to go through them all.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit

from tests.support.hostile_problems import KINDS, MIXED
from torchtrack_uq.assignment import (
    AssignmentProblem,
    Direction,
    k_best,
    marginals,
    marginals_derivative,
    sample,
    solve_map,
)

N_PARTS, MOST = 100, 4


@dataclass(frozen=True)
class Frame:
    """A frame pair made of parts.

    Attributes:
        problem: All of them.
        daughter_start: (P + 1,) first daughter of each part.
        mother_start: (P + 1,) first mother of each part.
        score: (N, 4) score of each daughter with the mothers of her part; -inf without a link.
        temperature: T.
        seed: Of draws and directions.
    """

    problem: AssignmentProblem
    daughter_start: np.ndarray
    mother_start: np.ndarray
    score: np.ndarray
    temperature: float
    seed: int


def frame_of_parts(seed: int) -> Frame:
    """Parts of up to 4 mothers and 4 daughters, with scores of one kind of `hostile_problems`."""
    rng = np.random.default_rng([seed, 7])
    kind = KINDS[seed % len(KINDS)]
    n, m = rng.integers(0, MOST + 1, (2, N_PARTS))
    first_daughter, first_mother = (np.concatenate([[0], np.cumsum(counts)]) for counts in (n, m))
    forbidden = float(rng.choice([0, 0.1, 0.3]))

    def scores(size: tuple[int, ...]) -> np.ndarray:
        drawn: np.ndarray = {
            "ordinary": lambda: rng.normal(0, 2, size),
            "ties": lambda: rng.integers(-2, 3, size).astype(float),
            "wide": lambda: rng.normal(0, 300, size),
            "huge": lambda: rng.choice([-1, 1], size) * 10.0 ** rng.uniform(-300, 8.9, size),
            "mixed": lambda: rng.choice(MIXED, size),
        }[kind]()
        return drawn

    part = np.repeat(np.arange(N_PARTS), n)
    score = scores((len(part), MOST))
    there = (np.arange(MOST) < m[part, None]) & (rng.random(score.shape) < 0.75)
    listed = np.argwhere(there)
    score[~there | (rng.random(score.shape) < forbidden)] = -np.inf
    disappear, divide = scores((int(m.sum()),)), scores((int(m.sum()),))
    if seed % 3:
        divide = np.minimum(divide, -disappear)
    divide[rng.random(divide.shape) < forbidden] = -np.inf
    listed = listed[rng.permutation(len(listed))]
    problem = AssignmentProblem(
        first_mother[part[listed[:, 0]]] + listed[:, 1],
        listed[:, 0],
        score[listed[:, 0], listed[:, 1]],
        scores((len(part),)),
        disappear,
        divide,
    )
    return Frame(problem, first_daughter, first_mother, score, float(rng.choice([1.0, 0.1, 5.0])), seed)


@njit(cache=True)
def enumerate_parts(daughter_start, mother_start, score, appear, disappear, divide, along, t):  # type: ignore[no-untyped-def]
    """Best log-weight and log Z by part; probabilities and their derivatives, by daughter and place, mother and load.

    Column 4 of a daughter's places is no mother; `along` has what changes (daughters', then mothers' loads 0 and 2).
    """
    n, m, n_parts = len(appear), len(disappear), len(daughter_start) - 1
    best, log_z = np.full(n_parts, -np.inf), np.zeros(n_parts)
    p, d = np.zeros((n + m, 5)), np.zeros((n + m, 5))
    parent, load = np.zeros(4, np.int64), np.zeros(4, np.int64)
    for part in range(n_parts):
        j0, i0 = daughter_start[part], mother_start[part]
        nn, mm = daughter_start[part + 1] - j0, mother_start[part + 1] - i0
        total, mean = 0.0, 0.0
        for look in range(2):
            for code in range((mm + 1) ** nn):
                load[:] = 0
                rest, weight, change = code, 0.0, 0.0
                for j in range(nn):
                    parent[j] = rest % (mm + 1)
                    rest //= mm + 1
                    if parent[j] == mm:
                        weight += appear[j0 + j]
                        change += along[j0 + j, 4]
                    else:
                        load[parent[j]] += 1
                        weight += score[j0 + j, parent[j]]
                        change += along[j0 + j, parent[j]]
                for i in range(mm):
                    if load[i] == 0:
                        weight += disappear[i0 + i]
                        change += along[n + i0 + i, 0]
                    elif load[i] == 2:
                        weight += divide[i0 + i]
                        change += along[n + i0 + i, 2]
                    elif load[i] > 2:
                        weight = -np.inf
                if look == 0:
                    best[part] = max(best[part], weight)
                    continue
                w = np.exp((weight - best[part]) / t)
                if w == 0.0:
                    continue
                total += w
                mean += w * change
                for j in range(nn):
                    place = 4 if parent[j] == mm else parent[j]
                    p[j0 + j, place] += w
                    d[j0 + j, place] += w * change
                for i in range(mm):
                    p[n + i0 + i, load[i]] += w
                    d[n + i0 + i, load[i]] += w * change
        log_z[part] = best[part] / t + np.log(total)
        mean /= total
        for rows in ((j0, j0 + nn), (n + i0, n + i0 + mm)):
            for row in range(rows[0], rows[1]):
                for place in range(5):
                    p[row, place] /= total
                    d[row, place] = d[row, place] / total - mean * p[row, place]
    return best, log_z, p, d


def truth_of(frame: Frame, temperature: float, direction: Direction | None = None) -> tuple[np.ndarray, ...]:
    """Best log-weight, log Z, probabilities (link, null, disappear, divide) and their derivatives, by enumeration."""
    q = frame.problem
    n, m = q.n_daughters, q.n_mothers
    place = q.mother - frame.mother_start[np.searchsorted(frame.daughter_start, q.daughter, "right") - 1]
    along = np.zeros((n + m, 5))
    if direction is not None:
        along[q.daughter, place] = direction.link
        along[:n, 4], along[n:, 0], along[n:, 2] = direction.null, direction.disappear, direction.divide
    best, log_z, p, d = enumerate_parts(
        frame.daughter_start,
        frame.mother_start,
        frame.score,
        q.appear,
        q.disappear,
        q.divide,
        along,
        temperature,
    )
    p, d = (np.concatenate([x[q.daughter, place], x[:n, 4], x[n:, 0], x[n:, 2]]) for x in (p, d))
    return best, log_z, p, d


def wrong_in_frame(seed: int, tried: Counter[str]) -> Iterator[str]:
    """One sentence for every answer about a frame that enumeration of its parts contradicts."""
    frame = frame_of_parts(seed)
    q = frame.problem
    rng = np.random.default_rng([seed, 8])
    e, n, m = q.n_links, q.n_daughters, q.n_mothers
    direction = Direction(*(rng.normal(size=size) for size in (e, n, m, m)))
    best, log_z, p, _ = truth_of(frame, frame.temperature)
    finite = np.concatenate([x[np.isfinite(x)] for x in (q.score, q.appear, q.disappear, q.divide)])
    size = float(np.abs(finite).max(initial=1.0))
    if q.is_convex:
        tried.update({"MAP": N_PARTS, "K best": N_PARTS})
        if abs(solve_map(q).log_weight - best.sum()) > 1e-12 * N_PARTS * size:
            yield f"MAP: {solve_map(q).log_weight} for {best.sum()}"
        if abs(k_best(q, 20).log_weight[0] - best.sum()) > 1e-12 * N_PARTS * size:
            yield f"K best: {k_best(q, 20).log_weight[0]} for {best.sum()}"
    rounding = 1e-7 + 1e-13 * size / frame.temperature
    for method in ("exact", "auto"):
        tried[f"marginals, {method}"] += N_PARTS
        found = marginals(q, frame.temperature, method)
        got = np.concatenate([found.link, found.null, found.disappear, found.divide])
        error = float(np.abs(got - p).max(initial=0))
        if not error <= found.error_bound + rounding:
            yield f"{method}: off by {error}, bound {found.error_bound}"
        if (
            not abs(found.log_z - log_z.sum())
            <= found.log_z_error + 1e-12 * N_PARTS * size / frame.temperature
        ):
            yield f"{method}: log Z {found.log_z} for {log_z.sum()}, bound {found.log_z_error}"
    cheaper = np.where(q.non_convex_mothers, q.disappear + q.divide, 0.0)
    if cheaper.max(initial=0.0) <= 200 * frame.temperature:
        tried["draws"] += N_PARTS
        yield from _wrong_draws(frame, p)
    if cheaper.max(initial=0.0) <= 200:
        tried["derivative"] += N_PARTS
        yield from _wrong_derivative(frame, direction, size)


def _wrong_draws(frame: Frame, p: np.ndarray) -> Iterator[str]:
    q, n_draws = frame.problem, 50
    parent = sample(q, n_draws, frame.temperature, seed=frame.seed)
    load = np.stack([np.bincount(row[row >= 0], minlength=q.n_mothers) for row in parent])
    drawn = np.concatenate([parent[:, q.daughter] == q.mother, parent == -1, load == 0, load == 2], axis=1)
    share = drawn.mean(axis=0)
    if load.max(initial=0) > 2 or drawn[:, : q.n_links][:, np.isneginf(q.score)].any():
        yield "draws: one that is not feasible"
    # Bernstein's inequality, 1e-14 for each of some hundred choices
    off = np.abs(share - p) - 2e-3 - 8.1 * np.sqrt(p * (1 - p) / n_draws) - 22 / n_draws
    if (off > 0).any():
        yield f"draws: {share[off.argmax()]} for {p[off.argmax()]}"


def _wrong_derivative(frame: Frame, direction: Direction, size: float) -> Iterator[str]:
    q = frame.problem
    _, _, p, truth = truth_of(frame, 1.0, direction)
    got = np.concatenate(marginals_derivative(q, marginals(q, 1.0, "exact"), direction))
    terms = (np.abs(np.concatenate(direction)) * p).max(initial=0)
    error = float(np.abs(got - truth).max(initial=0))
    if not error <= 2e-2 * terms + 1e-6 + 1e-13 * size:
        yield f"derivative: off by {error}"
