"""torchtrack_uq.layers."""
