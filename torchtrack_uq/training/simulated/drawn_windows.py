"""Simulated training windows: cells with the features of Trackastra's models, and the true mother of each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.training.augment import drop_cells
from torchtrack_uq.training.simulated.cells import Cells, simulate_cells, visible_edge
from torchtrack_uq.training.simulated.detected import Detected, detect
from torchtrack_uq.training.simulated.scene import Scene
from torchtrack_uq.training.window import Window

_BORDER_PIXELS = 5.0  # as in `torchtrack_uq.movies.features`


@dataclass(frozen=True)
class SimulatedWindows:
    """Makes windows at random, each of a `Scene` of its own: moments of ellipses, no pixels are painted.

    Attributes:
        ndim: Dimensions, 2 or 3.
        diameter: Mean diameter in pixels that scenes scatter around.

    >>> window = SimulatedWindows(ndim=2, diameter=24.0).draw(np.random.default_rng(0), n_frames=4, max_cells=100)
    >>> window.features.shape[1], bool((window.mother >= 0).any()), len(window) <= 100
    (7, True, True)
    """

    ndim: int
    diameter: float

    def draw(self, rng: np.random.Generator, n_frames: int, max_cells: int, max_gap: int = 1) -> Window:
        """A window of a few frames.

        Args:
            rng: Source of randomness.
            n_frames: Frames.
            max_cells: Cells in all frames together, at most.
            max_gap: How many frames before a cell its `earlier` ancestors are given.
        """
        scene = Scene.draw(rng, self.ndim, n_frames, max(2, max_cells // n_frames), self.diameter)
        window, seen, is_missed = simulated_window(scene, rng, max_gap)
        if scene.is_field:
            window = drop_cells(window, seen & ~is_missed)
        else:
            window, is_missed = window.subset(np.flatnonzero(seen)), is_missed[seen]
            window = drop_cells(window, ~is_missed)
        if len(window) > max_cells:
            distance = np.abs(window.coords - window.coords.mean(axis=0)).max(axis=1)
            window = window.subset(np.sort(np.argpartition(distance, max_cells - 1)[:max_cells]))
        return window


def simulated_window(
    scene: Scene, rng: np.random.Generator, max_gap: int = 1
) -> tuple[Window, NDArray[np.bool_], NDArray[np.bool_]]:
    """All detections of a scene, those outside of what is seen and those that will be missed included.

    Returns:
        The window, and (N,) bool twice: which cells are seen, and which a segmentation misses.
    """
    frames: list[tuple[Cells, Detected]] = []
    for cells in simulate_cells(scene, rng):
        frames.append((cells, detect(cells, scene, rng)))
    parts = [found for _, found in frames]
    starts = np.concatenate([[0], np.cumsum([len(found) for found in parts])]).astype(np.int64)
    index = [
        _index_of_cells(cells, found, start)
        for (cells, found), start in zip(frames, starts[:-1], strict=True)
    ]
    frame = np.repeat(np.arange(len(parts)), np.diff(starts))
    sure = np.concatenate([found.sure for found in parts])
    ancestors = np.full((len(frame), max_gap), -1, dtype=np.int64)
    known = np.zeros((len(frame), max_gap), dtype=bool)
    for t, (_, found) in enumerate(frames):
        now = slice(starts[t], starts[t + 1])
        line = found.cell
        for gap in range(1, min(max_gap, t) + 1):
            line = np.where(line >= 0, frames[t - gap + 1][0].parent[line], -1)
            ancestor = np.where(line >= 0, index[t - gap][line], -1)
            ancestors[now, gap - 1] = ancestor
            # of a cell within a merger, and of a part, nobody says whose daughter it is
            hidden = (line >= 0) & (ancestor < 0)
            known[now, gap - 1] = found.sure & ~hidden & ((ancestor < 0) | sure[ancestor])
    mother_known = sure & (frame < len(parts) - 1)
    daughters_unsure = ancestors[~known[:, 0] & (frame > 0), 0]
    mother_known[daughters_unsure[daughters_unsure >= 0]] = False
    place = np.concatenate([found.place for found in parts])
    edge = visible_edge(scene)
    seen = scene.is_whole | (np.abs(place) <= edge / 2).all(axis=1)
    window = Window(
        frame=frame.astype(np.int64),
        coords=((place + edge / 2) * scene.diameter).astype(np.float32),
        features=_features(parts, place, scene),
        mother=ancestors[:, 0].copy(),
        has_target=known[:, 0].copy(),
        has_images=scene.brightness > 0,
        mother_known=mother_known,
        earlier=ancestors[:, 1:],
        earlier_known=known[:, 1:],
    )
    return window, seen, rng.random(len(frame)) < scene.missed


def _index_of_cells(cells: Cells, found: Detected, start: int) -> NDArray[np.int64]:
    """(n cells,) which detection of the window each cell is, -1 for none."""
    index = np.full(len(cells), -1, dtype=np.int64)
    is_cell = found.cell >= 0
    index[found.cell[is_cell]] = start + np.flatnonzero(is_cell)
    return index


def _features(parts: list[Detected], place: NDArray[np.float64], scene: Scene) -> NDArray[np.float32]:
    """(N, F) diameter, intensity, inertia tensor and closeness to the border, in pixels."""
    d = scene.ndim
    covariance = np.concatenate([found.covariance for found in parts]) * scene.diameter**2
    inertia = np.trace(covariance, axis1=1, axis2=2)[:, None, None] * np.eye(d) - covariance
    size = np.concatenate([found.size for found in parts])
    brightness = np.concatenate([found.brightness for found in parts])
    border = np.zeros(len(place))
    if scene.is_field:
        inside = visible_edge(scene) / 2 - np.abs(place[:, -2:]).max(axis=1) - size / 2
        border = np.clip(1 - inside * scene.diameter / _BORDER_PIXELS, 0, 1)
    columns = [
        size[:, None] * scene.diameter,
        brightness[:, None],
        inertia.reshape(-1, d * d),
        border[:, None],
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)
