"""The table of docs/reliability.md, from the counts that a run of the fault tests wrote.

TORCHTRACK_UQ_FAULT_COUNTS=docs/reliability.csv python -m pytest tests/faults -m "nightly or not nightly"
python -m tests.faults.page
"""

import csv
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE, COUNTS = ROOT / "docs" / "reliability.md", ROOT / "docs" / "reliability.csv"
START, END = "<!-- from reliability.csv, by python -m tests.faults.page -->\n", "<!-- end of the table -->\n"
FAULTS = {
    "kill -9": "kill -9, at a random moment or change to the file system",
    "SIGTERM": "SIGTERM, as a cluster's time limit sends it",
    "SIGHUP": "SIGHUP, as a closing terminal sends it",
    "SIGINT": "Ctrl-C",
    "SIGQUIT": "SIGQUIT",
    "full disk": "the disk is full from a random file on",
    "quota": "no file can grow beyond a random size",
    "read-only": "the place cannot be written to",
    "vanishing output": "the folder of the output is removed at a random moment",
    "two runs": "two runs into one place at once",
    "changing input": "masks are rewritten, cut off or removed during the run",
    "truncated input": "the table ends in the middle of a row",
    "NaN from a model": "the model gives NaN or infinity in one window",
    "no HOME, LC_ALL=C, unicode paths": "no home, `LC_ALL=C`, no cache folder, paths in several scripts",
}


def table() -> str:
    """One row a fault: how often it was tried, with how many commands, and what was found afterwards."""
    trials: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    what: dict[str, set[str]] = defaultdict(set)
    with COUNTS.open(newline="") as stream:
        for row in csv.DictReader(stream):
            trials[row["fault"]][row["outcome"]] += int(row["trials"])
            what[row["fault"]].add(row["what"])
    lines = [
        "| fault | commands | trials | output complete | as before | refused or failed in one sentence |"
    ]
    lines.append("|---|---:|---:|---:|---:|---:|")
    for fault, words in FAULTS.items():
        found = trials[fault]
        if found:
            columns = (found.get(outcome, 0) for outcome in ("complete", "before", "one sentence"))
            lines.append(
                f"| {words} | {len(what[fault])} | {sum(found.values())} | {' | '.join(map(str, columns))} |"
            )
    unknown = set(trials) - set(FAULTS)
    assert not unknown, unknown
    return "\n".join(lines) + "\n"


def page_with(text: str, start: str = START) -> str:
    """The page with a table in its place, which is after `start`."""
    before, _, rest = PAGE.read_text().partition(start)
    _, _, after = rest.partition(END)
    return f"{before}{start}\n{text}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with(table()))
