"""Do the promises hold? Acceptance thresholds and conformal sets over 200 random splits of every real movie.

python -m experiments.guarantees [DATA_FOLDER] [--splits 200] [--cache FOLDER]
"""

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import pandas as pd

from common.data import data_folder
from common.results import write_csv, write_results
from experiments.guarantees.cases import cases
from experiments.guarantees.checks import check_coverage, check_other_movies, check_risk
from experiments.guarantees.report import page

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    """Track what is not tracked, split, write both tables and the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", default=data_folder())
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "torchtrack_uq_guarantees"
    )
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    every = list(cases(options.data, options.cache))
    start = time.perf_counter()
    risk = [row for case in every for row in check_risk(case, options.splits)]
    coverage = [row for case in every for row in check_coverage(case, options.splits)]
    print(f"splits: {time.perf_counter() - start:.0f} s", flush=True)
    tables = pd.DataFrame(risk + list(check_other_movies(every))), pd.DataFrame(coverage)
    write_csv(options.output / "guarantees_coverage.csv", tables[1], "%.5g")
    write_results(
        options.output, "guarantees", page(*tables, options.splits), {"guarantees_risk": tables[0]}, "%.4g"
    )


if __name__ == "__main__":
    main()
