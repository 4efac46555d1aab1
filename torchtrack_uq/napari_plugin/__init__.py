"""A plugin of napari: results as layers, and a dock widget in which doubts are settled.

What Qt shows is thin: a `ReviewController` says what is asked, which answers there are and what a key does, and knows
no toolkit. Only `dock` imports qtpy and napari, and only napari imports `dock`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
