"""The bridge from a graph's tensors to the CPU solvers of `assignment`, and back with gradients."""

from torchtrack_uq.posterior.map_links import map_links

__all__ = ["map_links"]
