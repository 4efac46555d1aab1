"""Try to improve on a prior's mean without labels, on movies whose kind the prior has not seen.

    python -m experiments.unlabelled [--cache FOLDER] [--parts FOLDER]

Needs the cache of `python -m experiments.prior`, to which it adds nothing. Each question's table is kept in `--parts`
and not made again. Writes `results/unlabelled_and_drift.md` and `.csv`.
"""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from common.data import CHECKOUT
from common.results import write_csv, write_results
from experiments.unlabelled.drift import drift_rows
from experiments.unlabelled.evidence import evidence_rows
from experiments.unlabelled.findings import FINDINGS
from experiments.unlabelled.floor import floor_rows
from experiments.unlabelled.more_looks import more_look_rows
from experiments.unlabelled.page import page
from experiments.unlabelled.whole import whole_rows
from study.units import TRACKERS

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", type=Path, default=CHECKOUT / ".cache" / "prior")
    parser.add_argument("--parts", type=Path, default=CHECKOUT / ".cache" / "unlabelled")
    options = parser.parse_args()
    cache: Path = options.cache
    questions: dict[str, Callable[[], pd.DataFrame]] = {
        "drift": lambda: drift_rows(cache, fits=False),
        "whole": lambda: whole_rows(cache),
        "fits": lambda: drift_rows(cache, fits=True),
        "floor": lambda: floor_rows(list(TRACKERS), cache),
        "evidence": lambda: evidence_rows(cache),
        "looks": lambda: more_look_rows(cache),
    }
    tables = []
    for question, rows in questions.items():
        file = options.parts / f"{question}.csv"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                write_csv(file, rows())
        tables.append(pd.read_csv(file).assign(question=question))
    table = pd.concat(tables, ignore_index=True)
    table = table[["question", *table.columns.drop("question")]]
    write_results(
        RESULTS, "unlabelled_and_drift", page(table, FINDINGS), {"unlabelled_and_drift": table}, "%.5g"
    )


if __name__ == "__main__":
    main()
