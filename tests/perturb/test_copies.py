"""The fast paths of perturbed masks against their plain definition, written out here with scipy."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from torchtrack_uq import ActivityTracker, Detections, FeaturePerturbation, InputError, Movie, OverlapTracker
from torchtrack_uq.movies.features import index_regions
from torchtrack_uq.perturb import NoiseSizes, Perturbation, draw_perturbation, masks
from torchtrack_uq.trackers import Tracker

STRONG = NoiseSizes(position=0.08, size=0.1, boundary=0.05)


def touching_cells() -> np.ndarray:
    """Three frames full of cells that share boundaries, with odd labels, beside background."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(3):
        points = rng.uniform(0, 60, (40, 2))
        where = np.stack(np.indices((60, 55)), axis=-1)
        cell = ((where[:, :, None] - points) ** 2).sum(-1).argmin(-1)
        frames.append(np.where(cell < 25, 3 * cell + 5, 0))
    return np.stack(frames).astype(np.uint16)


def cells_in_3d() -> np.ndarray:
    frames = np.zeros((3, 9, 30, 28), np.int32)
    for t in range(3):
        z, y, x = np.indices(frames.shape[1:])
        for label, centre in ((4, (4, 9, 8 + t)), (2, (3, 9, 16 + t)), (9, (5, 20, 14))):
            ball = sum((a - c) ** 2 for a, c in zip((2 * z, y, x), (2 * centre[0], *centre[1:]), strict=True))
            frames[t][(ball < 30) & (frames[t] == 0)] = label
    return frames


def empty_frames() -> np.ndarray:
    frames = np.zeros((6, 30, 30), np.uint8)
    frames[1, 5:12, 5:12] = frames[2, 6:13, 5:12] = frames[4, 8, 8] = frames[5, 3:9, 0:9] = 7
    frames[2, 13:20, 5:12] = 1
    return frames


def one_cell() -> np.ndarray:
    frames = np.zeros((2, 20, 24), np.uint16)
    frames[0, 4:13, 5:17] = frames[1, 5:15, 5:17] = 300
    return frames


MADE_UP = (touching_cells, cells_in_3d, empty_frames, one_cell)


def movie_of(frames: np.ndarray) -> tuple[Movie, Detections]:
    images = np.random.default_rng(1).integers(0, 1000, frames.shape).astype(np.uint16)
    movie = Movie.open(images, frames)
    return movie, Detections.from_movie(movie, progress=False)


def redrawn(mask: np.ndarray, noise: Perturbation, cells: slice, sizes: NoiseSizes) -> np.ndarray:
    """One mask under noise, by the formula of `Band.kept` in whole frames."""
    where, label, cell = index_regions(mask)
    if not len(label):
        return mask
    of = np.full(mask.shape, -1)
    of.ravel()[where] = cell
    touches = np.zeros(mask.shape, bool)
    for axis in range(mask.ndim):
        for step in (1, -1):
            other = np.roll(of, step, axis)
            edge = [slice(None)] * mask.ndim
            edge[axis] = 0 if step == 1 else -1
            other[tuple(edge)] = -1
            touches |= (of >= 0) & (other >= 0) & (other != of)
    outside, nearest = ndimage.distance_transform_edt(of < 0, return_indices=True)
    inside = ndimage.distance_transform_edt((of >= 0) & ~touches)
    distance = np.where(of >= 0, np.maximum(inside - 0.5, 0.5), 0.5 - outside).astype(np.float32)
    owner = of[tuple(nearest)]
    centre = np.array([np.argwhere(of == i).mean(axis=0)[-2:] for i in range(len(label))])
    y, x = np.indices(mask.shape)[-2:]
    angle = np.arctan2(y - centre[owner, 0], x - centre[owner, 1]).astype(np.float32)
    offset = distance.astype(np.float64)
    for d, size in enumerate(mask.shape):
        if size > 1:
            offset = offset - noise.shift[cells][owner, d] * np.gradient(distance, axis=d)
    offset += (np.expm1(noise.growth[cells]) * noise.diameter[cells] / 2)[owner]
    for k, harmonic in enumerate((2, 3, 4)):
        cosine, sine = (noise.bumps[cells][owner, 2 * k + j] for j in (0, 1))
        offset += cosine * np.cos(harmonic * angle) + sine * np.sin(harmonic * angle)
    relative = np.sqrt(sizes.position**2 + (sizes.size / 2) ** 2 + sizes.boundary**2)
    band = np.abs(distance) < 1.0 + 3.0 * relative * noise.diameter[cells].max()
    keep = offset > 0
    for i in range(len(label)):
        mine = np.flatnonzero((band & (owner == i)).ravel())
        if len(mine):
            keep.ravel()[mine[np.lexsort((mine, distance.ravel()[mine]))[-1]]] |= (of == i).any()
    return np.where(band, np.where(keep, label[owner], 0), mask)


