"""Times and errors of `torchtrack_uq.assignment`."""
