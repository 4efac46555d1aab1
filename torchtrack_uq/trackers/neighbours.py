"""Candidate links by distance between centroids, in space: where planes lie farther apart, so do cells in them."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import gammaincinv

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.checks import check_max_gap
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.utils.cores import in_threads

_HALF_A_PIXEL = 0.5
_SPACINGS = 40  # a table in pixels whose points lie 20 or more apart keeps the half
_QUANTILE = 0.9
_MUTUAL_QUANTILE = 0.95  # pairs that are nearest to each other leave out part of the tail
_MOSTLY_MUTUAL = 5 / 6

Links = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
Motion = NDArray[np.float64] | None


def neighbour_links(
    detections: Detections,
    radius: float | Sequence[float],
    max_candidates: int | None = None,
    max_gap: int = 1,
    motion: Motion = None,
) -> Links:
    """All pairs of cells up to `max_gap` frames apart whose centroids are at most `radius` apart.

    Args:
        detections: The movie's cells.
        radius: Largest distance in pixels of x (`Detections.isotropic_coords`), positive: one for all pairs, or one for
            each number of frames between them, 1 to `max_gap`, as cells move farther the longer they are not seen.
        max_candidates: Keep only this many nearest mothers of each daughter in each of the frames before; all if None.
        max_gap: How many frames apart the cells of a pair may be, at least 1.
        motion: (N, max_gap, D) how far the surroundings of each cell have moved since 1, ..., `max_gap` frames before
            (`motion_since`), which distances leave out; None for nothing.

    Returns:
        Index of the mother and of the daughter, int64, and their distance in pixels, float64; each (E,).

    Raises:
        InputError: A radius, `max_candidates` or `max_gap` out of range, or not one radius for each number of frames.

    >>> cells = Detections.from_points(np.array([0, 0, 1, 2]), np.array([[0.0, 0], [9, 0], [1, 0], [3, 0]]))
    >>> neighbour_links(cells, radius=5)
    (array([0, 2]), array([2, 3]), array([1., 2.]))
    >>> neighbour_links(cells, radius=[5, 7], max_gap=2)[:2]
    (array([0, 2, 0, 1]), array([2, 3, 3, 3]))
    """
    check_max_gap(max_gap)
    radii = (
        [float(r) for r in radius] if isinstance(radius, Sequence | np.ndarray) else [float(radius)] * max_gap
    )
    if len(radii) != max_gap:
        raise InputError(
            f"{len(radii)} radii are given for cells up to {max_gap} frames apart; expected one number, or {max_gap}"
        )
    if not all(r > 0 for r in radii):
        raise InputError(f"radius must be positive, got {radius}")
    if max_candidates is not None and max_candidates < 1:
        raise InputError(f"max_candidates must be at least 1, got {max_candidates}")
    found = [
        links
        for gap, reach in enumerate(radii, start=1)
        for links in _links_over(detections, gap, reach, max_candidates, motion)
    ]
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    mother, daughter, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return mother.astype(np.int64), daughter.astype(np.int64), distance.astype(np.float64)


def _links_over(
    detections: Detections, gap: int, radius: float, max_candidates: int | None, motion: Motion
) -> Iterator[Links]:
    """Pairs of cells exactly `gap` frames apart, frame after frame."""
    coords = detections.isotropic_coords
    came_from = _before(detections, gap, motion)

    def links(pair: tuple[slice, slice]) -> Links:
        mothers, daughters = pair
        tree = cKDTree(coords[mothers])
        if max_candidates is None:
            pairs = cKDTree(came_from[daughters]).sparse_distance_matrix(tree, radius, output_type="ndarray")
            daughter, mother, distance = pairs["i"], pairs["j"], pairs["v"]
        else:
            k = min(max_candidates, mothers.stop - mothers.start)
            near, which = map(
                np.asarray,
                tree.query(came_from[daughters], k=np.arange(1, k + 1), distance_upper_bound=radius),
            )
            daughter, column = np.nonzero(np.isfinite(near))
            mother, distance = which[daughter, column], near[daughter, column]
        return mother + mothers.start, daughter + daughters.start, distance

    yield from in_threads(links, _frame_pairs(detections, gap))


def _before(detections: Detections, gap: int, motion: Motion) -> NDArray[np.float64]:
    """(N, D) where each cell would have been `gap` frames before, had it moved as its surroundings did."""
    coords = detections.isotropic_coords
    return coords if motion is None else coords - motion[:, gap - 1]


def _frame_pairs(detections: Detections, gap: int) -> Iterator[tuple[slice, slice]]:
    """The cells of each two frames that lie `gap` apart and both hold some."""
    for t in range(gap, detections.n_frames):
        mothers, daughters = detections.in_frame(t - gap), detections.in_frame(t)
        if mothers.start < mothers.stop and daughters.start < daughters.stop:
            yield mothers, daughters


def can_be_linked(detections: Detections, max_gap: int = 1) -> bool:
    """Whether any two frames up to `max_gap` apart both hold cells."""
    return any(True for gap in range(1, max_gap + 1) for _ in _frame_pairs(detections, gap))


def typical_displacement(detections: Detections, gap: int = 1) -> float:
    """Estimate how far cells move in `gap` frames, in pixels per axis, without linking them.

    Where cells move less than they are apart, the distance from a cell to the nearest one of the frame before
    is the length of its displacement, whose 90th percentile is 2.15 (2D) or 2.50 (3D) standard deviations per
    axis for a normal distribution. That percentile rather than the median, since displacements have heavy
    tails; for faster cells it saturates at the distance between neighbours. At least half a pixel; for points at least
    half a unit or a fortieth of the distance between neighbours, whichever is less, so that their unit does not matter.

    Raises:
        InputError: No two frames that far apart both hold cells.

    >>> typical_displacement(Detections.from_points(np.array([0, 1]), np.array([[0.0, 0], [3, 4]])))
    2.32...
    """
    return _spread(_nearest(detections, gap)[0], detections, gap)


def _nearest(
    detections: Detections, gap: int, motion: Motion = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(N,) distance of each cell to the nearest one `gap` frames before, NaN if there is none; whether it is mutual.

    Mutual: of the cells of her own frame, she is the nearest one to that cell.
    """
    coords, came_from = detections.isotropic_coords, _before(detections, gap, motion)
    nearest, mutual = np.full(len(detections), np.nan), np.zeros(len(detections), np.bool_)

    def look(pair: tuple[slice, slice]) -> None:
        mothers, daughters = pair
        nearest[daughters], to = map(np.asarray, cKDTree(coords[mothers]).query(came_from[daughters]))
        back = np.asarray(cKDTree(came_from[daughters]).query(coords[mothers])[1])
        mutual[daughters] = back[to] == np.arange(len(to))

    list(in_threads(look, _frame_pairs(detections, gap)))
    return nearest, mutual


