"""Calibration metrics: torchmetrics Metrics over judged daughters and events, and all of them as plain numbers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
