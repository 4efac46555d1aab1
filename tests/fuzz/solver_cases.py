"""Small frame pairs with hostile scores, and what enumeration says of every solver's answer about them.

`tests.support.hostile_problems` has the problems, and checks MAP, K best and marginals; here are draws, derivatives,
warm starts, many at once, the order of links, and what has to be refused.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from tests.support.brute_force import all_assignments
from tests.support.hostile_problems import WAYS, hostile_problem, wrong_answers
from torchtrack_uq.assignment import (
    AssignmentProblem,
    Direction,
    InfeasibleProblemError,
    NonConvexDivisionError,
    log_weight_of,
    marginals,
    marginals_derivative,
    sample,
    solve_map,
    solve_map_many,
)

N_DRAWS = 64
REFUSED = [1e300, -1e300, 1e10, np.inf, np.nan]


def wrong_in_case(seed: int, tried: Counter[str]) -> Iterator[str]:
    """One sentence for every answer about one problem that enumeration contradicts; `tried` counts answers."""
    problem, temperature = hostile_problem(seed)
    rng = np.random.default_rng([seed, 1])
    yield from wrong_answers(problem, temperature)
    tried.update(solve_map=1, k_best=1, **{f"marginals, {way}": 0 for way, _ in WAYS})
    tried.update(f"marginals, {way}" for way, _ in WAYS)
    parents, weights = all_assignments(problem)
    for name, check in (
        ("sample", _wrong_draws),
        ("derivative", _wrong_derivative),
        ("warm start", _wrong_warm_start),
    ):
        tried[name] += 1
        for wrong in check(problem, temperature, parents, weights, rng):
            yield f"{name}: {wrong}"
    tried["refusal"] += 1
    yield from _not_refused(problem, rng)


def _posterior(weights: np.ndarray, temperature: float) -> np.ndarray:
    p = np.exp((weights - weights.max()) / temperature)
    return p / p.sum()


def _wrong_draws(
    problem: AssignmentProblem,
    temperature: float,
    parents: np.ndarray,
    weights: np.ndarray,
    rng: np.random.Generator,
) -> Iterator[str]:
    """Every draw is feasible, and no assignment is drawn that is too rare for it (chance 1e-9 in each case)."""
    try:
        drawn = sample(problem, N_DRAWS, temperature, seed=int(rng.integers(1 << 30)))
    except InfeasibleProblemError:
        if len(weights):
            yield "feasible, but refused as infeasible"
        return
    except NonConvexDivisionError:
        if problem.is_convex:
            yield "convex, but refused"
        return
    if not len(weights):
        yield "drawn from what is infeasible"
        return
    row = {tuple(parent): k for k, parent in enumerate(parents.tolist())}
    places = [row.get(tuple(parent), -1) for parent in np.asarray(drawn).tolist()]
    if min(places) < 0:
        yield "a draw that is no feasible assignment"
        return
    p = _posterior(weights, temperature)
    count = np.bincount(places, minlength=len(p))
    spread = np.sqrt(N_DRAWS * p * (1 - p))
    # Bernstein's inequality at 1e-11; sampling may leave out what changes probabilities by 1e-3
    off = np.abs(count - N_DRAWS * p) - 2e-3 * N_DRAWS
    if (off > 7.2 * spread + 17).any():
        yield f"counts {count.tolist()} for probabilities {np.round(p, 4).tolist()}"


def _wrong_derivative(
    problem: AssignmentProblem,
    temperature: float,
    parents: np.ndarray,
    weights: np.ndarray,
    rng: np.random.Generator,
) -> Iterator[str]:
    """A derivative of a probability along a direction is the covariance of the two."""
    e, n, m = problem.n_links, problem.n_daughters, problem.n_mothers
    direction = Direction(*(rng.normal(size=size) for size in (e, n, m, m)))
    try:
        found = marginals_derivative(problem, marginals(problem, 1.0, "exact"), direction)
    except InfeasibleProblemError:
        if len(weights):
            yield "feasible, but refused as infeasible"
        return
    except ValueError as error:
        if "has no derivative" not in str(error) and "no derivative here" not in str(error):
            raise
        if problem.is_convex:
            yield "convex, but refused"
        return
    load = (parents[:, :, None] == np.arange(m)).sum(axis=1)
    features = np.concatenate(
        [parents[:, problem.daughter] == problem.mother, parents == -1, load == 0, load == 2], axis=1
    ).astype(float)
    p = _posterior(weights, 1.0)
    along = features @ np.concatenate(direction)
    truth = (p[:, None] * features * (along - p @ along)[:, None]).sum(axis=0)
    got = np.concatenate(found)
    terms = np.abs(np.concatenate(direction)) * (p @ features)
    finite = [x[np.isfinite(x)] for x in (problem.score, problem.appear, problem.disappear, problem.divide)]
    largest = max(float(np.abs(x).max(initial=0)) for x in finite)
    if not np.isfinite(got).all():
        yield "NaN"
    elif np.abs(got - truth).max(initial=0) > 2e-2 * terms.max(initial=0) + 1e-6 + 1e-13 * largest:
        yield f"off by {np.abs(got - truth).max()}"


def _wrong_warm_start(
    problem: AssignmentProblem,
    temperature: float,
    parents: np.ndarray,
    weights: np.ndarray,
    rng: np.random.Generator,
) -> Iterator[str]:
    """From the MAP under other scores, with links in any order, many at once: a MAP of the same weight."""
    if not len(weights) or not problem.is_convex:
        return
    noise = np.where(rng.random((2, problem.n_links)) < 0.5, 0.0, rng.normal(0, 5, (2, problem.n_links)))
    scores = np.concatenate([problem.score[None], problem.score + noise])
    order = rng.permutation(problem.n_links)
    links = (problem.mother[order], problem.daughter[order], problem.score[order])
    many = solve_map_many(problem, scores)
    answers = {
        "from another problem's MAP": solve_map(problem, many[1]),
        "links in another order": solve_map(
            AssignmentProblem(*links, problem.appear, problem.disappear, problem.divide)
        ),
        "among others": many[0],
        "among others, warm": solve_map_many(problem, scores[::-1], many[0])[-1],
    }
    del temperature
    rounding = 1e-6 * max(1.0, abs(float(weights.max())))
    for name, answer in answers.items():
        if abs(answer.log_weight - weights.max()) > rounding:
            yield f"{name}: weight {answer.log_weight} for {weights.max()}"
        if abs(log_weight_of(problem, answer.parent) - weights.max()) > rounding:
            yield f"{name}: the parents weigh {log_weight_of(problem, answer.parent)}"


def _not_refused(problem: AssignmentProblem, rng: np.random.Generator) -> Iterator[str]:
    """A duplicate, an index out of range, a number beyond floating point, another length."""
    parts = [
        problem.mother,
        problem.daughter,
        problem.score,
        problem.appear,
        problem.disappear,
        problem.divide,
    ]
    parts = [np.array(part) for part in parts]
    way = int(rng.integers(4))
    if way == 0 and problem.n_links:
        parts[:3] = [np.append(part, part[rng.integers(problem.n_links)]) for part in parts[:3]]
        parts[0][-1], parts[1][-1] = parts[0][0], parts[1][0]
    elif way == 1 and problem.n_links:
        parts[int(rng.integers(2))][0] = rng.choice([-1, 99, 2**40, -(2**40)])
    elif way == 2:
        name = int(rng.integers(2, 6))
        parts[name] = np.append(parts[name], 0.0)
        if name in (3,):  # one more daughter is another problem
            parts[name][-1] = np.nan
    else:
        name = int(rng.integers(2, 6))
        if not len(parts[name]):
            return
        parts[name][rng.integers(len(parts[name]))] = rng.choice(REFUSED)
    try:
        AssignmentProblem(*parts)
    except ValueError:
        return
    yield f"not refused: way {way}"
