"""Results of tracking: tables, tracks, and writers that take what they write.

Pictures (`results.picture`) are imported only when drawn: they need matplotlib.
"""

from torchtrack_uq.results.ctc import write_ctc
from torchtrack_uq.results.geff import write_geff
from torchtrack_uq.results.to_annotate import sample_of_result, to_annotate
from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.results.tracklets import Tracklets, tracklets

__all__ = [
    "TrackingResult",
    "Tracklets",
    "sample_of_result",
    "to_annotate",
    "tracklets",
    "write_ctc",
    "write_geff",
]
