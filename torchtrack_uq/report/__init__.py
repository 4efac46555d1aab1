"""Pictures of tracking results."""

from torchtrack_uq.report.doubts import draw_doubts

__all__ = ["draw_doubts"]
