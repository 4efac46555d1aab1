"""Which cell of the masks each spot of another tracking is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from torchtrack_uq.errors import InputError
from torchtrack_uq.exchange.tracks import TrackTable
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie

Ints = NDArray[np.int64]
MAX_UNMATCHED = 0.2
"""Share of spots without a cell above which the masks are taken for those of another movie."""
_LABELS_AGREE = 0.9
_NEAR = 0.5
"""How far beside a cell's centroid a spot outside of it may lie, in diameters."""
_NEARER = 0.5
"""Share of the mean distance to centroids below which frames are said to count from another number."""


@dataclass(frozen=True)
class CellMatch:
    """N spots and the cells of a movie.

    Attributes:
        cell: (N,) int64, cell of each spot among the movie's, -1 for none.
        how: "labels", "positions" or "points": what they were told by.
        n_outside: Spots that lie in no cell of the masks.
        n_shared: Spots that lie in a cell that is another spot's already.
        n_without_spot: Cells that are no spot's.
        first_frame: Where spots lie nearer to the cells that many frames before: what the file calls the first frame.
    """

    cell: Ints
    how: str
    n_outside: int = 0
    n_shared: int = 0
    n_without_spot: int = 0
    first_frame: int = 0

    def sentence(self) -> str:
        """What did not match, in words; empty if everything did."""
        parts = []
        if self.n_outside:
            parts.append(f"{self.n_outside} spots lie in no cell of the masks")
        if self.n_shared:
            parts.append(f"{self.n_shared} spots share a cell with another spot")
        if self.n_without_spot:
            parts.append(f"{self.n_without_spot} cells of the masks are in no track of theirs")
        if self.first_frame:
            parts.append(
                f"the first spots are in frame {self.first_frame} and lie nearer to the cells that many frames before: "
                f"if the file counts from {self.first_frame}, say --first-frame {self.first_frame} (first_frame=)"
            )
        return "; ".join(parts)


def match_cells(
    tracks: TrackTable, detections: Detections, movie: Movie, *, max_unmatched: float = MAX_UNMATCHED
) -> CellMatch:
    """Find the cell of each spot: by its label, or by the mask at its position.

    Labels count where every spot's label is in its frame's mask, and nine in ten spots lie at the mask of their label
    (or there are no positions). Otherwise a spot is the cell whose mask it lies in, or the nearest one within half that
    cell's diameter, for centroids of bent cells. Of several spots in one cell the one nearest to its centroid has it.

    Args:
        tracks: With labels, or with positions in pixels.
        detections: The movie's cells.
        movie: The masks that they were measured on.
        max_unmatched: Largest share of spots that may be left without a cell.

    Raises:
        InputError: More spots than that are no cell, frames or dimensions that do not fit, or spots with labels only
            whose labels are not in the masks.
    """
    if tracks.frame.max() >= detections.n_frames:
        raise InputError(
            f"{tracks.source}: there are spots in frame {tracks.frame.max()}, but the masks have frames 0 to "
            f"{detections.n_frames - 1}; if the file counts from 1, say first_frame=1 (--first-frame 1)"
        )
    if tracks.coords is not None and tracks.coords.shape[1] != detections.ndim:
        raise InputError(
            f"{tracks.source}: positions have {tracks.coords.shape[1]} dimensions but the masks {detections.ndim}; "
            "expected those of the masks"
        )
    by_label = _by_label(tracks, detections)
    at = None if tracks.coords is None else _at_positions(tracks.frame, tracks.coords, detections, movie)
    first = _first_frame(tracks, detections)
    if by_label is not None and (by_label >= 0).all() and _agree(by_label, at):
        n_without = len(detections) - len(np.unique(by_label))
        return CellMatch(by_label, "labels", n_without_spot=n_without, first_frame=first)
    if at is None or tracks.coords is None:
        n_missing = 0 if by_label is None else int((by_label < 0).sum())
        raise InputError(
            f"{tracks.source}: {n_missing} of {len(tracks)} labels are not in the masks of their frames; expected the "
            "masks that were tracked"
        )
    cell, n_shared = _once(at, tracks.coords, detections)
    n_outside = int((at < 0).sum())
    if n_outside + n_shared > max_unmatched * len(tracks):
        unit = (
            f" Positions are in {tracks.unit}: give --pixel-size (in Python pixel_size)."
            if tracks.unit not in (None, "pixel")
            else ""
        )
        raise InputError(
            f"{tracks.source}: {n_outside} of {len(tracks)} spots lie in no cell of the masks and {n_shared} in one "
            f"that another spot is in, more than {max_unmatched:.0%}; expected the masks that were tracked, positions "
            f"in pixels (--pixel-size), and frames that count from 0 (--first-frame 1).{unit}"
        )
    taken = np.unique(cell[cell >= 0])
    return CellMatch(cell, "positions", n_outside, n_shared, len(detections) - len(taken), first)