@pytest.mark.parametrize("frames", MADE_UP)
@pytest.mark.parametrize("sizes", [NoiseSizes(), STRONG])
def test_masks_are_those_of_the_definition(frames, sizes: NoiseSizes) -> None:
    movie, cells = movie_of(frames())
    copies = FeaturePerturbation(4, sizes).copies(cells, movie)
    changed = 0
    for r, (_, noisy) in enumerate(copies):
        noise = draw_perturbation(cells, sizes, np.random.default_rng([0, r]))
        for t in range(movie.n_frames):
            mask = movie.read_mask(t)
            np.testing.assert_array_equal(
                noisy.read_mask(t), redrawn(mask, noise, cells.in_frame(t), sizes), strict=False
            )
            changed += int((noisy.read_mask(t) != mask).sum())
    assert changed > 0 or sizes is not STRONG


def test_masks_of_a_real_movie_are_those_of_the_definition(hela: Movie) -> None:
    frames = np.stack([hela.read_mask(t)[:200, :300] for t in (0, 1)])
    movie, cells = movie_of(frames)
    ((_, noisy),) = FeaturePerturbation(1).copies(cells, movie)
    noise = draw_perturbation(cells, NoiseSizes(), np.random.default_rng([0, 0]))
    for t in (0, 1):
        expected = redrawn(movie.read_mask(t), noise, cells.in_frame(t), NoiseSizes())
        np.testing.assert_array_equal(noisy.read_mask(t), expected)


@pytest.mark.parametrize("tracker", [OverlapTracker(), ActivityTracker()])
@pytest.mark.parametrize("frames", MADE_UP)
@pytest.mark.parametrize("sizes", [NoiseSizes(), STRONG])
def test_scored_together_copies_are_what_they_are_alone(tracker: Tracker, frames, sizes: NoiseSizes) -> None:
    movie, cells = movie_of(frames())
    copies = FeaturePerturbation(5, sizes).copies(cells, movie)
    together = tracker.candidates_of_copies(cells, movie, copies, progress=False)
    alone = [tracker.candidates(noisy, its_movie, progress=False) for noisy, its_movie in copies]
    assert len(together) == 5
    for a, b in zip(together, alone, strict=True):
        for name in ("mother", "daughter", "score", "appear", "coords"):
            assert torch.equal(getattr(a, name), getattr(b, name))


def test_frames_of_copies_are_their_masks() -> None:
    movie, cells = movie_of(touching_cells())
    copies = FeaturePerturbation(3, STRONG).copies(cells, movie)
    for t, frame in enumerate(copies.frames()):
        label = np.concatenate([[0], cells.label[cells.in_frame(t)]])
        for r, (_, noisy) in enumerate(copies):
            pixels = label[frame.owner]
            pixels[frame.band[~frame.kept[:, r]]] = 0
            np.testing.assert_array_equal(pixels, noisy.read_mask(t).ravel())


def test_without_room_to_keep_boundaries_masks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    movie, cells = movie_of(touching_cells())
    perturbation = FeaturePerturbation(2, STRONG)
    usual = [list(noisy.masks) for _, noisy in perturbation.copies(cells, movie)]
    monkeypatch.setattr(masks, "_MOST_BYTES", 0)
    cramped = [list(noisy.masks) for _, noisy in perturbation.copies(cells, movie)]
    np.testing.assert_array_equal(usual, cramped)


def test_a_cell_that_fills_the_frame_has_no_boundary() -> None:
    movie, cells = movie_of(np.full((2, 12, 14), 3, np.uint8))
    for _, noisy in FeaturePerturbation(2, STRONG).copies(cells, movie):
        assert (noisy.read_mask(0) == 3).all()


def test_frames_of_points_and_of_other_masks_are_refused() -> None:
    _, cells = movie_of(one_cell())
    with pytest.raises(InputError, match="give the movie"):
        next(FeaturePerturbation(2).copies(cells).frames())
    with pytest.raises(InputError, match="holds other cells in frame 0"):
        next(FeaturePerturbation(2).copies(cells, Movie.open(None, one_cell() * 2)).frames())
