"""What a segmentation makes of cells: places, sizes, shapes and brightness, with its errors."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from torchtrack_uq.training.simulated.cells import Cells, Floats, visible_edge
from torchtrack_uq.training.simulated.scene import Scene


@dataclass(frozen=True, eq=False)
class Detected:
    """n detections of one frame; lengths in mean diameters.

    Attributes:
        place: (n, D).
        size: (n,) diameters.
        covariance: (n, D, D) of the points of each.
        brightness: (n,) 0 without images.
        cell: (n,) int64, index of the cell that each is, -1 for none.
        sure: (n,) bool: False for parts and mergers, of which it is a matter of taste whose daughter they are.
    """

    place: Floats
    size: Floats
    covariance: Floats
    brightness: Floats
    cell: NDArray[np.int64]
    sure: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.place)

    def take(self, where: NDArray[np.int64]) -> "Detected":
        """Some of them."""
        return Detected(**{name: getattr(self, name)[where] for name in self.__dataclass_fields__})


def detect(cells: Cells, scene: Scene, rng: np.random.Generator) -> Detected:
    """The cells of a frame as masks show them, those around what is seen included; nothing is missed yet."""
    n, d = len(cells), scene.ndim
    rough = 1 + np.abs(rng.normal(size=n)) * scene.rough / 2
    covariance = cells.covariance() * rough[:, None, None]
    place = cells.place.copy()
    if scene.depth_noise:
        blur = scene.depth_noise
        place[:, 0] += rng.normal(size=n) * blur
        covariance[:, 0, 0] += 0.3 * blur**2
    brightness = scene.brightness * cells.brightness * np.exp(rng.normal(size=n) * scene.flicker)
    size = cells.size * np.exp(rng.normal(size=n) * 0.02)
    found = Detected(place, size, covariance, brightness, np.arange(n), np.ones(n, dtype=bool))
    return _with_false(_with_parts(_with_mergers(found, scene, rng), scene, rng), scene, rng, d)


def _with_mergers(found: Detected, scene: Scene, rng: np.random.Generator) -> Detected:
    """Neighbours that touch are one detection, which counts as the larger one."""
    n = len(found)
    if not scene.merged or n < 2:
        return found
    distance, nearest = KDTree(found.place).query(found.place, k=2)
    gap, partner = np.asarray(distance)[:, 1], np.asarray(nearest)[:, 1]
    touch = gap < 0.75 * (found.size + found.size[partner])
    chosen = np.flatnonzero(touch & (rng.random(n) < scene.merged))
    place, size, covariance = found.place.copy(), found.size.copy(), found.covariance.copy()
    sure, gone = found.sure.copy(), np.zeros(n, dtype=bool)
    for one in chosen.tolist():
        other = int(partner[one])
        if gone[one] or gone[other] or not (sure[one] and sure[other]):
            continue
        a, b = (one, other) if size[one] >= size[other] else (other, one)
        volume = size[[a, b]] ** scene.ndim
        share = volume / volume.sum()
        middle = share @ place[[a, b]]
        apart = place[[a, b]] - middle
        covariance[a] = np.einsum("n,nij->ij", share, covariance[[a, b]])
        covariance[a] += np.einsum("n,ni,nj->ij", share, apart, apart)
        place[a], size[a] = middle, volume.sum() ** (1 / scene.ndim)
        sure[a], gone[b] = False, True
    merged = replace(found, place=place, size=size, covariance=covariance, sure=sure)
    return merged.take(np.flatnonzero(~gone))


def _with_parts(found: Detected, scene: Scene, rng: np.random.Generator) -> Detected:
    """Some cells are cut across their longest axis; the larger part counts as the cell."""
    chosen = np.flatnonzero(found.sure & (rng.random(len(found)) < scene.split))
    if not len(chosen):
        return found
    d = scene.ndim
    spread, axes = np.linalg.eigh(found.covariance[chosen])
    half = np.sqrt(spread[:, -1] * (d + 2))
    offset = half * (4 / (3 * math.pi) if d == 2 else 3 / 8)
    along = axes[:, :, -1]
    thinner = found.covariance[chosen] - np.einsum("n,ni,nj->nij", offset**2, along, along)
    share = rng.uniform(0.5, 0.7, len(chosen))
    place, size, covariance = found.place.copy(), found.size.copy(), found.covariance.copy()
    sure = found.sure.copy()
    place[chosen] += along * (2 * (1 - share) * offset)[:, None]
    size[chosen] *= share ** (1 / d)
    covariance[chosen] = thinner
    sure[chosen] = False
    other = replace(
        found.take(chosen),
        place=found.place[chosen] - along * (2 * share * offset)[:, None],
        size=found.size[chosen] * (1 - share) ** (1 / d),
        covariance=thinner,
        cell=np.full(len(chosen), -1, dtype=np.int64),
        sure=np.zeros(len(chosen), dtype=bool),
    )
    return _joined(replace(found, place=place, size=size, covariance=covariance, sure=sure), other)


def _with_false(found: Detected, scene: Scene, rng: np.random.Generator, d: int) -> Detected:
    """Detections of nothing, anywhere, of any size."""
    edge = visible_edge(scene)
    n = int(rng.poisson(scene.false * scene.n_cells))
    if not n:
        return found
    size = np.exp(rng.normal(size=n) * 0.4 - 0.3)
    stretch = np.exp(rng.normal(size=(n, d)) * 0.3)
    spread = (size[:, None] / 2 * stretch / stretch.mean(axis=1, keepdims=True)) ** 2 / (d + 2)
    nothing = Detected(
        place=rng.uniform(-edge / 2, edge / 2, (n, d)),
        size=size,
        covariance=spread[:, :, None] * np.eye(d),
        brightness=scene.brightness * np.exp(rng.normal(size=n) * 0.6 - 0.4),
        cell=np.full(n, -1, dtype=np.int64),
        sure=np.ones(n, dtype=bool),
    )
    return _joined(found, nothing)


def _joined(*parts: Detected) -> Detected:
    return Detected(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in Detected.__dataclass_fields__
        }
    )
