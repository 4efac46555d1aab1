"""Readers of images, masks and points."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
import zarr
from imagecodecs import png_encode

from tests.fuzz.target import Target
from tests.movies.test_formats import seg
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import FrameSource, open_frames
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.points_table import read_points_table

MASKS = np.zeros((3, 12, 14), np.uint16)
for _t in range(3):
    MASKS[_t, 2:5, 2 + _t : 6 + _t], MASKS[_t, 7:10, 3:7] = 1, 2
POINTS = pd.DataFrame(
    {
        "frame": [0, 0, 1, 1, 2, 2],
        "y": [1.5, 7.25, 2.0, 7.5, 2.5, 8.0],
        "x": [3.0, 4.0, 3.5, 4.0, 4.0, 4.5],
        "id": [1, 2, 1, 2, 1, 2],
        "area": [20.0, 31.0, 21.0, 30.0, 22.0, 29.0],
    }
)


def _frames(path: Path, **options: Any) -> FrameSource:
    """Open, and read up to five frames; what comes out is what the source said."""
    source = open_frames(path, **options)
    for t in sorted({*range(min(source.n_frames, 4)), source.n_frames - 1}):
        frame = source.read(t)
        assert frame.shape == source.frame_shape, (frame.shape, source.frame_shape)
        assert source.voxel_size is None or all(0 < edge < np.inf for edge in source.voxel_size)
    return source


def _measured(path: Path) -> Detections:
    """The cells of masks."""
    cells = Detections.from_movie(Movie.open(None, path), progress=False)
    assert np.isfinite(cells.coords).all()
    assert (cells.label > 0).all()
    return cells


def _points(path: Path) -> Detections:
    cells = read_points_table(path).detections
    assert np.isfinite(cells.coords).all()
    numbers = cells.naming.frames(cells.frame)
    assert (numbers >= 0).all()
    assert (np.diff(cells.frame) >= 0).all()
    return cells


def _ome(folder: Path) -> None:
    tifffile.imwrite(
        folder / "m.ome.tif",
        MASKS,
        metadata={"axes": "TYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "TimeIncrement": 60.0},
    )


def _one_a_frame(suffix: str) -> Any:
    def write(folder: Path) -> None:
        for t, frame in enumerate(MASKS):
            file = folder / f"t{t:02d}{suffix}"
            if suffix == ".tif":
                tifffile.imwrite(file, frame, compression=("zlib", "lzw", None)[t])
            elif suffix == ".png":
                file.write_bytes(png_encode(frame))
            else:
                np.save(file, seg(frame) if suffix == "_seg.npy" else frame)  # type: ignore[arg-type]

    return write


def _ome_zarr(folder: Path) -> None:
    root = zarr.create_group(folder / "m.zarr", zarr_format=2)
    array = root.create_array("0", shape=MASKS.shape, chunks=(1, 12, 14), dtype="uint16")
    array[:] = MASKS
    axes = [{"name": "t", "type": "time", "unit": "second"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [30.0, 0.5, 0.5]}]}
    root.attrs.update(
        {
            "multiscales": [{"version": "0.4", "axes": axes, "datasets": [level]}],
            "omero": {"channels": [{"label": "a"}]},
        }
    )


def _plain_zarr(folder: Path) -> None:
    array = zarr.create_array(folder / "m.zarr", shape=MASKS.shape, chunks=(1, 12, 14), dtype="uint16")
    array[:] = MASKS


TARGETS = [
    Target("OME-TIFF", _ome, lambda folder: _frames(folder / "m.ome.tif")),
    Target(
        "ImageJ TIFF",
        lambda folder: tifffile.imwrite(
            folder / "m.tif", MASKS, imagej=True, metadata={"axes": "TYX", "unit": "um", "finterval": 3.0}
        ),
        lambda folder: _frames(folder / "m.tif"),
    ),
    Target("folder of TIFFs", _one_a_frame(".tif"), _measured),
    Target("folder of PNGs", _one_a_frame(".png"), _frames),
    Target("folder of npy files", _one_a_frame(".npy"), _frames),
    Target("Cellpose _seg.npy", _one_a_frame("_seg.npy"), _frames),
    Target("npy", lambda folder: np.save(folder / "m.npy", MASKS), lambda folder: _frames(folder / "m.npy")),
    Target(
        "OME-Zarr",
        _ome_zarr,
        lambda folder: _frames(folder / "m.zarr", role="masks"),
        (".zattrs", ".zgroup", ".zarray", "0.0.0"),
    ),
    Target("zarr array", _plain_zarr, lambda folder: _frames(folder / "m.zarr")),
    Target(
        "points CSV",
        lambda folder: POINTS.to_csv(folder / "p.csv", index=False),
        lambda folder: _points(folder / "p.csv"),
    ),
    Target(
        "points TSV",
        lambda folder: POINTS.to_csv(folder / "p.tsv", index=False, sep="\t"),
        lambda folder: _points(folder / "p.tsv"),
    ),
    Target(
        "points CSV, gzip",
        lambda folder: POINTS.to_csv(folder / "p.csv.gz", index=False),
        lambda folder: _points(folder / "p.csv.gz"),
    ),
    Target(
        "points Parquet",
        lambda folder: POINTS.to_parquet(folder / "p.parquet"),
        lambda folder: _points(folder / "p.parquet"),
    ),
]
