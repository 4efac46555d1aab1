"""How repeatable are centroids, sizes and brightness of cells? The noise that `FeaturePerturbation` adds by default.

Along a track, measurement noise makes consecutive changes anti-correlated: each error enters one change with a
plus and the next with a minus. Its variance is minus their lag-1 covariance, whatever diffusive motion or steady
growth there is besides (Berglund, Phys. Rev. E 82, 2010; Vestergaard, Blainey and Flyvbjerg, Phys. Rev. E 89, 2014).
Persistent motion hides part of it. So a second column gives an upper bound: the variance of third differences over
20 is that of white noise plus whatever the cell did in earnest between frames.

Third, where there are images, every cell's boundary is drawn again where the image crosses 40, 50 and 60 % of the
contrast between inside and outside: the spread of its centroid, of its diameter, and of the boundary.

    python -m experiments.repeatability [DATA_FOLDER]
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from common.data import data_folder
from common.results import write_results
from torchtrack_uq import Detections, Movie
from torchtrack_uq.datasets import CtcSequence, read_ctc_sequence

RESULTS = Path(__file__).parent / "results"
MOVIES = (
    "mouse-epidermis",
    "cglutamicum",
    "cglutamicum-06min",
    "Fluo-N2DL-HeLa",
    "Fluo-N2DH-GOWT1",
    "Fluo-C2DL-MSC",
)
SHORTEST = 5  # frames of a track that counts
TRIMMED = 0.05  # share of products at either end that are left out: segmentation errors, not noise
LEVELS = (0.4, 0.5, 0.6)


def tracks(cells: Detections) -> Iterator[np.ndarray]:
    """Indices of the cells of every run of consecutive frames of one label."""
    order = np.lexsort((cells.frame, cells.label))
    label, frame = cells.label[order], cells.frame[order]
    cuts = np.flatnonzero((np.diff(label) != 0) | (np.diff(frame) != 1)) + 1
    yield from (run for run in np.split(order, cuts) if len(run) >= SHORTEST)


def trimmed_mean(values: np.ndarray) -> float:
    """Mean without the largest and the smallest values."""
    low, high = np.quantile(values, [TRIMMED, 1 - TRIMMED])
    return float(values[(values >= low) & (values <= high)].mean())


def noise(series: list[np.ndarray]) -> tuple[float, float]:
    """Standard deviation of the measurement noise: by lag-1 covariance, and bounded by third differences."""
    lagged = np.concatenate([(np.diff(x, axis=0)[1:] * np.diff(x, axis=0)[:-1]).ravel() for x in series])
    third = np.concatenate([np.diff(x, 3, axis=0).ravel() ** 2 for x in series])
    return max(-trimmed_mean(lagged), 0.0) ** 0.5, (trimmed_mean(third) / 20) ** 0.5


def along_tracks(folder: Path) -> dict[str, object]:
    """Noise of position, size and brightness along the tracks of one movie."""
    cells = read_ctc_sequence(folder / "01", progress=False).detections
    diameter = cells.features["equivalent_diameter_area"][:, 0].astype(float)
    runs = list(tracks(cells))
    position = noise([cells.coords[run].astype(float) / diameter[run].mean() for run in runs])
    size = noise([np.log(diameter[run])[:, None] for run in runs])
    row: dict[str, object] = {
        "movie": folder.name,
        "tracks": len(runs),
        "diameter/px": np.median(diameter),
        "position/diameter": position[0],
        "at most": position[1],
        "log diameter": size[0],
        "at most ": size[1],
    }
    if cells.has_images:
        row["intensity"], row["at most  "] = noise([cells.features["intensity_mean"][run] for run in runs])
    return row


def redrawn(folder: Path, n_frames: int = 8) -> dict[str, object] | None:
    """Spread of centroids, diameters and boundaries when the contour level moves."""
    sequence = CtcSequence.find(folder / "01")
    if sequence.images is None:
        return None
    movie: Movie = sequence.open_movie()
    shift, size, boundary = [], [], []
    for t in np.linspace(0, movie.n_frames - 1, n_frames).astype(int):
        mask, image = movie.read_mask(t), movie.read_image(t).astype(float)
        smooth = ndimage.gaussian_filter(image, 1.0)
        for k, box in enumerate(ndimage.find_objects(mask.astype(np.int64)), start=1):
            if box is None:
                continue
            box = tuple(slice(max(s.start - 6, 0), s.stop + 6) for s in box)
            own, others = mask[box] == k, (mask[box] != k) & (mask[box] != 0)
            near = ndimage.binary_dilation(own, iterations=4) & ~others
            around = near & ~ndimage.binary_dilation(own, iterations=2)
            core = ndimage.binary_erosion(own, iterations=2)
            if not core.any() or not around.any():
                continue
            inside, outside = smooth[box][core].mean(), smooth[box][around].mean()
            found = [
                np.argwhere((near & ((smooth[box] - outside) / (inside - outside) > level)) | core)
                for level in LEVELS
            ]
            centre = np.array([pixels.mean(axis=0) for pixels in found])
            across = np.sqrt(4 / np.pi * np.array([len(pixels) for pixels in found]))
            d = across.mean()
            shift.append(centre.std(axis=0, ddof=1) / d)
            size.append(np.log(across).std(ddof=1))
            boundary.append((across / 2).std(ddof=1) / d)
    rms = [float(np.sqrt(np.median(np.square(x)))) for x in (np.concatenate(shift), size, boundary)]
    return {"movie": folder.name, "cells": len(size), **dict(zip(
        ("position/diameter", "log diameter", "boundary/diameter"), rms, strict=True))}  # fmt: skip


def main() -> None:
    """Measure every movie that is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", default=data_folder())
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    data = options.data
    folders = [data / name for name in MOVIES if (data / name).is_dir()]
    table = pd.DataFrame([along_tracks(folder) for folder in folders])
    again = pd.DataFrame([row for folder in folders if (row := redrawn(folder)) is not None])
    medians = table[
        ["position/diameter", "at most", "log diameter", "at most ", "intensity", "at most  "]
    ].median()
    lines = (
        "# Repeatability of measured cells",
        "",
        "Written by `python -m experiments.repeatability`; standard deviations. The defaults of "
        "`FeaturePerturbation` come from here.",
        "",
        'Along annotated tracks (lag-1 covariance; "at most": third differences):',
        "",
        table.to_markdown(index=False, floatfmt=".3f"),
        "",
        f"Medians: {', '.join(f'{name.strip()} {value:.4f}' for name, value in medians.items())}.",
        "",
        "Boundaries drawn again at 40, 50 and 60 % of the contrast:",
        "",
        again.to_markdown(index=False, floatfmt=".3f"),
        "",
        f"Median of the boundaries: {again['boundary/diameter'].median():.4f} diameters.",
        "",
    )
    write_results(options.output, "repeatability", lines, {"repeatability": table, "redrawn": again}, "%.4f")


if __name__ == "__main__":
    main()
