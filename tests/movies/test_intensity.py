import numpy as np
import pytest

from torchtrack_uq.movies.intensity import IntensityScale


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
