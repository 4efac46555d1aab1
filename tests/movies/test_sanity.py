"""What is no label mask is refused, what is odd is said, and real masks raise no alarm."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.findings import MovieWarning
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.sanity import check_movie, movie_findings


@pytest.fixture(scope="module")
def pixels(hela: Movie) -> tuple[np.ndarray, np.ndarray]:
    """Images and masks of three real frames."""
    frames = (0, 9, 19)
    return np.stack([hela.read_image(t) for t in frames]), np.stack([hela.read_mask(t) for t in frames])


def refusal(images: np.ndarray | None, masks: np.ndarray) -> str:
    with pytest.raises(InputError) as error:
        check_movie(Movie.open(images, masks))
    sentence = str(error.value)
    assert sentence.endswith("go on with --trust-masks (in Python trust_masks=True)")
    return sentence


def warning(images: np.ndarray | None, masks: np.ndarray) -> str:
    with pytest.warns(MovieWarning) as said:
        check_movie(Movie.open(images, masks))
    assert len(said) == 1
    return str(said[0].message)


def test_real_masks_raise_no_alarm_with_and_without_images(hela: Movie) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_movie(hela)
        check_movie(Movie(hela.masks))
        check_movie(hela, n_frames=10)


def test_one_cell_of_a_few_pixels_raises_no_alarm() -> None:
    masks = np.zeros((3, 12, 12), np.uint16)
    for t in range(3):
        masks[t, 4:6, 4 + t] = 1
    images = np.random.default_rng(0).integers(0, 9, masks.shape)
    assert not movie_findings(Movie.open(images, masks))
    assert not movie_findings(Movie.open(None, masks))


@pytest.mark.parametrize(
    "masks", [np.zeros((2, 9, 9), int), np.ones((2, 9, 9), int), np.zeros((2, 3, 9, 9), int)]
)
def test_masks_without_evidence_raise_no_alarm(masks: np.ndarray) -> None:
    assert not movie_findings(Movie.open(None, masks))
    assert not movie_findings(Movie.open(masks, masks))


def test_swapped_images_and_masks_are_refused_and_called_swapped(
    pixels: tuple[np.ndarray, np.ndarray],
) -> None:
    images, masks = pixels
    assert "the images do look like masks: are the two swapped?" in refusal(masks, images)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("with_images", [False, True])
def test_images_as_masks_are_refused(
    pixels: tuple[np.ndarray, np.ndarray], dtype: type[np.generic], with_images: bool
) -> None:
    images, _ = pixels
    grey = images if dtype == np.uint16 else (255.0 * images / images.max()).astype(np.uint8)
    assert "as grey values do" in (sentence := refusal(grey if with_images else None, grey))
    assert "(are these the images?)" in sentence


def test_small_noise_is_taken_for_images() -> None:
    noise = np.random.default_rng(0).integers(0, 60000, (2, 6, 6), dtype=np.uint16)
    assert "as grey values do" in refusal(None, noise)


@pytest.mark.parametrize("value", [1, 255])
def test_yes_no_masks_are_refused(pixels: tuple[np.ndarray, np.ndarray], value: int) -> None:
    images, masks = pixels
    sentence = refusal(images, ((masks > 0) * value).astype(np.uint8))
    assert f"{value} is the only label in frames 0, 1 and 2, in" in sentence
    assert "scipy.ndimage.label" in sentence


def test_labelling_the_pieces_of_a_refused_mask_makes_it_pass(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    """What the sentence says to do is enough."""
    from scipy import ndimage

    labelled = np.stack([ndimage.label(mask > 0, np.ones((3, 3)))[0] for mask in pixels[1]])
    assert not movie_findings(Movie.open(pixels[0], labelled))


def test_classes_of_pixels_are_refused(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    masks = pixels[1]
    left = np.arange(masks.shape[-1]) < masks.shape[-1] // 2
    assert "the 2 labels in frames 0, 1 and 2 are in" in refusal(None, np.where(masks > 0, 1 + left, 0))


def test_one_pixel_a_cell_is_refused_and_two_are_not() -> None:
    rng = np.random.default_rng(0)
    masks = np.zeros((3, 50, 50), np.uint16)
    for t in range(3):
        place = rng.choice(24 * 24, 20, replace=False)
        masks[t, 1 + 2 * (place // 24), 1 + 2 * (place % 24)] = np.arange(1, 21)
    assert "100% of the 60 labels in frames 0, 1 and 2 are a single pixel" in refusal(None, masks)
    masks[:, 2::2] = masks[:, 1:-1:2]
    assert not movie_findings(Movie.open(None, masks))


def test_trusted_masks_pass_with_the_same_sentence_as_a_warning(
    pixels: tuple[np.ndarray, np.ndarray],
) -> None:
    movie = Movie.open(None, pixels[0])
    with pytest.warns(MovieWarning, match="as grey values do"):
        check_movie(movie, trust_masks=True)


def test_labels_in_two_pieces_are_warned_of(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    """Every fourth cell shares the label of another: too few pieces for classes of pixels."""
    masks = pixels[1]
    paired = np.where((masks > 0) & (masks % 4 == 0), masks - 1, masks)
    assert "labels in frames 0, 1 and 2 are in several separate pieces" in warning(None, paired)


def test_a_label_of_debris_is_named(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    masks = pixels[1].copy()
    masks[1, 2:60:4, 2:60:4] = 9999
    assert warning(None, masks).endswith(
        "label 9999 is in 225 separate pieces in frame 1; expected one piece a cell: is it debris, or several cells?"
    )


def test_a_background_with_a_label_is_named(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    masks = np.where(pixels[1] == 0, 7777, pixels[1])
    sentence = warning(pixels[0], masks)
    assert "no pixel is 0 and label 7777 covers" in sentence


def test_masks_as_images_are_named(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    assert "the images are the masks themselves" in warning(pixels[1], pixels[1])


def test_moved_masks_are_named_with_the_shift(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    images, masks = pixels
    assert "they fit best moved by -150, +90 pixels (y, x)" in warning(
        images, np.roll(masks, (150, -90), (-2, -1))
    )


@pytest.mark.parametrize("brightness", [1, -1])
def test_dark_cells_fit_as_well_as_bright_ones(
    pixels: tuple[np.ndarray, np.ndarray], brightness: int
) -> None:
    images, masks = pixels
    turned = brightness * images.astype(np.float32)
    assert not movie_findings(Movie.open(turned, masks))
    assert movie_findings(Movie.open(turned, masks[..., ::-1]))


def test_cells_of_the_same_brightness_but_another_texture_fit(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    """As in bright field: the mean of a cell is that of the background."""
    masks = pixels[1]
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.normal(size=(3, 70, 110)), np.ones((1, 10, 10)))
    images = 100 + coarse * np.where(masks > 0, 5, 1)
    assert not movie_findings(Movie.open(images, masks))
    assert movie_findings(Movie.open(images, np.roll(masks, (150, -90), (-2, -1))))


def test_noise_and_black_images_say_nothing_about_masks(pixels: tuple[np.ndarray, np.ndarray]) -> None:
    masks = pixels[1]
    assert not movie_findings(Movie.open(np.zeros(masks.shape), masks))
    assert not movie_findings(Movie.open(np.random.default_rng(0).normal(size=masks.shape), masks))


def test_a_colony_of_touching_cells_is_told_from_one_cell_by_255_alone() -> None:
    colony = np.zeros((3, 40, 40), np.uint8)
    colony[:, 10:30, 10:30] = 255
    assert "255 is the only label" in refusal(None, colony)
    assert not movie_findings(Movie.open(None, colony // 255))


def test_volumes_are_checked_as_well() -> None:
    cells = np.arange(1, 41).reshape(2, 4, 5)
    masks = np.stack([np.kron(cells, np.pad(np.ones((2, 4, 4), int), 1))] * 3)
    assert not movie_findings(Movie.open(None, masks))
    assert movie_findings(Movie.open(None, (masks > 0).astype(int)))[0].refused


def movies_in(data: Path) -> list[tuple[Path | None, Path]]:
    folders = [folder for folder in sorted(data.iterdir()) if (folder / "01_GT" / "TRA").is_dir()]
    return [
        (folder / "01" if (folder / "01").is_dir() else None, folder / "01_GT" / "TRA") for folder in folders
    ]


def test_no_annotated_movie_raises_an_alarm(data_folder: Path) -> None:
    found = {
        str(masks): movie_findings(Movie.open(images, masks)) for images, masks in movies_in(data_folder)
    }
    assert len(found) >= 8
    assert not any(found.values()), found


def test_annotated_movies_as_yes_no_masks_are_refused(data_folder: Path) -> None:
    for _, folder in movies_in(data_folder):
        masks = Movie.open(None, folder)
        frames = np.stack(
            [(masks.read_mask(t) > 0) * 255 for t in (0, masks.n_frames // 2, masks.n_frames - 1)]
        )
        assert movie_findings(Movie.open(None, frames))[0].refused, folder


@pytest.mark.parametrize("first", [0, 1])
def test_names_that_count_images_and_masks_from_different_frames_are_said(
    hela: Movie, tmp_path: Path, first: int
) -> None:
    for folder, begin, read in (("images", 0, hela.read_image), ("masks", first, hela.read_mask)):
        (tmp_path / folder).mkdir()
        for t in range(4):
            tifffile.imwrite(tmp_path / folder / f"t{t + begin:03d}.tif", read(t))
    movie = Movie.open(tmp_path / "images", tmp_path / "masks")
    found = [finding.sentence for finding in movie_findings(movie)]
    assert bool(found) == bool(first)
    if first:
        assert "images from frame 0 and" in found[0]
        assert "from 1; they are taken in order" in found[0]
