"""Lengths in micrometres and times in seconds, from the units that files state."""

import math

_MICROMETRES = {
    "m": 1e6,
    "cm": 1e4,
    "mm": 1e3,
    "um": 1.0,
    "nm": 1e-3,
    "pm": 1e-6,
    "å": 1e-4,
    "metre": 1e6,
    "centimetre": 1e4,
    "millimetre": 1e3,
    "micrometre": 1.0,
    "nanometre": 1e-3,
    "picometre": 1e-6,
    "angstrom": 1e-4,
    "micron": 1.0,
}
_SECONDS = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "ms": 1e-3,
    "msec": 1e-3,
    "millisecond": 1e-3,
    "us": 1e-6,
    "microsecond": 1e-6,
    "ns": 1e-9,
    "nanosecond": 1e-9,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
}


def micrometres(value: object, unit: object) -> float | None:
    """A length in micrometres; None where the unit is none of length ("pixel") or the number is not positive.

    >>> micrometres(160, "nm"), micrometres("0.5", "µm"), micrometres(1, "pixel"), micrometres(0, "um")
    (0.16, 0.5, None, None)
    """
    return _scaled(value, unit, _MICROMETRES)


def seconds(value: object, unit: object) -> float | None:
    """A time in seconds; None where the unit is none of time or the number is not positive.

    >>> seconds(5, "min"), seconds(30, "frame")
    (300.0, None)
    """
    return _scaled(value, unit, _SECONDS)


def _scaled(value: object, unit: object, units: dict[str, float]) -> float | None:
    name = _plain(str(unit))
    factor = units.get(name, units.get(name.removesuffix("s")))
    try:
        number = float(str(value))
    except ValueError:
        return None
    if factor is None or not (math.isfinite(number) and number > 0):
        return None
    return float(f"{number * factor:.12g}")  # 160 nm are 0.16 µm and not 0.16000000000000003


def _plain(unit: str) -> str:
    """Without the two signs for micro, ImageJ's escapes, and two ways to spell metre."""
    unit = unit.strip().replace("\\u00B5", "u").replace("\\u00b5", "u")
    unit = unit.replace("µ", "u").replace("μ", "u").lower()
    return unit.replace("meter", "metre")
