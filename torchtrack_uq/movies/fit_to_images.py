"""Whether masks lie where something is to be seen in the images, bright or dark or of another texture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import uniform_filter

_LONGEST = 1024  # pixels along an axis of what is compared; larger frames are averaged in blocks
_TEXTURE = 5  # pixels over which texture is measured
_BACKGROUND = 8  # slow changes of brightness over this part of a frame are taken off


@dataclass(frozen=True)
class FitToImages:
    """How well masks fit to their images where they are, among all other places.

    Attributes:
        rank: Share of all shifts under which foreground and image agree less than without; the better of brightness
            and texture. Near 1 for masks of these images, any number of 0 to 1 for others.
        structure: Share of the images' variance that is left when they are smoothed, the least of all frames: 0.04 for
            pure noise.
        shift: The shift in pixels, ((z,) y, x), under which the masks fit best to the images.
        prominence: The correlation under that shift, in standard deviations over all shifts.
    """

    rank: float
    structure: float
    shift: tuple[int, ...]
    prominence: float


def fit_to_images(masks: list[NDArray[np.integer]], images: list[NDArray[np.generic]]) -> FitToImages | None:
    """Compare foreground and images under all shifts at once.

    The correlation coefficient of the foreground with the image's brightness and with its local standard deviation,
    under all circular shifts, by the Fourier transform; averaged over frames. Its sign is not looked at: cells may be
    dark, and in phase contrast or bright field they differ in texture only. Of volumes, the plane with most foreground.

    Args:
        masks: Frames of a movie, each (Y, X) or (Z, Y, X).
        images: Their images, of the same shapes.

    Returns:
        None where there is nothing to compare: no foreground, nothing but foreground, or images without contrast.

    >>> rng = np.random.default_rng(0)
    >>> mask = np.kron(rng.random((8, 8)) < 0.2, np.ones((8, 8), int))
    >>> image = 5 * mask + rng.normal(size=mask.shape)
    >>> fit_to_images([mask], [image]).rank > 0.99, fit_to_images([np.roll(mask, 20, 0)], [image]).shift
    (True, (-20, 0))
    """
    surfaces, structure = [], []
    block = 1
    for mask, image in zip(masks, images, strict=True):
        if mask.ndim == 3:
            plane = int(np.count_nonzero(mask, axis=(1, 2)).argmax())
            mask, image = mask[plane], image[plane]
        block = -(-max(mask.shape) // _LONGEST)
        foreground, grey = _averaged(mask != 0, block), _stretched(_averaged(image, block))
        smooth = uniform_filter(grey, _TEXTURE)
        if foreground.std() == 0 or grey.std() == 0:
            continue
        texture = np.sqrt(np.maximum(uniform_filter(grey**2, _TEXTURE) - smooth**2, 0))
        structure.append(float(smooth.var() / grey.var()))
        surfaces.append([_correlation(foreground, _levelled(map_)) for map_ in (grey, texture)])
    if not surfaces:
        return None
    mean = np.abs(np.mean(surfaces, axis=0))  # (2, Y, X)
    rank = float((mean < mean[:, :1, :1]).mean(axis=(1, 2)).max())
    sharp = mean / np.maximum(np.sqrt((mean**2).mean(axis=(1, 2), keepdims=True)), 1e-12)
    best = np.unravel_index(int(sharp.max(axis=0).argmax()), mean.shape[1:])
    shift = [int(s - n if s > n // 2 else s) * block for s, n in zip(best, mean.shape[1:], strict=True)]
    return FitToImages(
        rank, min(structure), (*([0] * (masks[0].ndim - 2)), *shift), float(sharp.max(axis=0)[best])
    )


def _averaged(frame: NDArray[np.generic], block: int) -> NDArray[np.float32]:
    """Means of blocks of pixels; what does not fill a block at the end is left out."""
    y, x = (size // block * block for size in frame.shape)
    blocks = frame[:y, :x].astype(np.float32).reshape(y // block, block, x // block, block)
    mean: NDArray[np.float32] = blocks.mean(axis=(1, 3))
    return mean


def _stretched(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clipped between percentiles, so that no single bright pixel decides."""
    low, high = np.percentile(image, (1, 99.8))
    stretched: NDArray[np.float32] = np.clip((image - low) / max(high - low, 1e-9), 0, 1)
    return stretched


def _levelled(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without slow changes of brightness."""
    slow: NDArray[np.float32] = uniform_filter(image, [max(size // _BACKGROUND, 1) for size in image.shape])
    return image - slow


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Correlation coefficient of `a` moved by every circular shift with `b`."""
    a, b = a - a.mean(), b - b.mean()
    product: NDArray[np.float32] = fft.irfftn(np.conj(fft.rfftn(a)) * fft.rfftn(b), s=a.shape)
    return product / max(float(np.sqrt((a**2).sum() * (b**2).sum())), 1e-12)
