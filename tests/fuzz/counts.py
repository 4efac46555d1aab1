"""What was tried and what came of it, kept in a CSV from one run of the fuzzer to the next."""

from collections import Counter
from pathlib import Path

import pandas as pd

from torchtrack_uq.utils.files import write_together

COLUMNS = ("target", "outcome", "cases")
GOOD = ("read", "refused", "refused as too large", "right")
"""Outcomes of which nothing is to be mended."""
Tried = Counter[tuple[str, str]]
"""How often a target had an outcome; a solver's answers are counted beside its cases, as `target: solver`."""


def counts_in(file: Path | None) -> Tried:
    """What a file says; nothing where there is none yet."""
    if file is None or not file.exists():
        return Counter()
    table = pd.read_csv(file)
    rows = zip(*(table[name].tolist() for name in COLUMNS), strict=True)
    return Counter({(target, outcome): cases for target, outcome, cases in rows})


def add_counts(file: Path, found: Tried) -> None:
    """Add to what a file says."""
    content = table_of(counts_in(file) + found).to_csv(index=False, lineterminator="\n")
    write_together({file: content.encode()}, overwrite=True)


def table_of(tried: Tried) -> pd.DataFrame:
    """One row a target and outcome, in the order of the alphabet."""
    rows = [(target, outcome, cases) for (target, outcome), cases in tried.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["target", "outcome"], ignore_index=True)


def cases_counted(tried: Tried, target: str) -> int:
    """How many cases of a target were tried: the number of its next one, as they are numbered from 0.

    >>> cases_counted(Counter({("a", "read"): 2, ("a", "refused"): 3, ("a: b", "right"): 9}), "a")
    5
    """
    return sum(cases for (name, _), cases in tried.items() if name == target)
