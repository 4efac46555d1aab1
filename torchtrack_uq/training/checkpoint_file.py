"""Checkpoints that appear whole under their name or not at all, on whatever file system they lie."""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from torchtrack_uq.utils.files import write_atomically


class WholeCheckpoints(TorchCheckpointIO):  # type: ignore[misc,unused-ignore]
    """Writes a checkpoint beside its place, then renames it.

    Lightning's own writes to the folder for temporary files and moves from there, which on another file system is a
    copy that an interruption or a full disk cuts off under the final name. `torch.save` to a file does not say that a
    disk is full but that a position was unexpected, so it saves to memory.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write all of it, or leave what was there."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomically(Path(path), content.getvalue())
