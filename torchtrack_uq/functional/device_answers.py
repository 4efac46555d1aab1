"""A yes or no that a device computes, looked at without waiting for the device."""

from collections import deque

import torch
from torch import Tensor


class DeviceAnswers:
    """Answers in the order in which they were asked for.

    On a GPU an answer is copied to pinned memory behind the work that is queued there; the CPU goes on queueing and
    looks at it as soon as it has arrived. On the CPU, where there is nothing to wait for, it is there at once.

    >>> DeviceAnswers().seen(torch.tensor(True))
    True
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Tensor, torch.cuda.Event]] = deque()

    def seen(self, answer: Tensor) -> bool:
        """Ask for one more answer, a scalar bool; whether any that has arrived by now is yes."""
        if answer.device.type != "cuda":
            return bool(answer)
        copy = torch.empty((), dtype=torch.bool, pin_memory=True)
        copy.copy_(answer, non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record(torch.cuda.current_stream(answer.device))
        self._waiting.append((copy, arrived))
        while self._waiting and self._waiting[0][1].query():  # type: ignore[no-untyped-call]
            if bool(self._waiting.popleft()[0]):
                return True
        return False
