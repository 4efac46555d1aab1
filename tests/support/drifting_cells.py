"""An annotated movie of cells that drift together."""

import numpy as np

from torchtrack_uq.datasets import AnnotatedMovie, Lineage
from torchtrack_uq.movies.detections import FEATURES, Detections


def drifting_cells(
    n_cells: int = 6, n_frames: int = 8, seed: int = 0, has_images: bool = True
) -> AnnotatedMovie:
    """Cells on a coarse grid that drift together; cell 1 divides in frame 4 into cells n + 1 and n + 2."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 200, (n_cells, 2))
    frame, label, coords = [], [], []
    for t in range(n_frames):
        place = start + t * np.array([2.0, 1.0]) + rng.normal(size=start.shape)
        for k in range(n_cells):
            daughters = [n_cells + 1, n_cells + 2] if k == 0 and t >= 4 else [k + 1]
            for number, daughter in enumerate(daughters):
                frame.append(t)
                label.append(daughter)
                coords.append(place[k] + 6 * number)
    cells = Detections.from_points(np.array(frame), np.array(coords), np.array(label), sort=True)
    n = len(cells)
    spread = rng.uniform(0.5, 1.5, (n, 1))
    inertia = rng.normal(size=(n, 2, 2)) * 5
    inertia = inertia @ inertia.transpose(0, 2, 1) + 30 * np.eye(2)
    columns = {
        FEATURES[0]: 20 * spread,
        FEATURES[1]: rng.uniform(0.2, 1, (n, 1)) * has_images,
        FEATURES[2]: inertia.reshape(n, 4),
        FEATURES[3]: rng.uniform(0, 1, (n, 1)),
    }
    measured = Detections(
        cells.frame, cells.label, cells.coords, cells.n_frames,
        {name: column.astype(np.float32) for name, column in columns.items()}, has_images,
    )  # fmt: skip
    rows = [(k, 0, n_frames - 1, 0) for k in range(2, n_cells + 1)]
    rows += [(1, 0, 3, 0), (n_cells + 1, 4, n_frames - 1, 1), (n_cells + 2, 4, n_frames - 1, 1)]
    return AnnotatedMovie(f"drifting cells {seed}", measured, Lineage.from_rows(rows))
