"""torchtrack_uq.report."""
