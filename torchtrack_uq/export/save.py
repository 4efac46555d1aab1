"""All outputs of one tracking result."""

from pathlib import Path

from torchtrack_uq.export.ctc import write_ctc
from torchtrack_uq.export.geff import write_geff
from torchtrack_uq.export.staging import staged_folder
from torchtrack_uq.report.doubts import draw_doubts
from torchtrack_uq.result import TrackingResult

_FLOAT_FORMAT = "%.6g"


def save_result(
    result: TrackingResult, folder: Path, *, overwrite: bool = False, progress: bool = True
) -> Path:
    """Write tables, masks, graph and picture; see `TrackingResult.save`."""
    with staged_folder(folder, overwrite=overwrite) as staging:
        result.links.to_csv(staging / "links.csv", index=False, float_format=_FLOAT_FORMAT)
        result.cells.to_csv(staging / "cells.csv", index=False, float_format=_FLOAT_FORMAT)
        write_ctc(result, staging, progress=progress)
        write_geff(result, staging / "tracks.geff")
        draw_doubts(result, staging / "doubts.png")
    return folder
