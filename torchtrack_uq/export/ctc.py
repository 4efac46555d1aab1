"""Cell Tracking Challenge result format: one mask a frame, labelled by track, and res_track.txt."""

import warnings
from pathlib import Path

import numpy as np
import tifffile

from torchtrack_uq.measure import index_regions
from torchtrack_uq.progress import with_progress
from torchtrack_uq.result import TrackingResult


def write_ctc(result: TrackingResult, folder: Path, *, progress: bool = True) -> None:
    """Write `maskNNN.tif` and `res_track.txt` (rows of track, begin, end, parent).

    The masks are 16 bit as the challenge demands, or 32 bit with a warning if there are more tracks than
    16 bits can name. Format: https://celltrackingchallenge.net/datasets (naming and file content conventions).

    Args:
        result: What to write.
        folder: An existing folder.
        progress: Whether to show a progress bar.
    """
    table, detections = result.tracklets.table, result.detections
    columns = table[["track", "begin", "end", "parent"]].to_numpy()
    np.savetxt(folder / "res_track.txt", columns, fmt="%d")
    dtype = np.uint16 if len(table) < 1 << 16 else np.uint32
    if dtype == np.uint32:
        warnings.warn(
            f"{len(table)} tracks do not fit the 16 bits of the Cell Tracking Challenge format; "
            "the masks are written with 32 bits, which its own evaluation may refuse",
            stacklevel=2,
        )
    digits = max(3, len(str(detections.n_frames - 1)))
    for t in with_progress(range(detections.n_frames), "Writing masks", show=progress):
        where, _, cell = index_regions(result.movie.read_mask(t))
        relabelled = np.zeros(result.movie.frame_shape, dtype)
        relabelled.reshape(-1)[where] = result.tracklets.track[detections.in_frame(t)][cell]
        tifffile.imwrite(
            folder / f"mask{t:0{digits}d}.tif",
            relabelled,
            photometric="minisblack",
            compression="zlib",
            compressionargs={"level": 1},
        )
