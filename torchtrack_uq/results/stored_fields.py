"""Dataclasses of arrays as entries of one archive, and back."""

import io
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchtrack_uq.errors import InputError


def put_fields(name: str, value: Any, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]) -> None:
    """Fields of a dataclass by their path: arrays to `arrays`, the rest to `facts`."""
    for field in fields(value):
        path, one = f"{name}.{field.name}", getattr(value, field.name)
        if isinstance(one, Tensor):
            arrays[path] = one.detach().cpu().numpy()
        elif isinstance(one, np.ndarray):
            arrays[path] = one.astype(str) if one.dtype == object else one
        elif is_dataclass(one):
            put_fields(path, one, arrays, facts)
        elif isinstance(one, Mapping) and any(isinstance(part, np.ndarray) for part in one.values()):
            facts[path] = {"keys": list(one)}
            arrays |= {f"{path}.{key}": part for key, part in one.items()}
        else:
            facts[path] = {"value": dict(one) if isinstance(one, Mapping) else one}


def take_fields(
    name: str, arrays: dict[str, NDArray[Any]], facts: dict[str, Any], nested: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What `put_fields` stored of one dataclass."""
    found: dict[str, Any] = {}
    for path, entry in facts.items():
        key = path.removeprefix(f"{name}.")
        if path.startswith(f"{name}.") and "." not in key:
            if "keys" in entry:
                found[key] = {part: arrays[f"{path}.{part}"] for part in entry["keys"]}
            else:
                value = entry["value"]
                found[key] = tuple(value) if isinstance(value, list) else value
    for path, values in arrays.items():
        key = path.removeprefix(f"{name}.")
        if path.startswith(f"{name}.") and "." not in key and key not in nested:
            found[key] = values
    return found


def as_tensors(found: dict[str, Any]) -> dict[str, Any]:
    """Arrays as tensors, the rest as it is."""
    return {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in found.items()
    }


@dataclass(frozen=True)
class OnDisk:
    """A one-dimensional array that lies in files, one part after the other, as `numpy.ndarray.tofile` writes them.

    Attributes:
        files: In order.
        dtype: Of all.
    """

    files: Sequence[Path]
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        return sum(file.stat().st_size for file in self.files) // self.dtype.itemsize

    def write(self, stream: IO[bytes]) -> None:
        """As `numpy.save` would write it."""
        about = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (len(self),),
        }
        np.lib.format.write_array_header_1_0(stream, about)
        for file in self.files:
            with file.open("rb") as part:
                shutil.copyfileobj(part, stream, 1 << 20)


def write_archive(file: IO[bytes], arrays: Mapping[str, "NDArray[Any] | OnDisk"]) -> None:
    """What `numpy.load` reads as these arrays; `numpy.savez_compressed` takes twice as long to save 7 % more.

    >>> file = io.BytesIO()
    >>> write_archive(file, {"frame": np.arange(3)})
    >>> np.load(io.BytesIO(file.getvalue()))["frame"]
    array([0, 1, 2])
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                if isinstance(values, OnDisk):
                    values.write(entry)
                else:
                    np.lib.format.write_array(entry, np.asanyarray(values), allow_pickle=False)


def read_archive(file: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an archive.

    Raises:
        InputError: It is missing or damaged.
    """
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        none = "" if file.parent.is_dir() else f", and {file.parent} does not exist"
        raise InputError(
            f"{file} is missing; expected a folder that `torchtrack-uq track` wrote{none}"
        ) from error
    except Exception as error:  # whatever zipfile, zlib and numpy meet in a damaged archive
        raise InputError(f"{file} cannot be read: {error}; track again") from error
    for name, values in found.items():
        if not isinstance(values, np.ndarray):  # numpy gives a member without an array's header as bytes
            raise InputError(f"{file} cannot be read: {name} is no array; track again")
    return found
