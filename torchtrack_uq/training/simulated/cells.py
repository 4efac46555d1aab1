"""Cells that move, deform, push each other, divide and die, frame by frame."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from torchtrack_uq.training.simulated.scene import Scene

Floats = NDArray[np.float64]

_MARGIN = 2.5
"""How far around what is seen there are cells, in spacings: they come in."""
_PUSHES = 4


@dataclass(frozen=True, eq=False)
class Cells:
    """n cells of one frame; lengths in mean diameters.

    Attributes:
        place: (n, D).
        step: (n, D) last step of the cell's own motion.
        pace: (n,) factor on the scene's `step`.
        axes: (n, D) logarithms of the semi-axes.
        usual: (n, D) those that a cell comes back to.
        turned: (n, D, D) rotation of its axes.
        brightness: (n,) factor on the scene's brightness.
        phase: (n,) from 0 at birth to 1 at division.
        parent: (n,) int64, index of the mother in the frame before, -1 for none.
    """

    place: Floats
    step: Floats
    pace: Floats
    axes: Floats
    usual: Floats
    turned: Floats
    brightness: Floats
    phase: Floats
    parent: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.place)

    def take(self, index: NDArray[np.int64]) -> "Cells":
        """Some of them, as their own daughters: `parent` is the index."""
        columns = {name: getattr(self, name)[index] for name in self.__dataclass_fields__}
        return Cells(**{**columns, "parent": index})

    @property
    def size(self) -> Floats:
        """(n,) diameters of discs or balls of the same size."""
        size: Floats = 2 * np.exp(self.axes.mean(axis=1))
        return size

    def covariance(self) -> Floats:
        """(n, D, D) of the points of each, as a solid ellipse or ellipsoid: semi-axis squared / (D + 2)."""
        d = self.place.shape[1]
        spread = np.exp(2 * self.axes) / (d + 2)
        covariance: Floats = np.einsum("nij,nj,nkj->nik", self.turned, spread, self.turned)
        return covariance


def simulate_cells(scene: Scene, rng: np.random.Generator) -> Iterator[Cells]:
    """Frame after frame of a scene, cells around what is seen included; see `visible_edge`."""
    move = _Motion(scene, rng)
    cells = _first(scene, rng)
    for t in range(scene.n_frames):
        if t:
            cells = _pushed_apart(move(_next_generation(cells, scene, rng)), scene)
        yield cells


def visible_edge(scene: Scene) -> float:
    """Edge length of the square or cube around the origin that is seen, in mean diameters."""
    return float(scene.spacing * scene.n_cells ** (1 / scene.ndim))


def _first(scene: Scene, rng: np.random.Generator) -> Cells:
    """Cells on a shaken grid; crowded ones are pushed apart."""
    edge = visible_edge(scene) + (0 if scene.is_whole else 2 * _MARGIN * scene.spacing)
    along = max(1, round(edge / scene.spacing))
    grid = np.stack(np.meshgrid(*[np.arange(along)] * scene.ndim), axis=-1).reshape(-1, scene.ndim)
    disorder = rng.uniform(0.1, 0.6)
    place = (grid - (along - 1) / 2 + rng.normal(size=grid.shape) * disorder) * scene.spacing
    holes = rng.random(len(place)) < rng.uniform(0, 0.4) * (rng.random() < 0.5)
    place = place[~holes] if not holes.all() else place
    n, d = place.shape
    aspect = np.maximum(scene.aspect * np.exp(rng.normal(size=n) * scene.aspect_sd), 1.0)
    usual = np.tile(math.log(0.5) + rng.normal(size=n) * scene.size_sd, (d, 1)).T
    usual[:, 0] += np.log(aspect) * (d - 1) / d
    usual[:, 1:] -= np.log(aspect)[:, None] / d
    phase = np.asarray(rng.random(n))
    cells = Cells(
        place=place,
        step=rng.normal(size=(n, d)),
        pace=np.exp(rng.normal(size=n) * scene.step_sd - scene.step_sd**2 / 2),
        axes=usual + rng.normal(size=(n, d)) * scene.deform + _growth(phase, scene)[:, None],
        usual=usual,
        turned=_first_rotations(n, scene, rng),
        brightness=np.exp(rng.normal(size=n) * scene.brightness_sd),
        phase=phase,
        parent=np.full(n, -1, dtype=np.int64),
    )
    return _pushed_apart(cells, scene)


def _growth(phase: Floats, scene: Scene) -> Floats:
    """Logarithm of a length relative to that in the middle of the cycle: a cell doubles from 0 to 1."""
    return (phase - 0.5) * math.log(2) / scene.ndim if scene.grows else 0 * phase


def _first_rotations(n: int, scene: Scene, rng: np.random.Generator) -> Floats:
    if scene.ndim == 3:
        turned = Rotation.random(n, random_state=rng).as_matrix()
    else:
        turned = _in_plane(rng.uniform(0, 2 * math.pi, n))
    alike = rng.random(n) < scene.aligned
    if alike.any():
        turned[alike] = _rotated(
            np.repeat(turned[:1], alike.sum(), axis=0), rng.normal(size=(alike.sum(), 3)) * 0.15
        )
    return np.asarray(turned, dtype=np.float64)


def _in_plane(angle: Floats) -> Floats:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)


def _rotated(turned: Floats, by: Floats) -> Floats:
    """(n, D, D) rotations after others, by (n, 3) rotation vectors; in the plane by the first of each."""
    small = Rotation.from_rotvec(by).as_matrix() if turned.shape[1] == 3 else _in_plane(by[:, 0])
    rotated: Floats = small @ turned
    return rotated


def _next_generation(cells: Cells, scene: Scene, rng: np.random.Generator) -> Cells:
    """Those who stay, two daughters of those who divide, and none of those who die."""
    n = len(cells)
    fate = rng.random(n)
    readiness = 2 * cells.phase if scene.grows else np.ones(n)
    divides = fate < scene.divide * readiness
    dies = ~divides & (fate > 1 - scene.die)
    stay, mothers = np.flatnonzero(~divides & ~dies), np.flatnonzero(divides)
    phase = np.minimum(cells.phase + rng.uniform(0, 2 * scene.divide, n), 1.0)
    older = replace(cells, phase=phase, axes=_deformed(cells, scene, rng, phase - cells.phase))
    return _joined(older.take(stay), *_daughters(cells, mothers, scene, rng))


def _deformed(cells: Cells, scene: Scene, rng: np.random.Generator, aged: Floats) -> Floats:
    """Axes that change at random and come back to what they usually are."""
    usual = cells.usual + _growth(cells.phase, scene)[:, None]
    back = 0.3 * (usual - cells.axes)
    change = rng.normal(size=cells.axes.shape) * scene.deform
    swell = rng.normal(size=len(cells)) * scene.swell / scene.ndim
    grown = _growth(aged + 0.5, scene)[:, None]
    deformed: Floats = cells.axes + back + change + swell[:, None] + grown
    return deformed


def _daughters(
    cells: Cells, mothers: NDArray[np.int64], scene: Scene, rng: np.random.Generator
) -> tuple[Cells, Cells]:
    """Two of each mother, at either side of her, of half her size each."""
    n, d = len(mothers), scene.ndim
    long_axis = cells.turned[mothers][:, :, 0]
    random = rng.normal(size=(n, d))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    along = np.where((scene.aspect > 1.4) | (rng.random(n) < 0.3)[:, None], long_axis, random)
    length = np.exp(cells.axes[mothers].max(axis=1)) if scene.aspect > 1.4 else 0.5 * cells.size[mothers]
    offset = (scene.separation * length * np.exp(rng.normal(size=n) * 0.2))[:, None] * along
    ratio = np.exp(rng.normal(size=n) * scene.uneven)
    both = []
    for sign, share in ((1, ratio / (1 + ratio)), (-1, 1 / (1 + ratio))):
        born = cells.take(mothers)
        usual = born.usual + rng.normal(size=(n, d)) * 0.1
        size = np.log(share)[:, None] / d
        axes = born.axes.mean(axis=1, keepdims=True) + usual - usual.mean(axis=1, keepdims=True) + size
        both.append(
            replace(
                born,
                place=born.place + sign * offset + rng.normal(size=(n, d)) * 0.05,
                axes=axes,
                usual=usual if scene.grows else usual + 0.5 * size,
                turned=_rotated(born.turned, rng.normal(size=(n, 3)) * 0.3),
                phase=np.zeros(n),
                brightness=born.brightness * np.exp(rng.normal(size=n) * 0.1),
            )
        )
    return both[0], both[1]


def _joined(*parts: Cells) -> Cells:
    return Cells(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in Cells.__dataclass_fields__
        }
    )


class _Motion:
    """One step of all cells: each cell's own, the field's, the stage's."""

    def __init__(self, scene: Scene, rng: np.random.Generator) -> None:
        d = scene.ndim
        self.scene, self.rng = scene, rng
        direction = rng.normal(size=d)
        self.drift = scene.drift * direction / np.linalg.norm(direction)
        self.strain = rng.normal(size=(d, d)) * scene.strain
        self.strain += np.eye(d) * (abs(rng.normal()) * scene.strain + scene.expansion)
        waves = rng.normal(size=(4, d))
        waves /= np.linalg.norm(waves, axis=1, keepdims=True)
        self.waves = 2 * math.pi * waves / scene.flow_length
        self.amplitude = rng.normal(size=(4, d)) * scene.flow / 2
        self.phase = rng.uniform(0, 2 * math.pi, 4)

    def __call__(self, cells: Cells) -> Cells:
        scene, rng = self.scene, self.rng
        rho = scene.persistence
        own = rho * cells.step + math.sqrt(1 - rho**2) * rng.normal(size=cells.step.shape)
        flow = np.sin(cells.place @ self.waves.T + self.phase) @ self.amplitude
        common = self.drift + rng.normal(size=scene.ndim) * scene.shake
        self.phase = self.phase + rng.normal(size=4) * 0.3
        place = (
            cells.place
            + own * (scene.step * cells.pace)[:, None]
            + flow
            + cells.place @ self.strain.T
            + common
        )
        turned = _rotated(cells.turned, rng.normal(size=(len(cells), 3)) * scene.turn)
        return replace(cells, place=place, step=own, turned=turned)


def _pushed_apart(cells: Cells, scene: Scene) -> Cells:
    """Cells that overlap give way to each other."""
    place, size = cells.place.copy(), cells.size
    for _ in range(_PUSHES):
        pairs = KDTree(place).query_pairs(scene.apart * float(size.max(initial=0)), output_type="ndarray")
        if not len(pairs):
            break
        a, b = pairs.T
        between = place[a] - place[b]
        distance = np.linalg.norm(between, axis=1)
        lacking = scene.apart * (size[a] + size[b]) / 2 - distance
        near = lacking > 0
        a, b = a[near], b[near]
        push = (between[near] / np.maximum(distance[near], 1e-6)[:, None]) * (0.4 * lacking[near])[:, None]
        np.add.at(place, a, push)
        np.add.at(place, b, -push)
    return replace(cells, place=place)
