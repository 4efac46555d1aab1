"""How wrong is a plain automatic segmentation? The honest case beside masks with errors made on purpose.

No learning and no tuning to a movie beyond whether cells are brighter or darker than what is around them: smooth, take
the threshold of Otsu (IEEE Trans. SMC 9, 1979) on the logarithm of the contrast, and cut what touches by a watershed of
the distance to the background (Meyer, Signal Processing 38, 1994). Written down is how many cells of each movie it
misses, merges, splits and makes up, by the rule of the Cell Tracking Challenge (`torchtrack_uq.datasets.match_frame`).

    python -m experiments.automatic_masks [DATA_FOLDER] [--save FOLDER]

With --save the masks are kept, one folder a movie, for `torchtrack-uq evaluate NAME/01 --segmentation FOLDER`.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import gaussian, threshold_otsu
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from common.data import data_folder
from common.results import write_results
from torchtrack_uq.datasets import AnnotatedMovie, CtcSequence, read_annotated
from torchtrack_uq.movies.frames import Frame, FrameSource, open_frames

RESULTS = Path(__file__).parent / "results"
MOVIES = {
    "Fluo-N2DH-SIM+": True,
    "Fluo-N2DH-GOWT1": True,
    "Fluo-C2DL-MSC": True,
    "cglutamicum-06min": False,
}
"""Movies with images, and whether their cells are bright."""
SMOOTHING = 2.0  # pixels, of the image and of the distance to the background
SMALLEST = 0.2  # of the size of the object that a pixel of the foreground typically lies in: less is debris
SHALLOWEST = 0.1  # of a half-width: less deep necks between two maxima of the distance are not cut


def segment(image: NDArray[np.generic], *, bright: bool = True) -> NDArray[np.int32]:
    """Label the cells of one image.

    Args:
        image: (Y, X) or (Z, Y, X) of numbers.
        bright: Whether cells are brighter than the background; otherwise darker.

    Returns:
        Labels of the same shape, 0 for background; none where nothing stands out.
    """
    smooth = gaussian(image.astype(np.float64), SMOOTHING, preserve_range=True)
    contrast = smooth if bright else -smooth
    floor = np.median(contrast)
    noise = 1.4826 * np.median(np.abs(contrast - floor))
    above = np.log1p(np.maximum(contrast - floor, 0) / max(noise, 1e-12))
    if above.max() == 0:
        return np.zeros(image.shape, np.int32)
    foreground = ndimage.binary_opening(above > threshold_otsu(above), iterations=2)
    foreground = ndimage.binary_fill_holes(foreground)
    pieces, n = ndimage.label(foreground)
    if not n:
        return np.zeros(image.shape, np.int32)
    distance = ndimage.distance_transform_edt(foreground)
    half_width = np.median(ndimage.maximum(distance, pieces, np.arange(1, n + 1)))
    smooth_distance = gaussian(distance, SMOOTHING, preserve_range=True)
    seeds, _ = ndimage.label(h_maxima(smooth_distance, max(SHALLOWEST * half_width, 0.5)))
    labels = watershed(-smooth_distance, seeds, mask=foreground)
    area = np.bincount(labels.ravel())
    area[0] = 0
    typical = np.median(np.repeat(area, area))
    labels[area[labels] < SMALLEST * typical] = 0
    return labels.astype(np.int32)


class SegmentedFrames(FrameSource):
    """The masks of a movie's images, a frame at a time as it is read.

    Args:
        images: The images.
        bright: As for `segment`.
    """

    def __init__(self, images: FrameSource, *, bright: bool) -> None:
        self._images, self._bright = images, bright
        self.name, self.n_frames = f"{images.name}, segmented", images.n_frames
        self.frame_shape, self.dtype = images.frame_shape, np.dtype(np.int32)

    def read(self, t: int) -> Frame:
        """Read and segment frame `t`."""
        return segment(self._images.read(t), bright=self._bright)


def read_segmented(
    folder: Path, name: str, stride: int = 1, *, use_images: bool = True
) -> AnnotatedMovie | None:
    """A movie of `MOVIES` with its automatic masks, made as they are read; None where it has no images."""
    images = CtcSequence.find(folder).images
    if images is None or name not in MOVIES:
        return None
    masks = SegmentedFrames(open_frames(images), bright=MOVIES[name])
    return read_annotated(folder, stride, use_images=use_images, segmentation=masks, progress=False)


def save(source: FrameSource, folder: Path) -> FrameSource:
    """Write masks as one TIFF a frame, and open them."""
    folder.mkdir(parents=True, exist_ok=True)
    for t, mask in enumerate(source):
        tifffile.imwrite(folder / f"mask{t:04d}.tif", mask.astype(np.uint16), compression="zlib")
    return open_frames(folder)


def row(name: str, movie: AnnotatedMovie) -> dict[str, object]:
    """How many errors, as shares of the annotated cells; and how many mothers stand one frame before, or two."""
    assert movie.counts is not None
    counts = movie.counts.total()
    n = counts["n_annotated"]
    near, far = movie.targets(1), movie.targets(2)
    return {
        "movie": name,
        "annotated cells": n,
        "detections": len(movie),
        "missed": counts["n_missed"] / n,
        "in merged detections": merged_cells(movie) / n,
        "split": counts["n_splits"] / n,
        "false detections": counts["n_unmatched"] / len(movie),
        "daughters": int(near.known.sum()),
        "mothers one frame before": int((near.mother >= 0).sum()),
        "two frames before": int(((far.mother >= 0) & (near.mother < 0)).sum()),
    }


def merged_cells(movie: AnnotatedMovie) -> int:
    """Annotated cells that share a detection with another one."""
    assert movie.counts is not None
    counts = movie.counts.total()
    covered = counts["n_annotated"] - counts["n_missed"]
    return covered - counts["n_matched"]


def main() -> None:
    """Segment every movie, count, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=data_folder())
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="keep the masks")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for movie, bright in MOVIES.items():
            folder = options.data / movie / "01"
            images = CtcSequence.find(folder).images
            if images is None:
                continue
            source = SegmentedFrames(open_frames(images), bright=bright)
            masks = save(source, (options.save or Path(name)) / movie)
            found = read_annotated(folder, use_images=False, segmentation=masks, progress=False)
            rows.append(row(movie, found))
    table = pd.DataFrame(rows)
    lines = (
        "# A plain automatic segmentation",
        "",
        "Written by `python -m experiments.automatic_masks`: Otsu's threshold and a watershed of the distance to the "
        "background, the same settings for all movies. Shares of annotated cells that no detection covers, that share "
        "one with another cell, or that hold several; and share of detections that cover no annotated cell (fragments "
        "of split cells among them).",
        "",
        table.to_markdown(index=False, floatfmt=".3f"),
        "",
        "In Fluo-C2DL-MSC most false detections are specks of a noisy background, in cglutamicum-06min the walls of "
        "the chamber, which stand still. The last three columns: detections whose true mother is known, how many of "
        "these were detected one frame before, and how many two frames before only, which links over a gap can find. "
        "There are few: an automatic segmentation misses the same dim cell in frame after frame, where errors made at "
        "random come and go.",
        "",
    )
    write_results(RESULTS, "automatic_masks", lines, {"automatic_masks": table}, "%.4f")


if __name__ == "__main__":
    main()
