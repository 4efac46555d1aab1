"""Trackers: anything that scores candidate links. `Tracker` is the protocol; plug in your own in ten lines."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
