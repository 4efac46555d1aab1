"""Where the annotated movies are: the one place that knows."""

import os
from pathlib import Path

VARIABLE = "TORCHTRACK_UQ_DATA"
"""Environment variable that names another folder."""
CHECKOUT = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """`$TORCHTRACK_UQ_DATA`, else `shared/data` beside the checkout; it need not exist."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else CHECKOUT.parent / "shared" / "data"
