"""The command line, `torchtrack-uq`: thin over the package."""

from torchtrack_uq.cli.main import main

__all__ = ["main"]
