"""Writing results: tables, Cell Tracking Challenge files, geff, a picture; all or nothing."""

from torchtrack_uq.export.save import save_result
from torchtrack_uq.export.staging import check_output_folder, staged_folder

__all__ = ["check_output_folder", "save_result", "staged_folder"]
