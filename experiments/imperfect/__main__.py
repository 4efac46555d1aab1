"""Judge every tracker and method on imperfect masks, and write the page.

    python -m experiments.imperfect [DATA_FOLDER] [--trackers Distance Overlap] [--movies NAME ...] [--cache FOLDER]

What was scored and judged is kept in the cache: a run that was stopped goes on where it was.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from common.data import CHECKOUT, data_folder
from common.results import kept, write_results
from experiments.imperfect.judge import FITTED_AT, fitted_layers, plain_layers, rows_of
from experiments.imperfect.page import page
from experiments.imperfect.units import STRIDES, Case, find_cases
from study.units import TRACKERS

RESULTS = Path(__file__).parents[1] / "results"
LARGEST_TO_FIT = 800
"""Cells of each movie that event scores are fitted on."""
FOLDS = 3


def main() -> None:
    """Score, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=data_folder())
    parser.add_argument("--trackers", nargs="+", choices=TRACKERS, default=list(TRACKERS))
    parser.add_argument("--movies", nargs="+")
    parser.add_argument("--strides", nargs="+", type=int, default=list(STRIDES))
    parser.add_argument(
        "--fit", action="store_true", help="also event scores fitted on other recordings: takes long"
    )
    parser.add_argument("--cache", type=Path, default=CHECKOUT / ".cache" / "imperfect")
    options = parser.parse_args()
    cases = find_cases(options.data, options.movies, options.trackers, tuple(options.strides))
    rows = []
    for case in tqdm(cases, "judge"):
        rows += kept(
            options.cache / f"{case.key}.json", lambda case=case: rows_of(case, options.cache, plain_layers())
        )
    for held_out in tqdm(_groups(cases) if options.fit else [], "fit on other recordings"):
        fitted = None
        for case in held_out:

            def judged(case: Case = case, held_out: list[Case] = held_out) -> list[dict[str, object]]:
                nonlocal fitted
                if fitted is None:
                    fitted = fitted_layers(_others(held_out[0], cases), options.cache)
                return rows_of(case, options.cache, fitted)

            rows += kept(options.cache / f"{case.key}_fitted.json", judged)
    table = pd.DataFrame(rows)
    write_results(RESULTS, "imperfect_masks", page(table), {"imperfect_masks": table}, "%.4f")


def _groups(cases: list[Case]) -> list[list[Case]]:
    """Cases that share a fit: those of one fold of the recordings, of one stride and tracker."""
    fold = _folds(cases)
    found: dict[tuple[object, ...], list[Case]] = {}
    for case in cases:
        found.setdefault((fold[case.unit.recording], case.unit.stride, case.unit.tracker), []).append(case)
    return list(found.values())


def _folds(cases: list[Case]) -> dict[str, int]:
    return {name: k % FOLDS for k, name in enumerate(sorted({case.unit.recording for case in cases}))}


def _others(case: Case, cases: list[Case]) -> list[Case]:
    """The beginnings of recordings of other folds at the same stride under the same tracker, with few cells missing."""
    fold = _folds(cases)
    return [
        replace(other, largest=LARGEST_TO_FIT)
        for other in cases
        if other.errors == FITTED_AT
        and fold[other.unit.recording] != fold[case.unit.recording]
        and (other.unit.stride, other.unit.tracker) == (case.unit.stride, case.unit.tracker)
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
