"""Shares as people write them."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrack_uq.cli import main
from torchtrack_uq.cli.values import share


@given(st.integers(0, 1000))
def test_percent_and_share_are_the_same_number(tenths: int) -> None:
    assert share(f"{tenths / 10}%") == share(f" {tenths / 10} % ") == tenths / 10 / 100
    assert share(str(tenths / 1000)) == tenths / 1000


@pytest.mark.parametrize("text", ["", "%", "one", "nan", "inf", "-1%", "-0.1", "101%", "1.5", "1%%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no share; expected a number from 0 to 1"):
        share(text)


def test_a_bare_number_above_one_is_asked_about(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["track", "-m", "masks", "-o", "out", "--accept-error", "5"])
    assert refused.value.code == 2
    assert "for 5 percent write 5% or 0.05" in capsys.readouterr().err
