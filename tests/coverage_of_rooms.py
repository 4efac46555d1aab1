"""`python -m tests.coverage_of_rooms`: which share of the lines of every room the tests ran, after `make coverage`.

Compiled kernels are left out: what runs as machine code cannot be watched (`make mutation` runs them as Python). Lines
that only run in processes of their own, such as workers and whole commands in fault tests, count as not run.
"""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / ".cache" / "coverage.json"
TABLE = ROOT / "docs" / "coverage.csv"
WANTED = 0.95


def rooms(measured: Path) -> pd.DataFrame:
    """A row a room, and one for the package: lines that count, lines that ran, and their share.

    Args:
        measured: What coverage.py wrote as JSON.
    """
    rows = []
    for file, found in json.loads(measured.read_text())["files"].items():
        parts = Path(file).parts
        parts = parts[parts.index("torchtrack_uq") + 1 :]
        room = parts[0] if len(parts) > 1 else "front door"
        rows.append((room, found["summary"]["num_statements"], found["summary"]["covered_lines"]))
    table = pd.DataFrame(rows, columns=["room", "lines", "run"]).groupby("room", as_index=False).sum()
    table = pd.concat(
        [table, pd.DataFrame([{"room": "all", **table[["lines", "run"]].sum()}])], ignore_index=True
    )
    return table.assign(share=(table["run"] / table["lines"]).round(4))


def main() -> int:
    """Print and write the table; 1 if less ran than is wanted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("measured", type=Path, nargs="?", default=MEASURED)
    parser.add_argument("-o", "--output", type=Path, default=TABLE)
    options = parser.parse_args()
    table = rooms(options.measured)
    table.to_csv(options.output, index=False)
    print(table.to_string(index=False))
    share = float(table["share"].iloc[-1])
    if share < WANTED:
        print(f"{share:.1%} of the lines ran; {WANTED:.0%} are wanted", file=sys.stderr)
    return int(share < WANTED)


if __name__ == "__main__":
    sys.exit(main())
