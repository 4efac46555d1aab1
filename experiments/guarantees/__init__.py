"""Whether the promises of `torchtrack_uq.guarantees` hold on real movies."""
