import numpy as np
import pytest
from skimage.measure import regionprops_table

from torchtrack_uq import Detections, Movie
from torchtrack_uq.movies.features import measure_frame


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


def test_intensities_are_zero_without_images(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    cells = Detections.from_movie(Movie.open(None, blobs[1]), progress=False)
    assert not cells.has_images
    assert (cells.features["intensity_mean"] == 0).all()
