"""torchtrack_uq.training."""
