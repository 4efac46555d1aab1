"""`make coverage`: run all tests, area by area, and write which share of the lines of every room they ran.

Lines are counted by slipcover, which costs next to nothing: coverage.py watches each step of what compiles the kernels,
which takes hours before Python 3.12. Files that hold compiled kernels are left out, since what runs as machine code
cannot be watched (`make mutation` runs them as Python). Lines that only run in processes of their own, such as workers
and whole commands in fault tests, count as not run. Areas that passed before are not run again while no file of the
package or of its tests has changed.

    python -m tests.coverage_of_rooms [AREA ...] [--jobs 2] [--cache .cache/coverage]
"""

import argparse
import ast
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "torchtrack_uq"
TABLE = ROOT / "docs" / "coverage.csv"
WANTED = 0.95
LONG = ("study", "test_notebooks.py", "cli", "training", "trackers", "faults", "datasets", "review", "fuzz")
"""Areas to begin with."""
NO_TESTS = 5  # pytest's exit status
COMPILED_BY_TORCH = "torchtrack_uq/layers/uncompiled.py"
LEFT_OUT = (
    "tests/training/test_whole_checkpoints.py::test_a_checkpoint_is_whole_or_that_of_before",
    "torchtrack_uq/utils/ending_signals.py::torchtrack_uq.utils.ending_signals.held_signals",
)
"""Tests of how a process ends, in which slipcover has a hand; `make test` runs them."""

Lines = dict[str, tuple[set[int], set[int]]]


def areas() -> list[Path]:
    """Folders and files of tests, and the rooms with their doctests; what takes long first."""
    tests = [path for path in (ROOT / "tests").iterdir() if path.name.startswith("test_") or path.is_dir()]
    rooms = [path for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"]
    found = [path for path in (*tests, *rooms) if path.name not in ("__pycache__", "support")]
    return sorted(found, key=lambda path: (path.name not in LONG or PACKAGE in path.parents, str(path)))


def digest() -> str:
    """Of all files that what ran depends on."""
    files = [ROOT / "pyproject.toml", *sorted((ROOT / "tests").rglob("*")), *sorted(PACKAGE.rglob("*"))]
    state = hashlib.sha256()
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            state.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return state.hexdigest()[:16]


def unwatched() -> list[str]:
    """Files of which functions are compiled: steps put in to count lines are none that a compiler knows."""
    files = [file for file in sorted(PACKAGE.rglob("*.py")) if "\n@kernel" in file.read_text()]
    return [COMPILED_BY_TORCH, *(str(file.relative_to(ROOT)) for file in files)]


def run(area: Path, cache: Path) -> tuple[str, bool]:
    """Run the tests of an area, if that was not done; its name, and whether they passed."""
    name = "-".join(area.relative_to(ROOT).parts)
    out, log = cache / f"{name}.json", cache / f"{name}.log"
    if out.exists():
        return name, True
    command = [
        sys.executable,
        "-m",
        "slipcover",
        "--source",
        PACKAGE.name,
        "--omit",
        ",".join(unwatched()),
    ]
    # slipcover is there before pytest, which then warns that it cannot rewrite it
    test = ["-m", "pytest", "-q", "-p", "no:xdist", "-W", "ignore:Module already imported", str(area)]
    test += [part for left_out in LEFT_OUT for part in ("--deselect", left_out)]
    with log.open("w") as said:
        status = subprocess.run(
            [*command, "--json", "--out", f"{out}.part", *test],
            cwd=ROOT,
            stdout=said,
            stderr=subprocess.STDOUT,
        ).returncode
    passed = status in (0, NO_TESTS)
    if passed:
        os.replace(f"{out}.part", out)
    return name, passed


def lines_of(measured: list[Path]) -> Lines:
    """Which lines of each file ran in any area, and all that could."""
    found: Lines = {}
    for report in measured:
        for file, lines in json.loads(report.read_text())["files"].items():
            ran, all_lines = found.setdefault(file, (set(), set()))
            ran.update(lines["executed_lines"])
            all_lines.update(lines["executed_lines"], lines["missing_lines"])
    return found


def never_run(source: str) -> set[int]:
    """Lines that only say what something is: below `if TYPE_CHECKING`, and bodies that are `...`.

    >>> sorted(never_run("if TYPE_CHECKING:\\n    import torch\\ndef size(self) -> int:\\n    ..."))
    [2, 4]
    """
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            lines.update(*(range(one.lineno, (one.end_lineno or 0) + 1) for one in node.body))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...:
            lines.add(node.lineno)
    return lines


def rooms(lines: Lines) -> pd.DataFrame:
    """A row a room, and one for the package: lines that count, lines that ran, and their share."""
    rows = []
    for file, (ran, all_lines) in lines.items():
        count = all_lines - never_run((ROOT / file).read_text())
        parts = Path(file).parts[1:]
        rows.append((parts[0] if len(parts) > 1 else "front door", len(count), len(ran & count)))
    table = pd.DataFrame(rows, columns=["room", "lines", "run"]).groupby("room", as_index=False).sum()
    total = pd.DataFrame([{"room": "all", **table[["lines", "run"]].sum()}])
    table = pd.concat([table, total], ignore_index=True)
    return table.assign(share=(table["run"] / table["lines"]).round(4))


def main() -> int:
    """Run what was not run, print and write the table; 1 if tests failed or less ran than is wanted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "area", nargs="*", help="only these, as assignment or test_golden.py; then no table is written"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "coverage")
    parser.add_argument("-o", "--output", type=Path, default=TABLE)
    options = parser.parse_args()
    known = areas()
    if unknown := set(options.area) - {area.name for area in known}:
        parser.error(
            f"there is no area {', '.join(sorted(unknown))}; areas are {', '.join(a.name for a in known)}"
        )
    cache = options.cache / digest()
    cache.mkdir(parents=True, exist_ok=True)
    chosen = [area for area in known if not options.area or area.name in options.area]
    failed = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for name, passed in pool.map(lambda area: run(area, cache), chosen):
            print(f"{name}: {'passed' if passed else f'FAILED, see {cache / name}.log'}", flush=True)
            failed += [] if passed else [name]
    table = rooms(lines_of(sorted(cache.glob("*.json"))))
    print(table.to_string(index=False))
    if failed or options.area:
        return int(bool(failed))
    table.to_csv(options.output, index=False)
    share = float(table["share"].iloc[-1])
    if not share >= WANTED:
        print(f"{share:.1%} of the lines ran; {WANTED:.0%} are wanted", file=sys.stderr)
    return int(not share >= WANTED)


if __name__ == "__main__":
    sys.exit(main())