def _spread(
    nearest: NDArray[np.float64], detections: Detections, gap: int, quantile: float = _QUANTILE
) -> float:
    nearest = nearest[~np.isnan(nearest)]
    if not len(nearest):
        frames = "consecutive frames hold cells" if gap == 1 else f"frames {gap} apart both hold cells"
        raise InputError(f"no two {frames}, so no displacement can be estimated: give a scale")
    chi2 = 2 * gammaincinv(detections.ndim / 2, quantile)  # its quantile; scipy.stats takes long to import
    reach = float(np.quantile(nearest, quantile) / np.sqrt(chi2))
    return reach if reach >= _HALF_A_PIXEL else max(reach, _least_spread(detections))


def _least_spread(detections: Detections) -> float:
    """Half a pixel, which centroids do not beat; of points, whose unit may be a millimetre, less if they lie close."""
    apart = 0.0 if "equivalent_diameter_area" in detections.features else spacing(detections)
    return min(_HALF_A_PIXEL, apart / _SPACINGS) if apart > 0 else _HALF_A_PIXEL


def typical_displacements(detections: Detections, max_gap: int, motion: Motion = None) -> NDArray[np.float64]:
    """How far cells move in 1, 2, ... `max_gap` frames, in pixels per axis: `typical_displacement` of each.

    How it grows says how cells move. A random walk spreads with the square root of the time, a straight path with the
    time; the estimate is kept between the two. Below it fails in crowded movies, where the nearest cell is another one
    after a few frames, above where many cells were missed and the nearest one found is another. (Ten annotated movies
    at every and every fourth frame: over two frames cells spread 1.28 to 2.45 times as far as over one; the estimate
    without bounds said 1.00 to 2.45 on all cells, up to 3.18 with 5 % of them deleted.)

    With more than one frame to look at, cells count only where the nearest one is probably they themselves:

    - Not those whose nearest one in another frame is less than half as far (by the frame, if that frame is nearer):
      they were probably missed here, and what is nearest is another cell. (HeLa: 3.0 pixels on all cells; with one in
      ten deleted and one in fifty each merged, split and made up 12.7, and 4.9 by this rule.)
    - Of these, those that are nearest to each other, at their 95th percentile: a cell whose mother was missed is
      rarely nearest to the mother of another. Where fewer than five in six are, cells move as far as they are apart,
      pairs are mutual since they happen to be near, and all count. (mouse-epidermis with 5 % deleted: 4.6 pixels for
      6.0 without this rule, and 51 for 7 % of the true mothers found over gaps.)

    Args:
        detections: The movie's cells.
        max_gap: How many frames to look ahead, at least 1.
        motion: As for `neighbour_links`: then how far cells move beside their surroundings.

    Returns:
        (max_gap,) float64, increasing. Where no two frames that far apart hold cells, as for a random walk.

    Raises:
        InputError: No two frames up to `max_gap` apart both hold cells.

    >>> cells = Detections.from_points(np.arange(3), np.array([[0.0, 0], [3, 4], [6, 8]]))
    >>> typical_displacements(cells, 2)
    array([2.04..., 4.08...])
    """
    check_max_gap(max_gap)
    measured = _measured_spreads(detections, min(max_gap, max(detections.n_frames - 1, 1)), motion)
    if not measured:
        return np.array([typical_displacement(detections)])  # says what is missing
    shortest = min(measured)
    first = measured[shortest] / np.sqrt(shortest)
    growth = [
        np.clip(measured.get(gap, 0.0) / first, np.sqrt(gap), float(gap)) for gap in range(1, max_gap + 1)
    ]
    displacements: NDArray[np.float64] = first * np.maximum.accumulate(growth)
    return displacements