def _first_frame(tracks: TrackTable, detections: Detections) -> int:
    """What their first frame is called by its number, if spots lie nearer to cells that many frames before; else 0."""
    first = int(tracks.frame.min())
    if first == 0 or tracks.coords is None:
        return 0
    away = [_to_nearest(tracks.frame - shift, tracks.coords, detections).mean() for shift in (0, first)]
    return first if away[1] < _NEARER * away[0] else 0


def _to_nearest(frame: Ints, coords: NDArray[np.float64], detections: Detections) -> NDArray[np.float64]:
    """(N,) from each position to the nearest centroid of a frame, infinite where there is no cell."""
    away = np.full(len(frame), np.inf)
    for t in np.unique(frame):
        spots, cells = np.flatnonzero(frame == t), detections.in_frame(int(t))
        if cells.start < cells.stop:
            tree = cKDTree(detections.isotropic_coords[cells])
            away[spots] = tree.query(coords[spots] * detections.aspect)[0]
    return away


def _by_label(tracks: TrackTable, detections: Detections) -> Ints | None:
    """(N,) the cell of that label in that frame, -1 where there is none."""
    if tracks.label is None:
        return None
    # ranks in place of labels, whose products with frames may not fit int64
    labels, rank = np.unique(np.concatenate([detections.label, tracks.label]), return_inverse=True)
    known = detections.frame * len(labels) + rank[: len(detections)]
    wanted = tracks.frame * len(labels) + rank[len(detections) :]
    at = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
    hit = known[at] == wanted if len(known) else np.zeros(len(wanted), np.bool_)
    return np.where(hit, at, -1).astype(np.int64)


def _agree(by_label: Ints, at: Ints | None) -> bool:
    return at is None or bool((by_label == at).mean() >= _LABELS_AGREE)


def _at_positions(frame: Ints, coords: NDArray[np.float64], detections: Detections, movie: Movie) -> Ints:
    """(N,) the cell that each position lies in, or that it lies near, -1 for none."""
    found = np.full(len(frame), -1, np.int64)
    size = detections.features.get("equivalent_diameter_area")
    for t in np.unique(frame):
        spots, cells = np.flatnonzero(frame == t), detections.in_frame(int(t))
        if cells.start == cells.stop:
            continue
        mask = movie.read_mask(int(t))
        pixel = np.rint(coords[spots]).astype(np.int64)
        inside = ((pixel >= 0) & (pixel < np.array(mask.shape))).all(axis=1)
        label = np.zeros(len(spots), np.int64)
        label[inside] = mask[tuple(pixel[inside].T)].astype(np.int64)
        labels = detections.label[cells]
        its = np.where(label > 0, np.searchsorted(labels, label) + cells.start, -1)
        distance, near = cKDTree(detections.isotropic_coords[cells]).query(coords[spots] * detections.aspect)
        near = np.asarray(near, dtype=np.int64) + cells.start
        reach = _NEAR * (np.ones(len(near)) * 2 if size is None else size[near, 0])
        found[spots] = np.where(its >= 0, its, np.where(distance <= reach, near, -1))
    return found


def _once(at: Ints, coords: NDArray[np.float64], detections: Detections) -> tuple[Ints, int]:
    """Each cell for the nearest of its spots only; how many spots that leaves without."""
    spots = np.flatnonzero(at >= 0)
    away = np.linalg.norm((coords[spots] - detections.coords[at[spots]]) * detections.aspect, axis=1)
    order = spots[np.lexsort((away, at[spots]))]
    later = (
        np.concatenate([[False], at[order[1:]] == at[order[:-1]]]) if len(order) else np.zeros(0, np.bool_)
    )
    cell = at.copy()
    cell[order[later]] = -1
    return cell, int(later.sum())
