"""YAML files that hold a mapping, read without building anything but plain values."""

from pathlib import Path
from typing import Any

import yaml

from torchtrack_uq.errors import InputError


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a file.

    Raises:
        InputError: It cannot be read, is no YAML, nests too deep, or holds something else than a mapping.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.yaml").write_text("steps: 3")
    ...     read_yaml(Path(folder) / "a.yaml")
    {'steps': 3}
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError, OverflowError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{file} cannot be read as YAML: {reason}") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} holds a {type(content).__name__}; expected names and values")
    return content
