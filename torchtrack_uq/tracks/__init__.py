"""From link probabilities to a decision: MAP links, tracks and divisions."""

from torchtrack_uq.tracks.map_links import map_links
from torchtrack_uq.tracks.tracklets import Tracklets, tracklets

__all__ = ["Tracklets", "map_links", "tracklets"]
