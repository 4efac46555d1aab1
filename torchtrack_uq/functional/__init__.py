"""torchtrack_uq.functional."""
