"""Frame pairs of the assignment benchmark: the standard instance, and real movies by distance."""

import gzip
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from torchtrack_uq.assignment import AssignmentProblem


def standard_instance(n: int, sigma: float, seed: int = 0) -> AssignmentProblem:
    """N mothers uniform in a square of side sqrt(N), N/20 dividing; the 10 nearest mothers are candidates."""
    rng = np.random.default_rng(seed)
    mothers = rng.uniform(0, np.sqrt(n), (n, 2))
    origin = np.concatenate([np.arange(n), rng.choice(n, n // 20, replace=False)])
    daughters = mothers[origin] + rng.normal(0, sigma, (origin.size, 2))
    return by_distance(mothers, daughters, sigma)


def by_distance(mothers: np.ndarray, daughters: np.ndarray, sigma: float) -> AssignmentProblem:
    """Score -d^2 / (2 sigma^2), appear = disappear = -5, divide = -2, the 10 nearest mothers."""
    k = min(10, len(mothers))
    distance, nearest = cKDTree(mothers).query(daughters, k=k)
    distance, nearest = distance.reshape(-1, k), nearest.reshape(-1, k)
    score = -(distance.ravel() ** 2) / (2 * sigma**2)
    problem = AssignmentProblem.build(
        nearest.ravel(),
        np.repeat(np.arange(len(daughters)), k),
        score,
        len(mothers),
        len(daughters),
        -5.0,
        -5.0,
        -2.0,
    )
    _ = problem.links
    return problem


def scipy_costs(problem: AssignmentProblem) -> csr_matrix:
    """The same problem for scipy: every mother twice, one null column per daughter; all costs positive.

    A mother's first daughter saves its disappearance, its second pays the division.
    """
    n, m = problem.n_daughters, problem.n_mothers
    rows = np.concatenate([problem.daughter, problem.daughter, np.arange(n)])
    columns = np.concatenate([problem.mother, m + problem.mother, 2 * m + np.arange(n)])
    first = -problem.score + problem.disappear[problem.mother]
    second = -problem.score - problem.divide[problem.mother]
    cost = np.concatenate([first, second, -problem.appear])
    return csr_matrix((cost - cost.min() + 1.0, (rows, columns)), shape=(n, 2 * m + n))


def real_frame_pairs(data: Path, strides: tuple[int, ...] = (1, 4, 8)) -> list[tuple[str, AssignmentProblem]]:
    """Densest frame pairs of c2c12-points and of the movies with `man_track` masks, scored by distance.

    sigma is the median distance of a daughter to its nearest mother (at least one pixel).
    """
    pairs = []
    for name, frames in (
        ("c2c12-points", _points(data)),
        ("cell-migration", _centroids(data / "cell-migration")),
    ):
        for stride in strides:
            if len(frames) <= stride:
                continue
            t = max(range(len(frames) - stride), key=lambda t: len(frames[t]))
            mothers, daughters = frames[t], frames[t + stride]
            sigma = max(1.0, float(np.median(cKDTree(mothers).query(daughters)[0])))
            pairs.append((f"{name} stride {stride}", by_distance(mothers, daughters, sigma)))
    return pairs


def _points(data: Path) -> list[np.ndarray]:
    path = data / "c2c12-points" / "points.csv.gz"
    if not path.exists():
        return []
    with gzip.open(path, "rt") as file:
        header = file.readline().strip().split(",")
        columns = [header.index(name) for name in ("frame", "x", "y")]
        rows = np.array([[float(line.split(",")[c]) for c in columns] for line in file])
    frame = rows[:, 0].astype(int)
    return [rows[frame == t, 1:] for t in np.unique(frame)]


def _centroids(movie: Path) -> list[np.ndarray]:
    import tifffile
    from scipy.ndimage import center_of_mass

    frames = []
    for path in sorted((movie / "01_GT" / "TRA").glob("man_track*.tif")):
        mask = tifffile.imread(path)
        labels = np.unique(mask)[1:]
        frames.append(np.array(center_of_mass(mask > 0, mask, labels)))
    return frames
