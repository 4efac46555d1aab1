"""What a model's configuration may say: Trackastra takes anything, and notices when the model is used, or never."""

import math
from collections.abc import Mapping
from typing import Any

from torchtrack_uq.errors import InputError

_NORMALISATIONS = ("none", "linear", "softmax", "quiet_softmax")
_FEATURES = ("wrfeat", "none")
_LONGEST_WINDOW = 1_000_000
_REACH = (1.0, 1e6)


def check_config(config: Mapping[str, Any], trained: Mapping[str, Any]) -> None:
    """Refuse a model that says what it cannot mean, since its scores would be wrong without a word.

    Args:
        config: Its `config.yaml`.
        trained: Its `train_config.yaml`, or what is known of it.

    Raises:
        InputError: An unknown normalisation, features that are not measured here, a reach that is none, dropout that is
            no share, or another window than it was trained with.

    >>> check_config({"window": 4, "causal_norm": "quiet_softmax", "spatial_pos_cutoff": 256}, {})
    >>> check_config({"window": 4, "causal_norm": "quiet"}, {})
    Traceback (most recent call last):
    torchtrack_uq.errors.InputError: the model's config.yaml says causal_norm: 'quiet'; expected none, linear, ...
    """
    norm = config.get("causal_norm", "quiet_softmax")
    if norm not in _NORMALISATIONS:
        raise _says("causal_norm", norm, ", ".join(_NORMALISATIONS[:-1]) + f" or {_NORMALISATIONS[-1]}")
    reach = config.get("spatial_pos_cutoff", 256)
    if not _is_number(reach) or not _REACH[0] <= reach <= _REACH[1]:
        raise _says("spatial_pos_cutoff", reach, "a number of pixels from 1 to a million")
    dropout = config.get("dropout", 0.0)
    if not _is_number(dropout) or not 0 <= dropout <= 1:
        raise _says("dropout", dropout, "a share from 0 to 1")
    window = checked_window(config)
    said = trained.get("window")
    if said is not None and said != window:
        raise InputError(
            f"the model's config.yaml says window: {window}, but its train_config.yaml {str(said)[:40]}; expected the "
            "number of frames that it was trained with in both"
        )
    kind = trained.get("features", "wrfeat")
    if kind not in _FEATURES:
        raise InputError(
            f"the model's train_config.yaml says features: {str(kind)[:40]!r}; expected a model trained with "
            f"{' or '.join(map(repr, _FEATURES))}, such as general_2d"
        )


def checked_window(config: Mapping[str, Any]) -> int:
    """How many frames a model sees at once, from its configuration.

    Raises:
        InputError: It is no whole number, or too few frames for a link.

    >>> checked_window({"window": 4})
    4
    >>> checked_window({"window": 1})
    Traceback (most recent call last):
    torchtrack_uq.errors.InputError: the model's config.yaml says window: 1; expected a whole number of frames, at ...
    """
    window = config.get("window")
    if isinstance(window, bool) or not isinstance(window, int) or not 2 <= window <= _LONGEST_WINDOW:
        raise _says("window", window, "a whole number of frames, at least 2", shown=str)
    return window


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _says(name: str, value: Any, expected: str, shown: Any = repr) -> InputError:
    return InputError(f"the model's config.yaml says {name}: {shown(value)[:40]}; expected {expected}")
