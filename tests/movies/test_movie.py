import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrack_uq import Detections, InputError, Movie


def masks_with(label: int, dtype: type, n_frames: int = 2) -> np.ndarray:
    masks = np.zeros((n_frames, 16, 16), dtype)
    masks[:, 4:8, 4:8] = label
    return masks


class TestRefusesBeforeAnyFrameIsRead:
    def test_images_and_masks_of_different_length(self) -> None:
        with pytest.raises(InputError, match="images has 3 frames but masks has 2"):
            Movie.open(np.zeros((3, 16, 16)), masks_with(1, np.uint8))

    def test_images_and_masks_of_different_shape(self) -> None:
        with pytest.raises(InputError, match="same shape"):
            Movie.open(np.zeros((2, 16, 17)), masks_with(1, np.uint8))

    def test_a_float_mask(self) -> None:
        with pytest.raises(InputError, match="expected integer labels"):
            Movie.open(None, masks_with(1, np.float32))

    def test_a_yes_no_mask(self) -> None:
        with pytest.raises(InputError, match=r"scipy\.ndimage\.label"):
            Movie.open(None, masks_with(1, np.bool_))

    def test_an_empty_movie(self) -> None:
        with pytest.raises(InputError, match="is empty"):
            Movie.open(None, np.zeros((0, 16, 16), np.uint8))

    def test_a_movie_of_one_frame(self) -> None:
        with pytest.raises(InputError, match=r"has 1 frame\(s\); tracking needs at least two"):
            Movie.open(None, masks_with(1, np.uint8, n_frames=1))

    def test_a_stride_that_leaves_one_frame(self) -> None:
        with pytest.raises(InputError, match="of which stride 5 keeps 1"):
            Movie.open(None, masks_with(1, np.uint8), stride=5)

    def test_a_stride_below_one(self) -> None:
        with pytest.raises(InputError, match="stride must be at least 1"):
            Movie.open(None, masks_with(1, np.uint8), stride=0)

    @pytest.mark.parametrize("shape", [(2, 16, 16, 3), (2, 16, 16, 4), (2, 2, 16, 16)])
    def test_colour_and_multi_channel_images(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(InputError, match="looks like colour or multi-channel images"):
            Movie.open(np.zeros(shape, np.uint8), masks_with(1, np.uint8))

    def test_complex_images(self) -> None:
        with pytest.raises(InputError, match="expected integers or floats"):
            Movie.open(np.zeros((2, 16, 16), np.complex64), masks_with(1, np.uint8))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_images_with_nan_or_infinity_are_refused(bad: float) -> None:
    images = np.zeros((2, 16, 16), np.float32)
    images[1, 3, 3] = bad
    with pytest.raises(InputError, match=r"1 NaN or infinite pixel\(s\) in frame 1"):
        Detections.from_movie(Movie.open(images, masks_with(1, np.uint8)), progress=False)


def test_negative_labels_are_refused() -> None:
    with pytest.raises(InputError, match="negative label -3 in frame 0"):
        Detections.from_movie(Movie.open(None, masks_with(-3, np.int16)), progress=False)


def test_labels_that_do_not_fit_int64_are_refused() -> None:
    masks = masks_with(1, np.int64).astype(np.uint64)
    masks[masks == 0] = np.uint64(2**64 - 1)  # a background of -1
    with pytest.raises(InputError, match="were negative labels saved in an unsigned type"):
        Detections.from_movie(Movie.open(None, masks), progress=False)


def test_masks_without_any_cell_are_refused() -> None:
    with pytest.raises(InputError, match="holds no cell in any of its 2 frames"):
        Detections.from_movie(Movie.open(None, masks_with(0, np.uint8)), progress=False)


@pytest.mark.parametrize(
    ("label", "dtype"),
    [
        (65_535, np.uint16),
        (65_536, np.uint32),
        (70_000, np.int64),
        (2**31 - 1, np.int32),
        (2**32 - 1, np.uint32),
        (2**40, np.uint64),
    ],
)
def test_large_labels_keep_their_value(label: int, dtype: type) -> None:
    cells = Detections.from_movie(Movie.open(None, masks_with(label, dtype)), progress=False)
    assert cells.label.tolist() == [label, label]


def test_frames_without_cells_are_counted() -> None:
    masks = masks_with(1, np.uint8, n_frames=5)
    masks[[0, 2, 4]] = 0
    cells = Detections.from_movie(Movie.open(None, masks), progress=False)
    assert cells.n_frames == 5
    assert cells.frame.tolist() == [1, 3]
    assert cells.offsets.tolist() == [0, 0, 1, 1, 2, 2]


class TestSelect:
    @given(st.integers(0, 9), st.integers(1, 10), st.integers(1, 4), st.booleans())
    def test_frames_are_those_of_numpy_slices_of_masks_and_images(
        self, start: int, length: int, step: int, has_images: bool
    ) -> None:
        masks = np.arange(1, 11, dtype=np.uint16)[:, None, None] * np.ones((4, 5), np.uint16)
        images = masks.astype(np.float32) / 2 if has_images else None
        kept = range(start, min(start + length, 10), step)
        chosen = Movie.open(images, masks).select(kept)
        where = slice(kept.start, kept.stop, kept.step)
        assert chosen.n_frames == len(masks[where])
        for t, mask in enumerate(masks[where]):
            np.testing.assert_array_equal(chosen.read_mask(t), mask)
            if images is None:
                assert chosen.read_image(t) is None
            else:
                np.testing.assert_array_equal(chosen.read_image(t), images[where][t])

    @given(st.integers(1, 3), st.integers(1, 3))
    def test_strides_count_on(self, first: int, second: int) -> None:
        masks = np.ones((12, 4, 4), np.uint16)
        movie = Movie.open(None, masks, stride=first)
        chosen = movie.select(range(0, movie.n_frames, second))
        assert chosen.stride == first * second
        assert chosen.n_frames == len(masks[:: first * second])

    def test_the_movie_itself_stays_as_it_is(self) -> None:
        movie = Movie.open(None, np.ones((6, 4, 4), np.uint16), stride=2)
        movie.select(range(1, 2))
        assert (movie.n_frames, movie.stride) == (3, 2)


@pytest.mark.parametrize("value", [1e38, -3e300])
def test_intensities_beyond_single_precision_are_refused(value: float) -> None:
    masks = np.zeros((2, 8, 8), np.uint16)
    masks[:, 2:4, 2:4] = 1
    images = np.ones((2, 8, 8))
    images[1, 0, 0] = value
    movie = Movie.open(images, masks)
    assert movie.read_image(0) is not None
    with pytest.raises(InputError, match=r"holds intensities up to .* in frame 1; expected at most 1e\+37"):
        movie.read_image(1)
