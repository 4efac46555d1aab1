"""The table of fuzzing in docs/reliability.md, from the counts that runs of the fuzzer added up.

python -m tests.fuzz --csv docs/fuzzing.csv --cases 10000
python -m tests.fuzz.page
"""

from collections import defaultdict

from tests.faults.page import PAGE, ROOT, page_with
from tests.fuzz.counts import GOOD, counts_in

COUNTS = ROOT / "docs" / "fuzzing.csv"
START = "<!-- from fuzzing.csv, by python -m tests.fuzz.page -->\n"
SOLVERS = {
    "frames of 100 parts": "frame pairs of 100 parts that share nothing",
    "small problems": "small frame pairs, one by one",
}


def table() -> str:
    """One row a reader: how many damaged files it read or refused; then one a kind of hostile scores."""
    counts = counts_in(COUNTS)
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    answers: dict[str, int] = defaultdict(int)
    for (target, outcome), cases in counts.items():
        name, _, solver = target.partition(": ")
        if solver:
            answers[name] += cases
        else:
            found[name][outcome if outcome in GOOD else "wrong"] += cases
    readers = sorted(set(found) - set(SOLVERS))
    lines = [
        "| damaged files of | cases | read | refused | too large | anything else |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    shown = ("read", "refused", "refused as too large", "wrong")
    for name in readers:
        lines.append(_row(name, sum(found[name].values()), *(found[name][outcome] for outcome in shown)))
    sums = [sum(found[name][outcome] for name in readers) for outcome in shown]
    lines.append(_row("**all**", sum(sums), *sums))
    lines += [
        "",
        "| hostile scores | cases | answers compared with enumeration | cases with a wrong answer |",
    ]
    lines.append("|---|---:|---:|---:|")
    for name in sorted(set(found) & set(SOLVERS)):
        lines.append(_row(SOLVERS[name], sum(found[name].values()), answers[name], found[name]["wrong"]))
    return "\n".join(lines) + "\n"


def _row(name: str, *numbers: int) -> str:
    return f"| {name} | {' | '.join(f'{number:,}' for number in numbers)} |"


if __name__ == "__main__":
    PAGE.write_text(page_with(table(), START))
