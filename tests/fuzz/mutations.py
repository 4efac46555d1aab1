"""Ways in which a file goes wrong: bytes, numbers, rows, keys, nesting, encodings, and archives of such files."""

import gzip
import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, TypeAlias

import numpy as np

Mutation: TypeAlias = Callable[[bytes, np.random.Generator], bytes]

NUMBERS = [
    "", "0", "-1", "1", "2", "3.0", "1.5", "-0", "1e400", "-1e400", "1e300", "1e19", "nan", "NaN", "inf", "-Infinity",
    "٣", "²",
    "0x10", "1_000", "1,5", "9" * 18, "9" * 19, "9" * 30, "9" * 400, "9" * 5000, "-" + "9" * 30, "2147483648",
    "18446744073709551615", "9007199254740993", "None", "null", "true", "[]", "{}", "a", '"', "=1+1", "\0", " ",
]  # fmt: skip
"""What may stand where a number should."""
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 1.5, 1e300, 10**19, -(10**19), 10**400, float("nan"), float("inf"), "", "a", "²",
    "1", "nan", [], {}, [1], [[]], {"a": 1}, [None], "x" * 1000, 2**31, 2**53 + 1, 1e-320,
]  # fmt: skip
"""What may stand where any value of JSON should."""
EDGES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
_NUMBER = re.compile(rb"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])")
_TEXTS = {".csv", ".tsv", ".txt", ".json", ".yaml", ".xml", ".zattrs", ".zgroup", ".zarray"}
_DEEP = 100_000


def mutated(name: str, content: bytes, rng: np.random.Generator) -> bytes:
    """The content of a file after one to three things went wrong with it."""
    ways = ways_for(name)
    for _ in range(int(rng.integers(1, 4))):
        content = ways[rng.integers(len(ways))](content, rng)
    return content


def ways_for(name: str) -> list[Mutation]:
    """The mutations that suit a file, by its name."""
    path = PurePath(name)
    suffix = path.suffix.lower() or path.name
    if suffix == ".gz":
        inner = path.stem
        return [*BINARY, lambda content, rng: _regzip(inner, content, rng)]
    if suffix in (".npz", ".zip"):
        return [*BINARY, *[_rezip] * 6]
    if suffix == ".npy":
        return [*BINARY, *[_renumpy] * 2]
    if suffix in (".json", ".zattrs", ".zgroup", ".zarray"):
        return [*TEXT, *[_rejson] * 10]
    return [*TEXT, *BINARY] if suffix in _TEXTS else BINARY


def _place(content: bytes, rng: np.random.Generator) -> int:
    return (
        int(rng.integers(len(content) + 1)) if rng.random() < 0.5 else int(len(content) * rng.random() ** 4)
    )


