"""Packages that only some uses need."""

import sys
from pathlib import Path

import pytest

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.optional import import_optional


def test_what_is_installed_is_imported() -> None:
    assert import_optional("xml.dom", extra="files", what="reading settings") is sys.modules["xml.dom"]


def test_what_is_missing_is_said_with_the_line_that_installs_it() -> None:
    with pytest.raises(InputError) as refused:
        import_optional("no_such_package.core.io", extra="files", what="writing a file")
    message = str(refused.value)
    assert message.startswith("writing a file needs no_such_package, which cannot be imported")
    assert message.endswith("pip install 'torchtrack-uq[files]'")
    assert isinstance(refused.value.__cause__, ImportError)


def test_a_package_that_is_there_but_broken_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package_for_tests.py").write_text("import a_library_that_it_needs\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        InputError, match=r"No module named 'a_library_that_it_needs'.*torchtrack-uq\[files\]"
    ):
        import_optional("broken_package_for_tests", extra="files", what="writing a file")


def test_other_errors_of_a_package_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing_package_for_tests.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError):
        import_optional("failing_package_for_tests", extra="files", what="writing a file")
