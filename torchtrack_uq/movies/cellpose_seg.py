"""Cellpose's `_seg.npy`: a pickled dictionary, read without running anything that it may hold.

`cellpose.io.masks_flows_to_seg` writes it with `numpy.save`; numpy reads it back with `pickle`, which runs code that
whoever wrote the file chose. Here every name in it stands for an inert class of this file, and any other is refused.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.source import Frame

_LARGEST_HEADER = 10_000


def read_seg(file: Path) -> Frame:
    """The label masks in a Cellpose `_seg.npy`, (Y, X) or (Z, Y, X).

    Raises:
        InputError: It is no such file, or it holds more than arrays, numbers, texts, lists and dictionaries.
    """
    try:
        with file.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(stream, max_header_size=_LARGEST_HEADER)
            if shape != () or not dtype.hasobject:
                raise ValueError("it holds an array and no dictionary")
            content = _Restricted(stream).load()
        if isinstance(content, _Array):  # numpy pickles the array of one object that holds the dictionary
            content = content.value[0] if isinstance(content.value, list) else content.value
        masks = content["masks"].value
        if not isinstance(masks, np.ndarray) or masks.dtype.kind not in "iu":
            raise ValueError("its masks are no array of labels")
    except Exception as error:  # whatever stands in a foreign or hostile file
        raise InputError(
            f"{file} cannot be read as Cellpose's _seg.npy ({error}); export the masks as PNG or TIFF, with "
            "cellpose.io.save_masks or in its window with File > Save masks"
        ) from error
    return masks


class _Dtype:
    """Stands for `numpy.dtype`, of plain types only."""

    def __init__(self, name: str, *_: object) -> None:
        if not isinstance(name, str):
            raise pickle.UnpicklingError("a dtype of an unusual kind")
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1] if state[1] in ("<", ">") else "="

    def array(self, data: bytes) -> np.ndarray[Any, Any]:
        dtype = np.dtype(self.name).newbyteorder(self.order)  # type: ignore[arg-type]
        if dtype.kind not in "biufcSU":
            raise pickle.UnpicklingError(f"an array of type {self.name}")
        return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))


class _Array:
    """Stands for `numpy.ndarray`; its `value` is an array of numbers, or a list of what else it held."""

    value: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        if isinstance(data, list):
            self.value = data
        else:
            self.value = dtype.array(data).reshape(shape, order="F" if fortran else "C")


def _array(*_: object) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return dtype.array(data)[0]


def _from_buffer(data: Any, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.value = dtype.array(bytes(data)).reshape(shape, order="F" if order == "F" else "C")
    return array


def _path(*parts: str) -> str:
    return "/".join(str(part) for part in parts)


_STAND_INS: dict[tuple[str, str], Any] = {("numpy", "ndarray"): _Array, ("numpy", "dtype"): _Dtype} | {
    (f"numpy.{core}.{module}", name): stand_in
    for core in ("core", "_core")
    for module, name, stand_in in (
        ("multiarray", "_reconstruct", _array),
        ("multiarray", "scalar", _scalar),
        ("numeric", "_frombuffer", _from_buffer),
    )
}
_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")


class _Restricted(pickle.Unpickler):
    """Builds built-in containers, numbers and texts, and the stand-ins above; nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("pathlib", "pathlib._local") and name in _PATHS:
            return _path
        if (module, name) in _STAND_INS:
            return _STAND_INS[module, name]
        raise pickle.UnpicklingError(f"it would run {module}.{name}")
