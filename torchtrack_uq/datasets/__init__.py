"""torchtrack_uq.datasets."""
