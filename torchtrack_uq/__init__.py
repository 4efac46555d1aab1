"""Uncertainty for cell tracking: calibrated link probabilities and assignment posteriors for any tracker.

Public names are listed in `__init__.pyi` and imported when first used: `torchtrack_uq.assignment` needs no torch.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
