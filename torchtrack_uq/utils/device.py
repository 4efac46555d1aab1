"""Which device to compute on."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from torchtrack_uq.errors import InputError

NO_FLOAT64 = ("mps",)
"""Devices without float64, in which probabilities are summed."""


def refuse_without_float64(device: torch.device) -> None:
    """Say at the door that a device cannot do what follows.

    Raises:
        InputError: It has no float64.

    >>> refuse_without_float64(torch.device("mps"))
    Traceback (most recent call last):
    torchtrack_uq.errors.InputError: device 'mps' has no float64, in which probabilities are summed; ...
    """
    if device.type in NO_FLOAT64:
        raise InputError(
            f"device '{device}' has no float64, in which probabilities are summed; use the CPU: device 'cpu', or "
            ".to('cpu') for scores that are there already"
        )


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """Turn "auto" (or None), "cpu", "cuda" or "cuda:1" into a device that is there.

    Raises:
        InputError: The device is unknown or has no float64, or CUDA is asked for where there is none.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device {device!r} is unknown; expected auto, cpu or cuda") from error
    refuse_without_float64(chosen)
    if chosen.type not in ("cpu", "cuda"):
        raise InputError(f"device {device!r} is not supported; expected auto, cpu or cuda")
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"device {device!r} was asked for, but torch {torch.__version__} sees no CUDA GPU here; use --device cpu"
        )
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {device!r} was asked for, but there are {torch.cuda.device_count()} GPU(s)")
    return chosen


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """One thread in the block: sums whose order depends on the threads are the same on every machine of a kind."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
