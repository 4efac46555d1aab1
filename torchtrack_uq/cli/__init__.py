"""The command line, `torchtrack-uq`: thin over the package."""

from torchtrack_uq.cli.main import command, main

__all__ = ["command", "main"]
