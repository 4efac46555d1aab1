"""Points that walk, are missed, divide and leave in a field, for movies as long as a test can wait for."""

import numpy as np

from torchtrack_uq import Detections
from torchtrack_uq.movies.naming import Naming


def walkers(n_frames, per_frame, seed=0, size=200.0, step=3.0, ndim=2, empty=(), **about) -> Detections:
    """About `per_frame` cells a frame; none in the frames `empty`."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, size, (per_frame, ndim))
    frame, coords = [], []
    for t in range(n_frames):
        place = place + rng.normal(0, step, place.shape)
        place = place[((place > 0) & (place < size)).all(axis=1) & (rng.random(len(place)) > 0.01)]
        wanted = max(per_frame - len(place), 0)
        twins = place[rng.integers(0, len(place), wanted // 2)] + rng.normal(0, step, (wanted // 2, ndim))
        place = np.concatenate([place, twins, rng.uniform(0, size, (wanted - wanted // 2, ndim))])
        seen = place[rng.random(len(place)) > 0.02]
        if t not in empty:
            frame.append(np.full(len(seen), t))
            coords.append(seen)
    cells = Detections.from_points(
        np.concatenate(frame), np.concatenate(coords), n_frames=n_frames, sort=True
    )
    if not about:
        return cells
    fields = {name: getattr(cells, name) for name in ("frame", "label", "coords", "n_frames", "row")}
    return Detections(**fields | about)


def named(cells: Detections, first_frame: int, frame_step: int) -> Detections:
    """The same with numbers and names of somebody's own."""
    names = np.array([f"cell {k}" for k in range(len(cells))], dtype=object)
    fields = {name: getattr(cells, name) for name in ("frame", "label", "coords", "n_frames", "row")}
    return Detections(**fields, naming=Naming(first_frame, frame_step, names))
