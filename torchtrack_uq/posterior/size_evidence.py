"""What sizes, places and the posterior say of detections that may be two cells, or a part of one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.detections import Detections

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEAREST = 4
"""Neighbours in a frame that are looked at."""
_PIXEL = 1 / 12  # variance of a place within its pixel
_LARGEST = 1.0  # of a logarithm of sizes that do not fit: more says no more
_FARTHEST = 2.0  # radii


@dataclass(frozen=True)
class Bodies:
    """Cells, or pairs of cells taken for one, as far as sizes go: any shape S.

    Attributes:
        place: (*S, D) centroids in pixels of x (`Detections.isotropic_coords`).
        size: (*S,) area or volume, in pixels of x to the power of D.
        covariance: (*S, D, D) of a pixel's place, in pixels of x squared.
    """

    place: Floats
    size: Floats
    covariance: Floats

    @classmethod
    def of(cls, detections: Detections) -> "Bodies":
        """All cells. Where there are sizes but no `inertia_tensor`, they count as discs or balls."""
        d = detections.ndim
        diameter = detections.features["equivalent_diameter_area"][:, 0].astype(np.float64)
        # of a single pixel as in larger cells, of which each pixel is a square
        covariance = np.multiply.outer(diameter**2 / (4 * (d + 2)), np.eye(d))
        if "inertia_tensor" in detections.features:
            inertia = detections.features["inertia_tensor"].astype(np.float64).reshape(-1, d, d)
            trace = np.trace(inertia, axis1=1, axis2=2)[:, None, None] / (d - 1)
            covariance = trace * np.eye(d) - inertia + _PIXEL * np.diag(detections.aspect**2)
        return cls(
            detections.isotropic_coords,
            np.pi / (2 * d) * np.maximum(diameter, 1e-6) ** d,
            covariance,
        )

    def __getitem__(self, index: Ints) -> "Bodies":
        return Bodies(self.place[index], self.size[index], self.covariance[index])

    def __add__(self, other: "Bodies") -> "Bodies":
        """Both as one: sizes add, places are averaged, and what lies between them widens the covariance."""
        size = self.size + other.size
        share = (self.size / size)[..., None]
        place = share * self.place + (1 - share) * other.place
        apart = self.place - other.place
        between = (share * (1 - share))[..., None] * apart[..., :, None] * apart[..., None, :]
        both = share[..., None] * self.covariance + (1 - share[..., None]) * other.covariance
        return Bodies(place, size, both + between)

    @property
    def radius(self) -> Floats:
        """Of the disc or ball of the same size."""
        d = self.place.shape[-1]
        radius: Floats = (2 * d * self.size / np.pi) ** (1 / d) / 2
        return radius

    @property
    def waist(self) -> Floats:
        """How far from an ellipse: log of the spread against that of an ellipse of that size; 0 for ellipses."""
        d = self.place.shape[-1]
        sign, log_det = np.linalg.slogdet(self.covariance)
        ball = d * np.log(self.radius**2 / (d + 2))
        return np.where(sign > 0, np.clip((log_det - ball) / 2, 0, _LARGEST), 0)


@dataclass(frozen=True)
class Ends:
    """What the posterior says of N cells and the frames beside theirs.

    Attributes:
        starts: (N,) probability of no mother in the frame before.
        ends: (N,) of no daughter in the frame after.
        key: (E,) int64, daughter * N + mother, ascending.
        link: (E,) probability of each link.
    """

    starts: Floats
    ends: Floats
    key: Ints
    link: Floats

    @classmethod
    def of(cls, probabilities: LinkProbabilities) -> "Ends":
        """Links over gaps say that there is none in the frame beside."""
        graph, n = probabilities.graph, probabilities.graph.n_cells
        near = graph.gap.cpu().numpy() == 1
        mother, daughter = graph.mother.cpu().numpy()[near], graph.daughter.cpu().numpy()[near]
        link = probabilities.link.detach().cpu().double().numpy()[near]
        come = np.bincount(daughter, link, minlength=n)
        go = np.bincount(mother, link, minlength=n)
        return cls(np.clip(1 - come, 0, 1), np.clip(1 - go, 0, 1), daughter * n + mother, link)

    def between(self, mother: Ints, daughter: Ints) -> Floats:
        """Probabilities of links, of any shape; 0 where there is no candidate."""
        key = daughter * len(self.starts) + mother
        if not len(self.key):
            return np.zeros(key.shape)
        at = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return np.where(self.key[at] == key, self.link[at], 0.0)


def nearest_in(detections: Detections, places: Floats, frame: Ints, k: int) -> Ints:
    """(Q, k) the nearest cells of a frame for each of Q places, nearest first; -1 where there are fewer.

    Args:
        detections: The movie's cells.
        places: (Q, D) in pixels of x.
        frame: (Q,) the frame to look in, not decreasing; outside the movie there are no cells.
        k: How many.
    """
    found = np.full((len(places), k), -1)
    bounds = np.searchsorted(frame, np.arange(detections.n_frames + 1))
    for t in range(detections.n_frames):
        cells, asked = detections.in_frame(t), slice(int(bounds[t]), int(bounds[t + 1]))
        n = cells.stop - cells.start
        if n and asked.stop > asked.start:
            tree = cKDTree(detections.isotropic_coords[cells])
            near = np.asarray(tree.query(places[asked], k=np.arange(1, min(k, n) + 1))[1])
            found[asked, : near.shape[1]] = near + cells.start
    return found


def as_two(detections: Detections, bodies: Bodies, posterior: Ends, step: int) -> Floats:
    """(N, P, F) what speaks for each cell being two cells of the frame before (step -1) or after (1).

    P pairs of the `NEAREST` cells of that frame; their features are those of `PAIR`. Of a pair that there is not, they
    are what speaks most against it.
    """
    cells = np.arange(len(detections))
    near = nearest_in(detections, bodies.place, detections.frame + step, NEAREST)
    one, two = np.triu_indices(NEAREST, 1)
    a, b = near[:, one], near[:, two]
    both = bodies[a] + bodies[b]
    own = _linked(posterior, cells[:, None], a, step) + _linked(posterior, cells[:, None], b, step)
    loose = posterior.ends if step < 0 else posterior.starts
    # the likelier relative's size is what one cell would have
    first = _linked(posterior, cells[:, None], a, step) >= _linked(posterior, cells[:, None], b, step)
    alone = np.where(first, bodies.size[a], bodies.size[b])
    here = bodies[cells[:, None].repeat(len(one), 1)]
    return _features(here, both, alone, own, np.maximum(loose[a], loose[b]), (a >= 0) & (b >= 0))


def as_part(detections: Detections, bodies: Bodies, posterior: Ends, partner: Ints, step: int) -> Floats:
    """(N, K, 2, F) what speaks for each cell and each of K partners being one cell of the frame before, or after.

    Args:
        detections: The movie's cells.
        bodies: Theirs.
        posterior: What is known of their links.
        partner: (N, K) other cells of the frame, -1 for none.
        step: -1 for the frame before, 1 for the one after.

    Returns:
        The features of `PAIR` for each of the two cells there that are nearest to the pair.
    """
    n, k = partner.shape
    cells = np.arange(n)[:, None]
    both = bodies[cells.repeat(k, 1)] + bodies[partner]
    frame = np.repeat(detections.frame + step, k)
    whole = nearest_in(detections, both.place.reshape(n * k, -1), frame, 2).reshape(n, k, 2)
    i, j = cells[..., None], partner[..., None]
    p, q = _linked(posterior, i, whole, step), _linked(posterior, j, whole, step)
    loose = posterior.starts if step < 0 else posterior.ends
    loosest = np.maximum(loose[i], loose[j])
    size = np.where(p >= q, bodies.size[i], bodies.size[j])
    pair = Bodies(both.place[:, :, None], both.size[:, :, None], both.covariance[:, :, None])
    return _features(bodies[whole], pair, size, p + q, loosest, (j >= 0) & (whole >= 0))


PAIR = ("size", "size_alone", "shift", "linked", "loose", "division")
"""Features of a pair of cells that may be one cell of another frame: how far its size is from their sum's logarithm;
from that of one of them (above 0 where it is larger); how far it is from their centre, in radii; probability that it is
linked to one; that one of them is linked to nothing in its frame; and that it is linked to both."""


def _features(
    whole: Bodies, pair: Bodies, alone: Floats, linked: Floats, loose: Floats, there: NDArray[np.bool_]
) -> Floats:
    shift = np.linalg.norm(whole.place - pair.place, axis=-1) / whole.radius
    columns = (
        np.minimum(np.abs(np.log(whole.size / pair.size)), _LARGEST),
        np.clip(np.log(whole.size / alone), -_LARGEST, _LARGEST),
        np.minimum(shift, _FARTHEST),
        np.minimum(linked, 1.0),
        loose,
        np.clip(linked - 1, 0, 1),
    )
    worst = (_LARGEST, 0.0, _FARTHEST, 0.0, 0.0, 0.0)
    shape = np.broadcast_shapes(*(column.shape for column in columns))
    return np.stack(
        [
            np.where(there, np.broadcast_to(column, shape), bad)
            for column, bad in zip(columns, worst, strict=True)
        ],
        -1,
    )


def _linked(posterior: Ends, cell: Ints, other: Ints, step: int) -> Floats:
    found = posterior.between(other, cell) if step < 0 else posterior.between(cell, other)
    return np.where(other >= 0, found, 0.0)
