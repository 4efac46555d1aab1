"""Noise on features and masks, as the trackers see it."""

import numpy as np
import pytest
import torch

from tests.support.probabilities import check_probabilities
from torchtrack_uq import (
    Detections,
    DistanceTracker,
    FeaturePerturbation,
    FrequencyPosterior,
    InputError,
    Movie,
    NoiseSizes,
    OverlapTracker,
)
from torchtrack_uq.movies.frames import FrameSource


def test_without_noise_masks_stay_as_they_are(hela: Movie, hela_cells: Detections) -> None:
    ((cells, movie),) = FeaturePerturbation(1, NoiseSizes.none()).copies(hela_cells, hela)
    assert movie is not None
    assert np.array_equal(cells.coords, hela_cells.coords)
    for t in (0, 7):
        assert np.array_equal(movie.read_mask(t), hela.read_mask(t))


class TestNoise:
    def test_is_the_same_for_the_same_seed_and_other_for_another(self, crowd: Detections) -> None:
        tracker = DistanceTracker()
        first, again, other = (
            FeaturePerturbation(4, seed=s)(tracker, crowd, progress=False) for s in (1, 1, 2)
        )
        assert torch.equal(first.score, again.score)
        assert first.score.shape != other.score.shape or not torch.equal(first.score, other.score)
        fewer = FeaturePerturbation(2, seed=1).copies(crowd)
        more = FeaturePerturbation(3, seed=1).copies(crowd)
        for (a, _), (b, _) in zip(fewer, more, strict=False):
            assert np.array_equal(a.coords, b.coords)

    def test_has_the_stated_size_in_units_of_the_cell(self, hela_cells: Detections) -> None:
        sizes = NoiseSizes(position=0.1, size=0.05, intensity=0.02)
        ((noisy, _),) = FeaturePerturbation(1, sizes).copies(hela_cells)
        diameter = hela_cells.features["equivalent_diameter_area"]
        assert ((noisy.coords - hela_cells.coords) / diameter).std() == pytest.approx(0.1, rel=0.05)
        ratio = noisy.features["equivalent_diameter_area"] / diameter
        assert np.log(ratio).std() == pytest.approx(0.05, rel=0.05)
        np.testing.assert_allclose(
            noisy.features["inertia_tensor"], hela_cells.features["inertia_tensor"] * ratio**2, rtol=1e-4
        )
        change = noisy.features["intensity_mean"] - hela_cells.features["intensity_mean"]
        assert change.std() == pytest.approx(0.02, rel=0.05)

    def test_moves_masks_with_their_cells(self, hela: Movie) -> None:
        """Measured again, perturbed masks have the perturbed centroids and sizes, and every cell is still there."""
        corner = Movie(_Corner(hela.masks))
        hela_cells = Detections.from_movie(corner, progress=False)
        sizes = NoiseSizes(position=0.06, size=0.04, boundary=0.01)
        ((noisy, movie),) = FeaturePerturbation(1, sizes).copies(hela_cells, corner)
        assert movie is not None
        found = Detections.from_movie(Movie(movie.masks), progress=False)
        assert np.array_equal(found.label, hela_cells.label)
        shift, wanted = found.coords - hela_cells.coords, noisy.coords - hela_cells.coords
        assert np.corrcoef(shift.ravel(), wanted.ravel())[0, 1] > 0.9
        grown, grow = (
            np.log(x.features["equivalent_diameter_area"] / hela_cells.features["equivalent_diameter_area"])
            for x in (found, noisy)
        )
        assert np.corrcoef(grown.ravel(), grow.ravel())[0, 1] > 0.8

    def test_leaves_frames_without_cells_and_single_pixels(self) -> None:
        masks = np.zeros((3, 16, 16), np.uint16)
        masks[0, 4, 4], masks[2, 8:11, 8:11] = 5, 7
        movie = Movie.open(None, masks)
        cells = Detections.from_movie(movie, progress=False)
        for _, noisy in FeaturePerturbation(20, NoiseSizes(0.3, 0.3, 0.0, 0.1)).copies(cells, movie):
            assert noisy is not None
            assert [set(np.unique(noisy.read_mask(t))) for t in range(3)] == [{0, 5}, {0}, {0, 7}]

    @pytest.mark.parametrize("bad", [{"position": -1.0}, {"size": float("nan")}, {"boundary": np.inf}])
    def test_of_impossible_size_is_refused(self, bad: dict[str, float]) -> None:
        with pytest.raises(InputError, match="noise of"):
            NoiseSizes(**bad)

    def test_in_no_copy_at_all_is_refused(self) -> None:
        with pytest.raises(InputError, match="n_copies must be at least 1"):
            FeaturePerturbation(0)


def test_overlap_tracker_sees_perturbed_masks(hela: Movie, hela_cells: Detections) -> None:
    corner = Movie(_Corner(hela.masks))
    cells = Detections.from_movie(corner, progress=False)
    scores = FeaturePerturbation(3)(OverlapTracker(), cells, corner, progress=False)
    overlapping = (scores.score > scores.appear[:, scores.graph.daughter]).all(0)  # others have a fixed cost
    offered = (scores.score > -torch.inf).all(0) & overlapping
    assert (scores.score[:, offered].std(0) > 0).float().mean() > 0.9
    check_probabilities(FrequencyPosterior()(scores))


class _Corner(FrameSource):
    """The first four frames of a corner of a frame source."""

    def __init__(self, source: FrameSource) -> None:
        self.source, self.name, self.n_frames, self.frame_shape = source, "corner", 4, (300, 400)
        self.dtype = source.dtype

    def read(self, t: int) -> np.ndarray:
        return self.source.read(t)[:300, :400]
