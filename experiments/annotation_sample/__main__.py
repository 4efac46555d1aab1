"""Do the promises hold for a sample that prefers doubtful daughters, and what does it buy? On simulated movies.

python -m experiments.annotation_sample [--movies 200] [--estimates 50]
"""

import argparse
from pathlib import Path

import pandas as pd

from common.results import write_results
from experiments.annotation_sample.checks import check
from experiments.annotation_sample.movies import KINDS, track
from experiments.annotation_sample.report import estimates_table, page, risk_table, sets_table

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    """Simulate, draw, write the page and its tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--movies", type=int, default=200, help="of each kind")
    parser.add_argument("--estimates", type=int, default=50, help="of these, for the errors of estimates")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows: dict[str, list[dict[str, object]]] = {}
    for kind in KINDS:
        for seed in range(options.movies):
            found = check(track(kind, seed), seed, estimates=seed < options.estimates)
            for name, more in found.items():
                rows.setdefault(name, []).extend(more)
    every = {name: pd.DataFrame(of) for name, of in rows.items()}
    tables = {
        "annotation_sample_risk": risk_table(every["risk"]),
        "annotation_sample_sets": sets_table(every["coverage"]),
        "annotation_sample_estimates": estimates_table(every["estimates"]),
    }
    write_results(
        options.output,
        "annotation_sample",
        page(*tables.values(), options.movies, options.estimates),
        tables,
        "%.4g",
    )


if __name__ == "__main__":
    main()
