"""Masks that are no label masks are refused before work starts; what looks odd about others is said in a sentence.

Thresholds are justified on all movies that the project has, and on these with images and masks swapped, masks made
binary, shrunk to points, shuffled and shifted: `experiments/results/mask_sanity.md`.
"""

from collections.abc import Iterator

import numpy as np

from torchtrack_uq.movies.findings import Finding, listed, say
from torchtrack_uq.movies.fit_to_images import fit_to_images
from torchtrack_uq.movies.frames import Frame
from torchtrack_uq.movies.mask_look import MaskLook
from torchtrack_uq.movies.movie import Movie

ENOUGH = 5
"""Labels, or surplus pieces, in all frames that are looked at, below which nothing is concluded."""
MOST_ONE_PIXEL = 0.9
"""Share of labels of a single pixel above which masks are points."""
MOST_CRUMBS = 0.5
"""Share of labelled pixels that may be a piece each, and share of labelled pixels from which these are no points."""
MOST_IN_PIECES = 0.25
"""Share of labels in several large pieces above which something is wrong with them."""
PIECES_PER_LABEL = 2.0
"""Large pieces a label from which labels are not cells."""
MOST_PIECES = 10
"""Large pieces of one label in one frame from which it is named."""
GREY_VALUES = 20
"""Labels in pieces from which they are taken for the grey values of an image; classes of pixels are fewer."""
YES = (255, 65535)
"""Labels that a mask of one cell does not have by chance, and a yes/no mask does, cells that all touch included."""
LEAST_RANK = 0.98
"""Share of the other places in which masks should fit worse to the images."""
LEAST_STRUCTURE = 0.15
"""Share of variance that smoothing leaves, below which nothing is concluded from images: pure noise has 0.04."""
MOST_FOREGROUND = 0.9
"""Share of labelled pixels above which the place of masks says nothing."""
PROMINENT = 9.0
"""Standard deviations by which a shift stands out that is worth to be named."""
_SMALLEST = 32  # pixels along y and x of frames that are compared with images


def check_movie(movie: Movie, *, trust_masks: bool = False, n_frames: int = 3) -> None:
    """Look at a few frames before work starts.

    Args:
        movie: Masks, and images where there are any.
        trust_masks: Warn only, whatever is found.
        n_frames: How many frames are read, spread from the first to the last.

    Raises:
        InputError: What is given as masks does not look like label masks, but like images, yes/no masks, classes of
            pixels or points; or a frame cannot be used.

    Warns:
        MovieWarning: Labels in several pieces, a background with a label, images that are the masks, or masks that do
            not lie where the images show something.

    >>> noise = np.random.default_rng(0).integers(0, 256, (3, 20, 20), dtype=np.uint8)
    >>> check_movie(Movie.open(None, noise))
    Traceback (most recent call last):
    torchtrack_uq.errors.InputError: masks does not look like label masks: 251 values on 100% of the pixels lie \
scattered over 1183 pieces in frames 0, 1 and 2, as grey values do; expected 0 for background and one number for each \
cell (are these the images?); if this is what you mean, go on with --trust-masks (in Python trust_masks=True)
    """
    say(movie_findings(movie, n_frames), trust_masks=trust_masks)


def movie_findings(movie: Movie, n_frames: int = 3) -> list[Finding]:
    """What looks odd in a few frames of a movie; see `check_movie`. After a refusal nothing else is looked at."""
    frames = np.unique(np.linspace(0, movie.n_frames - 1, n_frames).round().astype(int)).tolist()
    masks = [movie.read_mask(t) for t in frames]
    read = [movie.read_image(t) for t in frames]
    images = [image for image in read if image is not None]
    look = MaskLook.of(zip(frames, masks, strict=True))
    where = f"frame{'s' if len(frames) > 1 else ''} {listed(frames)}"
    refusal = _refusal(look, images, where)
    if refusal is not None:
        return [Finding(f"{movie.masks.name} does not look like label masks: {refusal}", refused=True)]
    found = [Finding(f"{movie.masks.name}: {sentence}") for sentence in _oddities(look, where)]
    found += [Finding(sentence) for sentence in _numbered_apart(movie)]
    misfit = _misfit(look, masks, images, where) if images else None
    return found if misfit is None else [*found, Finding(f"{movie.masks.name}: {misfit}")]


def looks_like_points(look: MaskLook) -> bool:
    """Whether nearly all labels are one pixel, with background around them."""
    return look.n >= ENOUGH and look.one_pixel > MOST_ONE_PIXEL and look.foreground < MOST_CRUMBS


def looks_like_classes(look: MaskLook) -> bool:
    """Whether labels are in so many pieces that they cannot be cells."""
    scattered = look.pieces_per_label >= PIECES_PER_LABEL and look.in_pieces > MOST_IN_PIECES
    return scattered and look.surplus >= ENOUGH


