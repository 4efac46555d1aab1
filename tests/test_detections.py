import numpy as np
import pytest
from skimage.measure import regionprops_table

from torchtrack_uq import Detections, InputError, Movie
from torchtrack_uq.movies.features import measure_frame
from torchtrack_uq.movies.intensity import IntensityScale


def test_real_features_are_those_of_trackastra(hela: Movie, hela_cells: Detections) -> None:
    from torchtrack_uq.trackers.trackastra.folder import import_trackastra

    import_trackastra()
    from trackastra.data import WRFeatures, get_features
    from trackastra.utils import normalize

    images, masks = np.stack(list(hela.images)), np.stack(list(hela.masks))
    expected = WRFeatures.concat(
        get_features(masks, normalize(images), "wrfeat", progbar_class=lambda x, **_: x)
    )
    np.testing.assert_array_equal(hela_cells.frame, expected.timepoints)
    np.testing.assert_array_equal(hela_cells.label, expected.labels)
    np.testing.assert_allclose(hela_cells.coords, expected.coords, rtol=1e-6)
    assert list(hela_cells.features) == list(expected.features)
    for name, values in expected.features.items():
        np.testing.assert_allclose(hela_cells.features[name], values, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("shape", [(40, 50), (6, 20, 25)], ids=["2d", "3d"])
@pytest.mark.parametrize("largest_label", [9, 2**31 - 1])
def test_measurements_are_those_of_skimage(shape: tuple[int, ...], largest_label: int) -> None:
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 6, [size // 5 + 1 for size in shape])
    labels = np.array([0, 1, 2, 5, 8, largest_label])
    mask = labels[np.kron(coarse, np.ones([5] * len(shape), int))[tuple(slice(0, n) for n in shape)]].astype(
        np.int64
    )
    image = rng.normal(size=shape)
    cells = measure_frame(mask, image)
    # skimage makes a slot for every label up to the largest, so it gets consecutive ones
    _, consecutive = np.unique(mask, return_inverse=True)
    expected = regionprops_table(
        consecutive.reshape(shape),
        image,
        properties=("centroid", "equivalent_diameter_area", "inertia_tensor", "intensity_mean"),
    )
    columns = list(expected.values())
    d = len(shape)
    np.testing.assert_array_equal(cells.label, np.unique(mask[mask > 0]))
    np.testing.assert_allclose(cells.centroid, np.stack(columns[:d], -1))
    np.testing.assert_allclose(cells.diameter, columns[d])
    np.testing.assert_allclose(cells.inertia, np.stack(columns[d + 1 : d + 1 + d * d], -1), atol=1e-9)
    np.testing.assert_allclose(cells.intensity, columns[-1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("size", [50, 300])
def test_intensity_limits_are_the_percentiles_of_the_whole_movie(dtype: type, size: int) -> None:
    rng = np.random.default_rng(2)
    movie = rng.normal(100, 30, (4, size, size)).clip(-60, 250)
    movie = (movie.clip(0) if np.dtype(dtype).kind == "u" else movie).astype(dtype)
    scale = IntensityScale(n_frames=len(movie))
    for image in movie:
        scale.add(image)
    step = 4 if size > 256 else 1
    np.testing.assert_allclose(
        scale.limits(),
        np.percentile(movie[:, ::step, ::step].astype(np.float32), (1, 99.8)),
        rtol=1e-5,
        atol=1e-4,
    )


def test_intensities_are_zero_without_images(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    cells = Detections.from_movie(Movie.open(None, blobs[1]), progress=False)
    assert not cells.has_images
    assert (cells.features["intensity_mean"] == 0).all()


def test_cells_are_found_by_frame_and_label(hela_cells: Detections) -> None:
    order = np.random.default_rng(0).permutation(len(hela_cells))
    np.testing.assert_array_equal(hela_cells.find(hela_cells.frame[order], hela_cells.label[order]), order)
    assert hela_cells.find([], []).shape == (0,)
    assert hela_cells.find(0, hela_cells.label[0]).shape == ()


def test_stride_keeps_the_cells_of_the_kept_frames(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    every = Detections.from_movie(Movie.open(None, blobs[1]), progress=False)
    second = Detections.from_movie(Movie.open(None, blobs[1], stride=2), progress=False)
    kept = every.frame % 2 == 0
    np.testing.assert_array_equal(second.frame, every.frame[kept] // 2)
    np.testing.assert_array_equal(second.label, every.label[kept])


class TestRefuses:
    def test_cells_that_do_not_exist(self) -> None:
        cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
        with pytest.raises(InputError, match="label 2 in frame 1, nor 1 others"):
            cells.find([1, 0, 5], [2, 1, 1])
        with pytest.raises(InputError, match="integers"):
            cells.find(0.5, 1)

    def test_unsorted_cells(self) -> None:
        with pytest.raises(InputError, match="sorted by frame"):
            Detections(np.array([1, 0]), np.array([1, 1]), np.zeros((2, 2), np.float32), n_frames=2)

    def test_a_label_twice_in_a_frame(self) -> None:
        with pytest.raises(InputError, match="label 4 stands twice in frame 0"):
            Detections(np.array([0, 0]), np.array([4, 4]), np.zeros((2, 2), np.float32), n_frames=1)

    def test_nan_coordinates(self) -> None:
        with pytest.raises(InputError, match="must be finite"):
            Detections.from_points(np.array([0]), np.array([[np.nan, 0.0]]))

    def test_columns_of_different_length(self) -> None:
        with pytest.raises(InputError, match="one label and one centroid"):
            Detections(np.array([0, 0]), np.array([4]), np.zeros((2, 2), np.float32), n_frames=1)

    def test_frames_beyond_the_movie(self) -> None:
        with pytest.raises(InputError, match="but the movie has 1 frames"):
            Detections.from_points(np.array([3]), np.zeros((1, 2)), n_frames=1)
