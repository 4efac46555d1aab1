"""What small movies with links over gaps must answer: sums in parts and stretches, messages, draws, pairs of events."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.brute_force import all_assignments
from tests.support.strips import beyond_bounds, strip
from torchtrack_uq.assignment import AssignmentProblem, Marginals, automatic, cuts, marginals
from torchtrack_uq.assignment.automatic_sampling import sample_automatic
from torchtrack_uq.assignment.joint_none import joint_none
from torchtrack_uq.assignment.pruned import Share
from torchtrack_uq.assignment.solution import log_weight_of

SHARES = Share(60_000, 300), Share(200, 2), Share(30, 0.5)
LENGTH = 150  # frames: three stretches
N_DRAWS = 40
WORST, USUAL = 0.35, 0.03
"""Largest and mean error of an estimate that messages made; in 400 of these movies at most .29 and .027."""


def wrong_in_movies(seed: int) -> Iterator[str]:
    """One sentence for every answer about a movie that sums over all its links, or enumeration, contradict."""
    spread = float(np.random.default_rng([seed, 7]).choice([0.5, 2.0, 8.0]))
    problem = strip(LENGTH, 3, seed, spread)
    exact = marginals(problem, method="exact", tolerance=0.0)
    for share in SHARES:
        whole = _by_clusters(problem, share, 10**6)
        cut = _by_clusters(problem, share, 15)
        calm = share is SHARES[0] and spread > 5
        for name, found in (("in one go", whole), ("by stretches", cut)):
            for wrong in _wrong_marginals(problem, found, exact, calm, 0.1 if found is whole else 6.0):
                yield f"{name}, {share.of_component:g} arcs: {wrong}"
    for wrong in _wrong_draws(problem, exact, seed):
        yield f"draws: {wrong}"
    for wrong in _wrong_pairs(strip(4, 2, seed, 0.3, disappear=-0.5, n_more=1)):
        yield f"pairs of events: {wrong}"
    yield from _wrong_in_a_tree(seed)


def _by_clusters(problem: AssignmentProblem, share: Share, least: int) -> Marginals:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuts, "LEAST", least)
        patch.setattr(cuts, "MARGIN", 4)
        patch.setattr(cuts, "OF_MARGIN", 4)
        patch.setattr(automatic, "lose_by_cuts", lambda *_: False)
        return automatic._by_clusters(problem, 1.0, 1e-3, 1 << 30, share)


def _wrong_marginals(
    problem: AssignmentProblem, found: Marginals, exact: Marginals, fits: bool, log_z: float
) -> Iterator[str]:
    if (beyond := beyond_bounds(problem, found, exact).max()) > 1e-9:
        yield f"{beyond:.2g} beyond the bound"
    rows = np.bincount(problem.daughter, found.link, problem.n_daughters) + found.null
    if np.abs(rows - 1).max() > 1e-9:
        yield f"a daughter's probabilities sum to {rows[np.abs(rows - 1).argmax()]}"
    off = np.abs(found.link - exact.link)
    if not (off.max() < WORST and off.mean() < USUAL):
        yield f"off by {off.max():.2g}, on average {off.mean():.2g}"
    if fits and not np.mean(found.daughter_error <= 1e-3) > 0.75:
        yield "little is proved of what fits"
    if fits and not abs(found.log_z - exact.log_z) < log_z:
        yield f"log Z {found.log_z} for {exact.log_z}"


def _wrong_draws(problem: AssignmentProblem, exact: Marginals, seed: int) -> Iterator[str]:
    draws = sample_automatic(problem, N_DRAWS, seed, many_frames=True)
    parent = draws.parent
    if not all(np.isfinite(log_weight_of(problem, row)) for row in parent):
        yield "a draw that is not feasible"
        return
    share = np.stack([parent[:, problem.daughter] == problem.mother]).mean(axis=(0, 1))
    spread = np.sqrt(np.maximum(exact.link * (1 - exact.link), 0) / N_DRAWS)
    if (np.abs(share - exact.link) > 7.2 * spread + 17 / N_DRAWS).any():
        yield "links drawn more or less often than likely"
    if abs(share.sum() - exact.link.sum()) > 0.1 * exact.link.sum():
        yield f"{share.sum()} links drawn for {exact.link.sum()}"


def _wrong_pairs(problem: AssignmentProblem) -> Iterator[str]:
    parents, weights = all_assignments(problem)
    p = np.exp(weights - weights.max())
    p /= p.sum()
    daughter, mother = (i.ravel() for i in np.indices((problem.n_daughters, problem.n_mothers)))
    none = ~(parents[:, :, None] == np.arange(problem.n_mothers)).any(axis=1)
    truth = p @ ((parents[:, daughter] < 0) & none[:, mother])
    found = joint_none(problem, marginals(problem, many_frames=True), daughter, mother)
    if (off := np.abs(found.probability - truth).max()) > 2e-3:
        yield f"off by {off:.2g}"


def _wrong_in_a_tree(seed: int) -> Iterator[str]:
    """Where links form no cycle, messages are exact, whichever links they run on."""
    generator = np.random.default_rng([seed, 8])
    mother, daughter, n = [0], [0], [1, 1]
    for _ in range(11):  # a new mother of a daughter that is there, or a new daughter
        new = int(generator.integers(2))
        ends = [int(generator.integers(n[0])), int(generator.integers(n[1]))]
        ends[new] = n[new]
        n[new] += 1
        mother.append(ends[0])
        daughter.append(ends[1])
    score, appear = generator.normal(0, 1, len(mother)), generator.normal(-1, 1, n[1])
    problem = AssignmentProblem.build(mother, daughter, score, n[0], n[1], appear, -1.0, -0.5)
    exact = marginals(problem, method="exact", tolerance=0.0)
    found = _by_clusters(problem, Share(16, 0.0), 10**6)
    if found.method != "cluster_bp":
        yield "a tree fits where nothing should"
    for name in ("link", "null", "disappear", "divide"):
        if (off := np.abs(getattr(found, name) - getattr(exact, name)).max()) > 3e-3:
            yield f"messages in a tree: {name} off by {off:.2g}"
    if abs(found.log_z - exact.log_z) > 1e-2:
        yield f"messages in a tree: log Z {found.log_z} for {exact.log_z}"
