"""How often each fault was tried and what happened, for docs/reliability.md."""

import csv
import os
from collections import Counter
from pathlib import Path

VARIABLE = "TORCHTRACK_UQ_FAULT_COUNTS"
"""Environment variable that names the CSV which a run of the tests writes its counts to."""

_counts: Counter[tuple[str, str, str]] = Counter()


def count(fault: str, what: str, outcome: str) -> None:
    """One more trial whose assertions all held; the file is written anew each time, as runs of a night may be killed.

    Args:
        fault: Such as "kill -9".
        what: The command or reader.
        outcome: What was found afterwards.
    """
    _counts[fault, what, outcome] += 1
    if not (file := os.environ.get(VARIABLE)):
        return
    with Path(file).open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["fault", "what", "outcome", "trials"])
        writer.writerows((*key, n) for key, n in sorted(_counts.items()))
