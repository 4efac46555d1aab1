import subprocess
import sys
from pathlib import Path


def test_the_installed_command_shows_its_help() -> None:
    command = Path(sys.executable).parent / "torchtrack-uq"
    printed = subprocess.run([command, "--help"], check=True, capture_output=True, text=True).stdout
    assert "track" in printed
    assert "demo" in printed
