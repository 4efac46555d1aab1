"""The bridge from a graph's tensors to the CPU solvers of `assignment`, and back with gradients."""

from torchtrack_uq.posterior.histories import Histories, draw_histories
from torchtrack_uq.posterior.link_marginals import PairMarginals, link_marginals, sample_links
from torchtrack_uq.posterior.map_links import map_links
from torchtrack_uq.posterior.sample_mothers import sample_mothers

__all__ = [
    "Histories",
    "PairMarginals",
    "draw_histories",
    "link_marginals",
    "map_links",
    "sample_links",
    "sample_mothers",
]
