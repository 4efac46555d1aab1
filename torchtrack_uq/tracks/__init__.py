"""torchtrack_uq.tracks."""
