"""What the README shows runs, on the real example movie, and is short."""

from collections.abc import Callable
from pathlib import Path

from tests.docs.pages import ROOT, code_of

README = ROOT / "README.md"


def test_every_python_block_runs(run_page: Callable[[str, str], object], tmp_path: Path) -> None:
    run_page(code_of(README), str(README))
    assert (tmp_path / "out" / "doubts.png").exists()


def test_it_fits_two_screens() -> None:
    assert len(README.read_text().splitlines()) <= 110