def flip_bits(content: bytes, rng: np.random.Generator) -> bytes:
    """Up to eight bits turn."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 9)) if data else 0):
        data[min(_place(content, rng), len(data) - 1)] ^= 1 << int(rng.integers(8))
    return bytes(data)


def cut_off(content: bytes, rng: np.random.Generator) -> bytes:
    """The end is missing."""
    return content[: _place(content, rng)]


def lose_chunk(content: bytes, rng: np.random.Generator) -> bytes:
    """A piece is missing."""
    at = _place(content, rng)
    return content[:at] + content[at + int(rng.integers(1, 65)) :]


def repeat_chunk(content: bytes, rng: np.random.Generator) -> bytes:
    """A piece stands twice."""
    at, n = _place(content, rng), int(rng.integers(1, 257))
    return content[: at + n] + content[at : at + n] + content[at + n :]


def random_chunk(content: bytes, rng: np.random.Generator) -> bytes:
    """A piece is noise."""
    at, n = _place(content, rng), int(rng.integers(1, 33))
    return content[:at] + rng.bytes(n) + content[at + n :]


def edge_value(content: bytes, rng: np.random.Generator) -> bytes:
    """A binary number of 1 to 8 bytes is one at which counts and sizes overflow."""
    at, width = _place(content, rng), int(rng.choice([1, 2, 4, 8]))
    order = "little" if rng.random() < 0.7 else "big"
    value = int(rng.choice(EDGES)) % (1 << 8 * width)
    return content[:at] + value.to_bytes(width, order) + content[at + width :]


def other_number(content: bytes, rng: np.random.Generator) -> bytes:
    """A number in a text is another one, or none."""
    found = list(_NUMBER.finditer(content))
    if not found:
        return content
    one = found[rng.integers(len(found))]
    number = NUMBERS[rng.integers(len(NUMBERS))].encode()
    return content[: one.start()] + number + content[one.end() :]


def other_field(content: bytes, rng: np.random.Generator) -> bytes:
    """What stands between two separators is something else."""
    parts = re.split(rb"([,;\t \n=\"]+)", content)
    parts[2 * int(rng.integers((len(parts) + 1) // 2))] = NUMBERS[rng.integers(len(NUMBERS))].encode()
    return b"".join(parts)


def other_lines(content: bytes, rng: np.random.Generator) -> bytes:
    """A line is missing, stands twice, or has changed places."""
    lines = content.split(b"\n")
    i, j = rng.integers(len(lines), size=2)
    match rng.integers(4):
        case 0:
            del lines[i]
        case 1:
            lines.insert(j, lines[i])
        case 2:
            lines[i], lines[j] = lines[j], lines[i]
        case _:
            lines = lines[: i + 1]
    return b"\n".join(lines)


def other_encoding(content: bytes, rng: np.random.Generator) -> bytes:
    """As another program on another computer saves a text."""
    match rng.integers(7):
        case 0:
            return b"\xef\xbb\xbf" + content
        case 1:
            return content.decode("utf-8", "replace").encode("utf-16")
        case 2:
            return content.decode("utf-8", "replace").encode("utf-32")
        case 3:
            return content.replace(b"\n", b"\r\n")
        case 4:
            return content.replace(b"\n", b"\r")
        case 5:
            return b"\xff\xfe" + content
        case _:
            return content.replace(b",", rng.choice([b";", b"\t", b" ", b",,", b'","', b"'"]))


def deep(content: bytes, rng: np.random.Generator) -> bytes:
    """Brackets within brackets, far beyond what recursion reaches."""
    opening, closing = [(b"[", b"]"), (b'{"a":', b"}"), (b"<a>", b"</a>"), (b"- ", b"")][rng.integers(4)]
    nested = opening * _DEEP + b"1" + closing * _DEEP * int(rng.integers(2))
    found = list(_NUMBER.finditer(content))
    if not found or rng.random() < 0.2:
        return nested
    one = found[rng.integers(len(found))]
    return content[: one.start()] + nested + content[one.end() :]


BINARY: list[Mutation] = [flip_bits, cut_off, lose_chunk, repeat_chunk, random_chunk, edge_value, edge_value]
TEXT: list[Mutation] = [
    *[other_number] * 6,
    *[other_field] * 3,
    *[other_lines] * 3,
    other_encoding,
    flip_bits,
    cut_off,
    lose_chunk,
]


def _rejson(content: bytes, rng: np.random.Generator) -> bytes:
    """A value is another one, a key is gone, renamed or doubled, or one value is nested deep."""
    if rng.random() < 0.03:
        return deep(content, rng)
    try:
        tree = json.loads(content)
    except (ValueError, RecursionError):
        return flip_bits(content, rng)
    places = list(_places({"": tree}, 0))
    holder, key = places[rng.integers(len(places))]
    value = VALUES[rng.integers(len(VALUES))]
    match rng.integers(5):
        case 0 if isinstance(holder, dict):
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        case 2:
            others = places[rng.integers(len(places))]
            holder[key] = json.loads(
                json.dumps(others[0][others[1]] if others[1] in _keys(others[0]) else None)
            )
        case _:
            holder[key] = value
    root = places[0][0]
    return json.dumps(root.get("", root)).encode()


def _keys(holder: Any) -> Any:
    return holder if isinstance(holder, dict) else range(len(holder))


def _places(holder: Any, depth: int) -> Any:
    """Every container and key of a tree of JSON."""
    keys = list(holder) if isinstance(holder, dict) else range(min(len(holder), 50))
    for key in keys:
        yield holder, key
        if isinstance(holder[key], dict | list) and depth < 20:
            yield from _places(holder[key], depth + 1)


def _regzip(inner: str, content: bytes, rng: np.random.Generator) -> bytes:
    try:
        return gzip.compress(mutated(inner, gzip.decompress(content), rng), mtime=0)
    except Exception:  # mutated before
        return flip_bits(content, rng)


def _renumpy(content: bytes, rng: np.random.Generator) -> bytes:
    """An array of numbers has other numbers, another shape or another type."""
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except Exception:  # mutated before, or Cellpose's pickle
        return flip_bits(content, rng)
    out = io.BytesIO()
    np.save(out, _other_array(array, rng))
    return out.getvalue()


def _other_array(array: Any, rng: np.random.Generator) -> Any:
    kinds = [np.int64, np.float64, np.float32, np.uint8, np.bool_, "U5", np.complex64, np.int16]
    with np.errstate(all="ignore"):
        match rng.integers(6):
            case 0 if array.size and array.dtype.kind in "iuf":
                array = array.copy()
                edge = (
                    [np.nan, np.inf, -np.inf, 1e300, -1.0, 0.5]
                    if array.dtype.kind == "f"
                    else [-1, 0, 1, 2, 127, -128]
                )
                array.flat[rng.integers(array.size)] = np.array(edge[rng.integers(6)]).astype(array.dtype)
            case 1 if array.ndim:
                array = array[: rng.integers(len(array) + 1)]
            case 2 if array.ndim:
                array = np.concatenate([array, array])
            case 3:
                array = array.astype(kinds[rng.integers(len(kinds))])
            case 4:
                array = array.ravel() if rng.random() < 0.5 else array[None]
            case _:
                array = np.zeros(rng.integers(0, 4, size=rng.integers(0, 4)), array.dtype)
    return array


def _rezip(content: bytes, rng: np.random.Generator) -> bytes:
    """A member of an archive is mutated, gone, doubled or renamed."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:  # mutated before
        return flip_bits(content, rng)
    if not members:
        return flip_bits(content, rng)
    at = int(rng.integers(len(members)))
    name, inside = members[at]
    match rng.integers(7):
        case 0:
            del members[at]
        case 1:
            names = [
                "../up",
                "/abs",
                "a:b",
                "",
                "x/",
                "a\\..\\..\\b",
                "𝄞",
                "." * 300,
                "a\0b",
                f"{name}/below",
            ]
            members[at] = (names[rng.integers(len(names))], inside)
        case 2:
            members[at] = (members[rng.integers(len(members))][0], inside)
        case _:
            # facts.npy holds JSON as bytes
            members[at] = (name, _refacts(inside, rng) if name == "facts.npy" else mutated(name, inside, rng))
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")  # of names that stand twice, which is meant
        for one, data in members:
            if one:
                archive.writestr(one, data)
    return out.getvalue()


def _refacts(content: bytes, rng: np.random.Generator) -> bytes:
    try:
        text = np.load(io.BytesIO(content), allow_pickle=False).tobytes()
    except Exception:  # mutated before
        return content
    out = io.BytesIO()
    np.save(out, np.frombuffer(_rejson(text, rng), np.uint8))
    return out.getvalue()
