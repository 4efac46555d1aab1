"""torchtrack_uq.trackers."""
