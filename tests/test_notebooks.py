"""Every notebook runs from a copy without data, and is committed with its outputs, small and tidy."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 600_000  # bytes

each = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
# of the event loop and the sockets between here and the kernel
quiet = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_notebooks", FOLDER / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_there_are_five() -> None:
    assert [file.name[:2] for file in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


@quiet
@each
def test_it_runs_without_data(
    file: Path, run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCHTRACK_UQ_DATA", raising=False)
    copy = tmp_path / "notebooks" / file.name
    copy.parent.mkdir()
    shutil.copy(file, copy)
    (tmp_path / "docs").symlink_to(FOLDER.parent / "docs")
    found = run.execute(copy)
    assert not [output for output in outputs(found) if output.output_type == "error"]
    assert not [output.text for output in outputs(found) if output.get("name") == "stderr"]
    left_behind = {path.name for path in copy.parent.iterdir()} - {file.name, ".ipynb_checkpoints"}
    assert not left_behind


@each
def test_it_is_committed_with_its_outputs(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert outputs(notebook)
    assert not [o for o in outputs(notebook) if o.output_type == "error" or o.get("name") == "stderr"]
    assert file.stat().st_size < LARGEST


@each
def test_it_is_tidy(file: Path, run: ModuleType) -> None:
    assert run.tidy(nbformat.read(file, as_version=4)) == nbformat.read(file, as_version=4)
    assert not re.search(r"/(home|Users|root|tmp|work)/", file.read_text())


@each
def test_it_begins_with_what_one_will_learn_and_how_long_it_takes(file: Path) -> None:
    first = nbformat.read(file, as_version=4).cells[0]
    assert first.cell_type == "markdown"
    assert "**What you will learn:**" in first.source
    assert "**How long it takes:**" in first.source


@each
def test_links_to_other_notebooks_lead_somewhere(file: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", file.read_text()):
        assert (FOLDER / link).is_file(), link


def test_the_script_refuses_names_that_no_notebook_has(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "99"])
    assert run.main() == 2
    assert "no notebook begins with 99" in capsys.readouterr().err


def test_saving_writes_all_or_nothing(run: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / NOTEBOOKS[0].name
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    run.save(notebook, file)
    assert nbformat.read(file, as_version=4) == notebook
    notebook.cells[0].cell_type = "poem"
    with pytest.raises(nbformat.ValidationError):
        run.save(notebook, file)
    assert nbformat.read(file, as_version=4) != notebook
    assert list(tmp_path.iterdir()) == [file]


@quiet
def test_an_error_in_a_cell_is_an_error(run: ModuleType, tmp_path: Path) -> None:
    from nbclient.exceptions import CellExecutionError

    cell = nbformat.v4.new_code_cell("assert 1 == 2, 'arithmetic'")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "wrong.ipynb")
    with pytest.raises(CellExecutionError, match="arithmetic"):
        run.execute(tmp_path / "wrong.ipynb")
