"""Calibration: temperatures and event scores fitted on annotated movies, and the files that hold them.

`torchtrack_uq.calibration.lightning` has the same fit as a LightningModule; it is imported only when asked for.
"""

import lazy_loader

# not when first used: then the module of the same name might stand in its place
from torchtrack_uq.calibration.movie_prior import movie_prior as movie_prior

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
