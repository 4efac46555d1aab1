"""What is known of every cell that says what may happen to it: how far the border is, and how large it is."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.names import COVARIATES
from torchtrack_uq.links.perturbed_scores import PerturbedScores
from torchtrack_uq.movies.detections import Detections

Floats = NDArray[np.float64]
Scores = TypeVar("Scores", CandidateGraph, PerturbedScores)

_DIAMETER = "equivalent_diameter_area"
_NEIGHBOURS = 9  # the cell itself is one
_LARGEST = 2.0  # doublings; more is another kind of cell, or an error of the mask
_SHORTEST = 0.5  # pixels


def with_covariates(scores: Scores, detections: Detections) -> Scores:
    """The same scores with the covariates of their cells, which an `EventModel` looks at.

    They are measured without noise, also of scores under noise.

    Raises:
        InputError: The detections are other cells, or a diameter is not a finite number.

    >>> cells = Detections.from_points(np.array([0, 0, 1]), np.array([[0.0, 0], [8, 8], [3, 4]]))
    >>> graph = CandidateGraph.from_links(cells, [0], [2], [0.0])
    >>> with_covariates(graph, cells).covariates[:, 0]  # the cell moved 5 pixels, and is 3 away from the border
    tensor([0.0000, 0.0000, 0.6000])
    """
    if isinstance(scores, PerturbedScores):
        return replace(scores, graph=with_covariates(scores.graph, detections))
    return replace(scores, covariates=cell_covariates(detections, scores))


def cell_covariates(detections: Detections, graph: CandidateGraph) -> torch.Tensor:
    """Numbers that mean the same in every movie, by `COVARIATES`.

    - `border`: distance of the centroid to the nearest border of the field in y or x, in reaches: a reach is how far a
      cell typically is from the nearest candidate in the frame before (median), and a typical radius. Detections
      without a field (`Detections.field_shape`), such as points, have the box around all of them as field.
    - `size`: doublings of area (of volume in 3D) against the median of the cell and its eight nearest neighbours.
    - `shrinking`: doublings against the geometric mean of the two nearest candidate daughters in the next frame; 1 for
      a cell that divides into halves. 0 with fewer candidates.

    Sizes count to two doublings, and are 0 where no `equivalent_diameter_area` was measured.

    Args:
        detections: N cells.
        graph: Candidate links between them.

    Returns:
        (N, 3) float32 on the graph's device.

    Raises:
        InputError: As `with_covariates`.
    """
    if len(detections) != graph.n_cells:
        raise InputError(
            f"there are {len(detections)} detections and {graph.n_cells} cells in the graph; expected the same"
        )
    if graph.n_movies > 1:
        raise InputError("covariates are measured movie by movie: add them before movies are batched")
    step, shrinking = _step_and_shrinking(detections, graph)
    size = _log_size(detections)
    radius = 0.0
    if size is not None and len(size):
        radius = float(np.median(detections.features[_DIAMETER][:, 0])) / 2
    columns = {
        "border": distance_to_border(detections) / max(step + radius, _SHORTEST),
        "size": np.zeros(len(detections)) if size is None else _against_neighbours(detections, size),
        "shrinking": shrinking,
    }
    table = np.stack([columns[name] for name in COVARIATES], axis=1)
    return torch.from_numpy(table.astype(np.float32)).to(graph.device)


def distance_to_border(
    detections: Detections,
    field_shape: tuple[int, ...] | None = None,
    *,
    depth: bool = False,
    margin: float = 0.0,
) -> Floats:
    """(N,) distance of each centroid to the nearest border of the field in y or x, in pixels of x, 0 beyond it.

    Borders are the centres of the outermost pixels.

    Args:
        detections: N cells.
        field_shape: (Y, X) or (Z, Y, X); by default that of the detections, or the box around all of them.
        depth: Whether the first and the last plane of a stack are borders, too.
        margin: How many pixels (along z, planes) farther out the borders are; 0.5 for the outermost pixels' edges.

    >>> distance_to_border(Detections.from_points(np.zeros(3, int), np.array([[0.0, 0], [9, 9], [4, 6]])))
    array([0., 0., 3.])
    """
    axes = slice(None) if depth else slice(-2, None)
    place = detections.coords[:, axes].astype(np.float64)
    if not len(place):
        return np.zeros(0)
    field = detections.field_shape if field_shape is None else field_shape
    if field is None:
        low, high = place.min(axis=0), place.max(axis=0)
    else:
        low, high = np.zeros(place.shape[1]), np.array(field[axes]) - 1.0
    inside = np.maximum(np.minimum(place - low, high - place), 0.0) + margin
    nearest: Floats = (inside * detections.aspect[axes]).min(axis=1)
    return nearest


def _log_size(detections: Detections) -> Floats | None:
    """(N,) size in doublings, None where it was not measured."""
    if _DIAMETER not in detections.features:
        return None
    diameter = detections.features[_DIAMETER][:, 0].astype(np.float64)
    if not np.isfinite(diameter).all():
        i = int(np.flatnonzero(~np.isfinite(diameter))[0])
        raise InputError(f"{_DIAMETER} of cell {i} is {diameter[i]}; expected a finite number of pixels")
    log_size: Floats = detections.ndim * np.log2(np.maximum(diameter, _SHORTEST))
    return log_size


def _against_neighbours(detections: Detections, size: Floats) -> Floats:
    found = np.zeros(len(size))
    for t in range(detections.n_frames):
        cells = detections.in_frame(t)
        n = min(_NEIGHBOURS, cells.stop - cells.start)
        if n > 1:
            place = detections.isotropic_coords[cells]
            _, near = cKDTree(place).query(place, k=n)
            found[cells] = size[cells] - np.median(size[cells][near], axis=1)
    return found.clip(-_LARGEST, _LARGEST)


def _step_and_shrinking(detections: Detections, graph: CandidateGraph) -> tuple[float, Floats]:
    """Typical distance to the nearest candidate in the frame before, and how much daughters are smaller."""
    offered = (graph.gap == 1) & (graph.score.detach() > -torch.inf)
    mother, daughter = (ends[offered].cpu().numpy() for ends in (graph.mother, graph.daughter))
    shrinking = np.zeros(len(detections))
    if not len(mother):
        return 0.0, shrinking
    coords = detections.isotropic_coords
    distance = np.linalg.norm(coords[mother] - coords[daughter], axis=1)
    nearest = np.full(len(detections), np.inf)
    np.minimum.at(nearest, daughter, distance)
    step = float(np.median(nearest[np.isfinite(nearest)]))
    size = _log_size(detections)
    if size is None:
        return step, shrinking
    order = np.lexsort((distance, mother))
    ranked, heirs = mother[order], daughter[order]
    second = np.flatnonzero((ranked[1:] == ranked[:-1]) & np.append(True, ranked[1:-1] != ranked[:-2])) + 1
    cell = ranked[second]
    shrinking[cell] = size[cell] - (size[heirs[second]] + size[heirs[second - 1]]) / 2
    return step, shrinking.clip(-_LARGEST, _LARGEST)