def looks_like_grey_values(look: MaskLook) -> bool:
    """Whether labels change from pixel to pixel, or are too many in pieces for classes."""
    crumbled = look.crumbs > MOST_CRUMBS and look.foreground >= MOST_CRUMBS and look.n >= ENOUGH
    return crumbled or (looks_like_classes(look) and len(look.labels) >= GREY_VALUES)


def _refusal(look: MaskLook, images: list[Frame], where: str) -> str | None:
    """Why no sense can be made of masks, or None."""
    n_labels = len(look.labels)
    if looks_like_grey_values(look):
        hint = "the images do look like masks: are the two swapped?" if _are_masks(images) else None
        return (
            f"{n_labels} values on {look.foreground:.0%} of the pixels lie scattered over {int(look.n_pieces.sum())} "
            f"pieces in {where}, as grey values do; expected 0 for background and one number for each cell "
            f"({hint or 'are these the images?'})"
        )
    if looks_like_points(look):
        return (
            f"{look.one_pixel:.0%} of the {look.n} labels in {where} are a single pixel; expected the area of each "
            "cell: segment the cells, or track their coordinates as points"
        )
    yes = n_labels == 1 and int(look.labels[0]) in YES
    if not yes and not looks_like_classes(look):
        return None
    each = f"{look.pieces_per_label:.1f} separate pieces a frame"
    seen = (
        f"{look.labels[0]} is the only label in {where}, in {each}, as in a yes/no mask"
        if n_labels == 1
        else f"the {n_labels} labels in {where} are in {each}, as classes of pixels are"
    )
    return f"{seen}; expected one number for each cell, for instance from scipy.ndimage.label"


def _numbered_apart(movie: Movie) -> Iterator[str]:
    """Images and masks whose names count frames differently, as where one of the two lacks its first."""
    if movie.images is None:
        return
    images, masks = movie.images.reading.numbers, movie.masks.reading.numbers
    if images and masks and images[0] != masks[0]:
        yield (
            f"names count {movie.images.name} from frame {images[0]} and {movie.masks.name} from {masks[0]}; they are "
            "taken in order, the first with the first: is one frame missing?"
        )


def _are_masks(images: list[Frame]) -> bool:
    """Whether what is given as images looks like label masks."""
    if not images or any(image.dtype.kind not in "iu" or image.min() < 0 for image in images):
        return False
    look = MaskLook.of(enumerate(images))
    odd = looks_like_points(look) or looks_like_grey_values(look) or look.in_pieces > MOST_IN_PIECES
    return look.n >= ENOUGH and not odd


def _oddities(look: MaskLook, where: str) -> Iterator[str]:
    """What is odd about masks alone."""
    n_several = int((look.n_large > 1).sum())
    most = int(look.n_large.argmax()) if look.n else 0
    if n_several >= ENOUGH and look.in_pieces > MOST_IN_PIECES:
        yield (
            f"{n_several} of {look.n} labels in {where} are in several separate pieces; expected one piece a cell: "
            "give each piece a number of its own, unless cells are cut by what lies before them"
        )
    elif look.n and look.n_large[most] >= MOST_PIECES:
        yield (
            f"label {look.label[most]} is in {look.n_large[most]} separate pieces in frame {look.frame[most]}; "
            "expected one piece a cell: is it debris, or several cells?"
        )
    largest = int(look.area.argmax()) if look.n else 0
    if look.foreground == 1 and look.n > look.n_frames:
        share = look.area[look.label == look.label[largest]].sum() / look.n_pixels
        if share > 0.5:
            yield (
                f"no pixel is 0 and label {look.label[largest]} covers {share:.0%} of them in {where}; expected 0 for "
                "background: set that label to 0 if it is none of the cells"
            )


def _misfit(look: MaskLook, masks: list[Frame], images: list[Frame], where: str) -> str | None:
    """Whether masks lie elsewhere than what the images show."""
    if look.n < ENOUGH:
        return None
    if all(np.array_equal(mask, image) for mask, image in zip(masks, images, strict=True)):
        return f"the images are the masks themselves in {where}; expected the images that the masks were made from"
    if look.foreground > MOST_FOREGROUND or min(masks[0].shape[-2:]) < _SMALLEST:
        return None
    fit = fit_to_images(masks, images)
    if fit is None or fit.structure < LEAST_STRUCTURE or fit.rank >= LEAST_RANK:
        return None
    moved = ", ".join(f"{d:+d}" for d in fit.shift)
    remedy = (
        f"they fit best moved by {moved} pixels ({'z, ' if len(fit.shift) == 3 else ''}y, x)"
        if fit.prominence > PROMINENT
        else "check that both are of the same movie, in the same order, neither flipped nor turned"
    )
    return (
        f"cells and background do not differ in the images, less than in {1 - fit.rank:.0%} of all other places in "
        f"{where}; expected masks of these images: {remedy}"
    )