def _measured_spreads(detections: Detections, max_gap: int, motion: Motion) -> dict[int, float]:
    """Spread by gap, of the cells that count, see `typical_displacements`; none where no cells can be compared."""
    found = {gap: _nearest(detections, gap, motion) for gap in range(1, max_gap + 1)}
    found = {gap: (distance, mutual) for gap, (distance, mutual) in found.items() if mutual.any()}
    kept = {}
    for gap, (distance, _) in found.items():
        missed = np.zeros(len(distance), dtype=bool)
        for other_gap, (other, _) in found.items():
            missed |= 2 * max(gap / other_gap, 1) * other < distance  # a straight path grows with the gap
        if not np.isnan(distance[~missed]).all():
            kept[gap] = np.where(missed, np.nan, distance)
    if not kept:
        return {}
    known = ~np.isnan(kept[min(kept)])
    is_mutual = found[min(kept)][1]
    if max_gap == 1 or is_mutual[known].mean() < _MOSTLY_MUTUAL:
        return {gap: _spread(distance, detections, gap) for gap, distance in kept.items()}
    mutual = {gap: np.where(found[gap][1], distance, np.nan) for gap, distance in kept.items()}
    return {
        gap: _spread(distance, detections, gap, _MUTUAL_QUANTILE)
        for gap, distance in mutual.items()
        if not np.isnan(distance).all()
    }


REACH = 2.0
"""How many search ranges away a mother is still a candidate."""


def gaussian_with_tail(
    z: NDArray[np.float64], search_range: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Log of a Gaussian within the search range, falling as a power of the distance beyond it.

    A link beyond the range scores less than one at it, so that it is never preferred to having no mother. But it is
    a candidate: a tracker that offers the true mother of a fast cell nowhere is certain that the cell appeared, and
    no temperature mends that. (Measured on HeLa cells at every frame: area under the risk-coverage curve 0.087
    without and 0.003 with these links, after fitting a temperature.)

    Args:
        z: Distances in standard deviations, any shape.
        search_range: The range, likewise.

    Returns:
        -z² / 2 up to the range r, -r² / 2 - r log(z / r) beyond.

    >>> gaussian_with_tail(np.array([1.0, 4.0]), 2.0)
    array([-0.5       , -3.38629436])
    """
    within = np.minimum(z, search_range)
    beyond = np.log(np.maximum(z / search_range, 1.0))
    tail: NDArray[np.float64] = -(within**2) / 2 - search_range * beyond
    return tail


def spacing(detections: Detections) -> float:
    """Median distance of cells to the nearest other one of their frame, in pixels; 0 where no frame holds two.

    >>> spacing(Detections.from_points(np.array([0, 0, 1]), np.array([[0.0, 0], [3, 4], [9, 9]])))
    5.0
    """
    coords = detections.isotropic_coords
    frames = [coords[detections.in_frame(t)] for t in range(detections.n_frames)]

    def look(frame: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cKDTree(frame).query(frame, k=[2])[0]).ravel()

    nearest = list(in_threads(look, [frame for frame in frames if len(frame) > 1]))
    return float(np.median(np.concatenate(nearest))) if nearest else 0.0
