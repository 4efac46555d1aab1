"""Run the notebooks and save them with their outputs: `python notebooks/run.py [NAME...]`, all by default.

What changes from run to run and says nothing (ids, timestamps, versions) is left out, so that diffs stay small.
"""

import argparse
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SECONDS = 600
"""What a cell may take: the engine's kernels are compiled on first use, perhaps on a busy machine."""


def notebooks() -> list[Path]:
    """The notebooks, in order."""
    return sorted(HERE.glob("*.ipynb"))


def execute(file: Path) -> NotebookNode:
    """Run one notebook in its own folder, in a fresh kernel that imports the package beside this folder.

    Args:
        file: The notebook, which is not written to.

    Returns:
        The notebook with outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell failed; the message shows which, and the traceback.
    """
    notebook = nbformat.read(file, as_version=4)
    above = os.environ.get("PYTHONPATH")
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE.parent), above))),
    }
    client = NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(file.parent)}}
    )
    client.execute(env=environment)
    return tidy(notebook)


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Leave out what changes from run to run, and join lines that a cell printed one by one."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", NotebookNode()
        if cell.cell_type != "code":
            continue
        outputs: list[NotebookNode] = []
        for output in cell.outputs:
            if "metadata" in output:
                output.metadata = NotebookNode()
            if output.output_type == "stream" and outputs and outputs[-1].get("name") == output.name:
                outputs[-1].text += output.text
            else:
                outputs.append(output)
        cell.outputs = outputs
    return notebook


def save(notebook: NotebookNode, file: Path) -> None:
    """Write a notebook, all at once or not at all."""
    nbformat.validate(notebook)
    part = file.with_suffix(".part")
    nbformat.write(notebook, part)
    part.replace(file)


def main() -> int:
    """Run the notebooks that were named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="beginnings of their names, such as 01; all by default")
    names = tuple(parser.parse_args().names) or ("",)
    chosen = [file for file in notebooks() if file.name.startswith(names)]
    if not chosen:
        print(f"no notebook begins with {' or '.join(names)}", file=sys.stderr)
        return 2
    for file in chosen:
        print(file.name, flush=True)
        save(execute(file), file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
