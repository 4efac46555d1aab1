"""Thin nn.Modules over `functional` and `posterior` that take candidate links on any device."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
