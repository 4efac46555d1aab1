"""Random problems: tiny ones that brute force can check, and the standard instance of the benchmark."""

import numpy as np
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from torchtrack_uq.assignment import AssignmentProblem

coarse = st.integers(-4, 4).map(float)  # many ties
fine = st.floats(-6, 6, allow_nan=False)
forbidden = st.just(-np.inf)


@st.composite
def tiny_problems(draw, convex=True, forbid=True, max_daughters=5, max_mothers=4):
    """Problems with up to 5 daughters and 4 mothers: any candidate set, ties, forbidden links and events."""
    n, m = draw(st.integers(0, max_daughters)), draw(st.integers(0, max_mothers))
    score = draw(st.sampled_from([coarse, fine]))
    event = st.one_of(score, score, score, forbidden) if forbid else score
    pairs = [(i, j) for i in range(m) for j in range(n)]
    links = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=len(pairs))) if pairs else []
    link_score = st.one_of(score, score, score, score, forbidden) if forbid else score
    disappear = np.array([draw(event) for _ in range(m)])
    divide = np.array([draw(event) for _ in range(m)])
    if convex:
        finite = np.isfinite(disappear)
        divide[finite] = np.minimum(divide[finite], -disappear[finite])
    return AssignmentProblem(
        np.array([i for i, _ in links], dtype=np.int64),
        np.array([j for _, j in links], dtype=np.int64),
        np.array([draw(link_score) for _ in links], dtype=float),
        np.array([draw(event) for _ in range(n)], dtype=float),
        disappear,
        divide,
    )


def standard_instance(n: int, sigma: float, seed: int = 0, k_nearest: int = 10) -> AssignmentProblem:
    """N mothers uniform in a square of side sqrt(N), N/20 dividing, k nearest candidates per daughter."""
    rng = np.random.default_rng(seed)
    mothers = rng.uniform(0, np.sqrt(n), (n, 2))
    dividing = rng.choice(n, n // 20, replace=False)
    origin = np.concatenate([np.arange(n), dividing])
    daughters = mothers[origin] + rng.normal(0, sigma, (origin.size, 2))
    distance, nearest = cKDTree(mothers).query(daughters, k=min(k_nearest, n))
    k = nearest.shape[1]
    return AssignmentProblem.build(
        nearest.ravel(), np.repeat(np.arange(origin.size), k), -(distance.ravel() ** 2) / (2 * sigma**2),
        n, origin.size, appear=-5.0, disappear=-5.0, divide=-2.0,
    )  # fmt: skip


def colony(n_frames, n=60, seed=0):
    """A movie over gaps as one problem: cells that walk, links to the frames up to two before."""
    rng = np.random.default_rng(seed)
    size = 20.0 * np.sqrt(n)
    place = np.cumsum(
        np.concatenate([rng.uniform(0, size, (1, n, 2)), rng.normal(0, 2.2, (n_frames - 1, n, 2))]), axis=0
    )
    mother, daughter, score = [], [], []
    for t in range(1, n_frames):
        for gap in (1, 2):
            if t - gap < 0:
                continue
            distance = np.linalg.norm(place[t][:, None] - place[t - gap][None], axis=-1)
            near = np.argwhere(distance < 45.0)
            daughter.append(t * n + near[:, 0])
            mother.append((t - gap) * n + near[:, 1])
            score.append(-((distance[tuple(near.T)] / 2.2) ** 2) / (4 * gap) - 5.0 * (gap - 1))
    n_cells = n * n_frames
    score = np.maximum(np.concatenate(score), -7.5)
    events = np.full(n_cells, -7.0), np.full(n_cells, -2.0), np.full(n_cells, -2.0)
    return AssignmentProblem(np.concatenate(mother), np.concatenate(daughter), score, *events)
