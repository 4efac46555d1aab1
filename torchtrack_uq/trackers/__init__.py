"""Trackers: anything that scores candidate links. `Tracker` is the protocol; plug in your own in ten lines."""

from torchtrack_uq.trackers.activity import ActivityTracker
from torchtrack_uq.trackers.distance import DistanceTracker
from torchtrack_uq.trackers.overlap import OverlapTracker
from torchtrack_uq.trackers.protocol import PerturbableTracker, StreamingTracker, Tracker
from torchtrack_uq.trackers.trackastra import TrackastraTracker

__all__ = [
    "ActivityTracker",
    "DistanceTracker",
    "OverlapTracker",
    "PerturbableTracker",
    "StreamingTracker",
    "TrackastraTracker",
    "Tracker",
]
