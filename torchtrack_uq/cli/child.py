"""One run of `torchtrack-uq` that ends when the process that started it does: `python -m torchtrack_uq.cli.child`."""

import os
import signal
import sys
import threading

from torchtrack_uq.cli.main import command


def _end_with_parent() -> None:
    """Standard input is a pipe that nobody writes to; it ends when the other process is gone, however it went."""
    while os.read(0, 1):  # and not `sys.stdin`, whose lock Python wants when it ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    command(sys.argv[1:])
