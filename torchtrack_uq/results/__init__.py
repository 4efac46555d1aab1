"""Results of tracking: tables, tracks, and writers that take what they write.

Pictures (`results.picture`) are imported only when drawn: they need matplotlib.
"""

from torchtrack_uq.results.ctc import write_ctc
from torchtrack_uq.results.geff import write_geff
from torchtrack_uq.results.geff_probabilities import write_candidates
from torchtrack_uq.results.lineage_statistics import LineageStatistics, lineage_statistics
from torchtrack_uq.results.napari_layers import to_napari
from torchtrack_uq.results.provenance import cells_digest, settings_of
from torchtrack_uq.results.saved_tracks import SavedTracks
from torchtrack_uq.results.to_annotate import sample_of_result, to_annotate
from torchtrack_uq.results.traccuracy_graph import to_traccuracy
from torchtrack_uq.results.track_files import export_tracks
from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.results.tracklets import Tracklets, tracklets

__all__ = [
    "LineageStatistics",
    "SavedTracks",
    "TrackingResult",
    "Tracklets",
    "cells_digest",
    "export_tracks",
    "lineage_statistics",
    "sample_of_result",
    "settings_of",
    "to_annotate",
    "to_napari",
    "to_traccuracy",
    "tracklets",
    "write_candidates",
    "write_ctc",
    "write_geff",
]
