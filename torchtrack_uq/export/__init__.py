"""torchtrack_uq.export."""
