"""Charts over time: wrong decisions that are expected in each frame, and cells."""

import math

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.results.report.markup import Markup, element

_WIDTH, _HEIGHT = 480.0, 170.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 10.0, 26.0, 36.0
_MOST_POINTS = 240
_TICKS = 4

Floats = NDArray[np.float64]


def chart_over_time(values: Floats, frame_number: NDArray[np.int64], title: str, *, filled: bool) -> Markup:
    """One SVG: a value a frame, as steps; where there are more frames than a screen shows, means of some.

    Args:
        values: (T,) at least 0.
        frame_number: (T,) what the user calls these frames.
        title: What is drawn, above the chart.
        filled: Whether the area below the steps is filled.
    """
    each = -(-len(values) // _MOST_POINTS)
    starts = np.arange(0, len(values), each)
    shown = np.add.reduceat(values, starts) / np.diff([*starts, len(values)])
    ticks = round_ticks(float(shown.max(initial=0)))
    bottom, top = _HEIGHT - _BOTTOM, _TOP
    edges = [*starts.tolist(), len(values)]

    def x(t: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * t / max(len(values), 1)

    def y(value: float) -> float:
        return bottom - (bottom - top) * value / ticks[-1]

    steps = f"M{x(0):.1f} {y(float(shown[0])):.1f}" + "".join(
        f"V{y(value):.1f}H{x(end):.1f}" for value, end in zip(shown.tolist(), edges[1:], strict=True)
    )
    area = f"{steps}V{bottom:.1f}H{x(0):.1f}Z"
    mean = f" (mean of {each} frames)" if each > 1 else ""
    parts = [element("text", {"x": 4, "y": 15.0, "class": "title"}, title + mean)]
    for tick in ticks:
        parts += [
            element(
                "line", {"x1": _LEFT, "x2": _WIDTH - _RIGHT, "y1": y(tick), "y2": y(tick), "class": "grid"}
            ),
            element("text", {"x": _LEFT - 6, "y": y(tick) + 4, "text-anchor": "end"}, f"{tick:g}"),
        ]
    if filled:
        parts.append(element("path", {"d": area, "class": "area"}))
    parts.append(element("path", {"d": steps, "class": "steps"}))
    for t in sorted({0, len(values) // 2, len(values) - 1}):
        anchor = "start" if t == 0 else "end" if t == len(values) - 1 else "middle"
        place = x(0) if t == 0 else x(len(values)) if t == len(values) - 1 else x(t + 0.5)
        parts.append(
            element("text", {"x": place, "y": bottom + 15, "text-anchor": anchor}, str(frame_number[t]))
        )
    parts.append(
        element("text", {"x": (_LEFT + _WIDTH) / 2, "y": bottom + 30, "text-anchor": "middle"}, "frame")
    )
    peak = int(values.argmax()) if len(values) else 0
    said = f"{title}: at most {values.max(initial=0):.3g}, in frame {frame_number[peak]}"
    return element(
        "svg",
        {"viewBox": f"0 0 {_WIDTH:g} {_HEIGHT:g}", "class": "chart", "role": "img", "aria-label": said},
        *parts,
    )


def round_ticks(highest: float) -> list[float]:
    """Round numbers from 0 to at least the highest value.

    >>> round_ticks(0.83), round_ticks(37.0), round_ticks(0.0)
    ([0.0, 0.5, 1.0], [0.0, 10.0, 20.0, 30.0, 40.0], [0.0, 1.0])
    """
    if highest <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(highest / _TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * _TICKS >= highest * (1 - 1e-9))
    return [float(f"{step * k:.6g}") for k in range(math.ceil(highest / step - 1e-9) + 1)]
