"""Pictures of tracking results and of their calibration."""

from torchtrack_uq.report.calibration import draw_reliability, draw_sparsification
from torchtrack_uq.report.doubts import draw_doubts

__all__ = ["draw_doubts", "draw_reliability", "draw_sparsification"]
