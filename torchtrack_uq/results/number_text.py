"""Numbers as tables show them: one by one, and columns of millions of them at once."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchtrack_uq.utils.kernel import kernel

Bytes = NDArray[np.uint8]
_THOUSANDS, _LARGE = 1e3, 1e12
"""Between these, three decimals."""
_WIDTH = 24
"""Characters of the longest text, -999999999999.999 or -1.23457e-100."""
_SAFE = 1e-290
"""Smaller numbers, and those beyond its inverse, lose digits when they are scaled."""
_TIE = 1e-8
"""Nearer to a tie than this, scaled numbers may be rounded the wrong way."""
_POWERS = np.array([float(f"1e{k}") for k in range(300)])
_ZERO, _POINT, _MINUS, _PLUS, _E = (ord(one) for one in "0.-+e")


def number_text(value: Any) -> str:
    """A number of a table: six significant digits, of thousands and more (times, far places) three decimals.

    >>> number_text(0.123456789), number_text(12345.25), number_text(float("inf"))
    ('0.123457', '12345.25', 'inf')
    """
    if not _THOUSANDS <= abs(value) < _LARGE:
        return f"{value:.6g}"
    return f"{value:.3f}".rstrip("0").rstrip(".")


def number_texts(values: NDArray[np.floating[Any]]) -> Bytes:
    """(n, W) the texts that `number_text` makes of many numbers, in a small part of the time; NaN is empty.

    Digits are those of the number scaled to an integer. Where that lies so near to a tie that the scaling may have
    moved it over, and for infinity and what is nearly as large, the text is made one by one.

    Args:
        values: (n,) numbers.

    Returns:
        uint8, one text a row, zeros where a row is longer than its text.

    >>> text = number_texts(np.array([0.5, -1234.5, 1e-7, np.nan]))
    >>> [bytes(row[row > 0]) for row in text]
    [b'0.5', b'-1234.5', b'1e-07', b'']
    """
    texts = np.zeros((len(values), _WIDTH), np.uint8)
    odd = np.flatnonzero(_write_numbers(values.astype(np.float64), _POWERS, texts))
    return _with_words(texts, odd, [number_text(value) for value in values[odd].tolist()])


def whole_texts(values: NDArray[np.integer[Any]]) -> Bytes:
    """(n, W) integers as texts, as `number_texts`.

    >>> [bytes(row[row > 0]) for row in whole_texts(np.array([0, -12, 1050]))]
    [b'0', b'-12', b'1050']
    """
    texts = np.zeros((len(values), _WIDTH), np.uint8)
    largest = np.iinfo(np.int64).max
    odd = np.flatnonzero((values > largest) | (values <= -largest))
    _write_integers(values.astype(np.int64), texts)
    return _with_words(texts, odd, [str(value) for value in values[odd].tolist()])


def _with_words(texts: Bytes, rows: NDArray[np.intp], words: list[str]) -> Bytes:
    """With other texts in some rows."""
    if len(rows):
        texts[rows] = (
            np.array([word.encode() for word in words], f"S{_WIDTH}").view(np.uint8).reshape(-1, _WIDTH)
        )
    return texts


@kernel
def _write_numbers(
    values: NDArray[np.float64], powers: NDArray[np.float64], texts: Bytes
) -> NDArray[np.bool_]:
    """Fill texts, which are zeros; which numbers could not be written."""
    odd = np.zeros(values.size, np.bool_)
    for i in range(values.size):
        value, text = values[i], texts[i]
        if math.isnan(value):
            continue
        x = abs(value)
        if x == 0.0:
            negative = np.signbit(value)
            if negative:
                text[0] = _MINUS
            text[1 if negative else 0] = _ZERO
            continue
        if not _SAFE <= x <= 1 / _SAFE:
            odd[i] = True
            continue
        many = _THOUSANDS <= x < _LARGE
        exponent = math.floor(math.log10(x))
        decimals = 3 if many else 5 - exponent
        scaled = x * powers[decimals] if decimals >= 0 else x / powers[-decimals]
        if not many and (scaled < 1e5 or scaled >= 1e6):  # the logarithm may be wrong by one at powers of ten
            exponent += 1 if scaled >= 1e6 else -1
            decimals = 5 - exponent
            scaled = x * powers[decimals] if decimals >= 0 else x / powers[-decimals]
        if abs(scaled - math.floor(scaled) - 0.5) <= max(_TIE, scaled * 4e-16):
            odd[i] = True
            continue
        whole = math.floor(scaled + 0.5)
        if not many and whole == 1_000_000:
            whole, exponent, decimals = 100_000, exponent + 1, decimals - 1
        at = 0
        if value < 0:
            text[at] = _MINUS
            at += 1
        if many or -4 <= exponent < 6:
            while decimals > 0 and whole % 10 == 0:
                whole //= 10
                decimals -= 1
            _write_whole(whole, text, at, decimals)
            continue
        decimals = 5
        while decimals > 0 and whole % 10 == 0:
            whole //= 10
            decimals -= 1
        at = _write_whole(whole, text, at, decimals)
        text[at] = _E
        text[at + 1] = _MINUS if exponent < 0 else _PLUS
        exponent = abs(exponent)
        at += 2
        if exponent < 10:
            text[at] = _ZERO
            at += 1
        _write_whole(exponent, text, at, 0)
    return odd


@kernel
def _write_integers(values: NDArray[np.int64], texts: Bytes) -> None:
    for i in range(values.size):
        value, at = values[i], 0
        if value < 0:
            texts[i, 0] = _MINUS
            value, at = -value, 1
        _write_whole(value, texts[i], at, 0)


@kernel
def _write_whole(value: int, text: Bytes, at: int, decimals: int) -> int:
    """Write value / 10 ** decimals with all its decimals from `at` on; where the text ends."""
    n, rest = 1, value // 10
    while rest > 0 or n <= decimals:
        n += 1
        rest //= 10
    end = at + n + (1 if decimals > 0 else 0)
    place = end - 1
    for k in range(n):
        if k == decimals and k > 0:
            text[place] = _POINT
            place -= 1
        text[place] = _ZERO + value % 10
        value //= 10
        place -= 1
    return end
