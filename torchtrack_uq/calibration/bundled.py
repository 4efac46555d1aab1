"""Calibrations that come with the package, for the bundled models."""

from pathlib import Path

from torchtrack_uq.errors import InputError
from torchtrack_uq.trackers.trackastra.models import bundled_models


def bundled_calibration(model: str, method: str) -> Path:
    """The calibration file that comes with a bundled model, for one method, at every frame.

    Args:
        model: Such as "small_2d".
        method: Such as "AS".

    Raises:
        InputError: No model of that name comes with the package, or no calibration for that method.
    """
    models = bundled_models()
    if model not in models:
        raise InputError(
            f"calibrations come with {', '.join(models)} only, not with {model!r}: fit one with `torchtrack-uq fit`"
        )
    file = models[model] / "calibration" / f"{method}.json"
    if not file.is_file():
        known = sorted(path.stem for path in file.parent.glob("*.json"))
        raise InputError(
            f"{model} comes with calibrations for {', '.join(known) or 'no method'}, not for {method}: fit one with "
            "`torchtrack-uq fit`"
        )
    return file
