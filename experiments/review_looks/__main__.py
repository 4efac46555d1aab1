"""Oracle curves of the review queue, and the bound on what nobody looked at, on every shared movie with errors.

    python -m experiments.review_looks [DATA] [--cache FOLDER] [--trackers NAME ...] [--minutes N]

The first frames of every movie (up to 6,000 cells), strides 1 and 4, masks as annotated and with 5 % of the cells
missed (a fifth of it each merged, split and made up), links over up to two frames, temperature and event scores as
`track` takes them by default, from a prior that *has seen these movies*. Cases that are known already are not run
again. Writes `results/review_looks.md` and its tables.
"""

import argparse
import tempfile
import time
from pathlib import Path

from common.data import data_folder
from common.results import kept
from experiments.prior.units import EMBRYOS
from experiments.review_looks.bound import simulate
from experiments.review_looks.oracle import Case, by_spot, of_case, quiet
from experiments.review_looks.page import write_page
from study.units import MOVIES, find_units

RESULTS = Path(__file__).parents[1] / "results"
STRIDES = (1, 4)
RATES = (0.0, 0.05)


def find_cases(data: Path, trackers: list[str]) -> list[Case]:
    """All cases, the quick ones first."""
    names = [name for name in MOVIES if (data / name).is_dir()]
    names += [folder.name for folder in sorted(data.iterdir()) if folder.name.startswith(EMBRYOS)]
    units = [unit for unit in find_units(data, names, STRIDES) if unit.tracker in trackers]
    return [Case(unit, rate) for unit in reversed(units) for rate in RATES]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="?", type=Path, default=data_folder())
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "review_looks")
    parser.add_argument("--trackers", nargs="+", default=["Distance", "Transformer"])
    parser.add_argument("--minutes", type=float, default=1e9, help="start no case after so long")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    quiet()
    began, found = time.perf_counter(), {}
    cases = find_cases(options.data, options.trackers)
    for case in cases:
        file = options.cache / f"{case.key}.json"
        if not file.is_file() and time.perf_counter() - began > 60 * options.minutes:
            continue
        oracle = kept(file, lambda case=case: of_case(case))
        bound = kept(options.cache / f"{case.key}_bound.json", lambda oracle=oracle: simulate(oracle))
        spots = kept(options.cache / f"{case.key}_spots.json", lambda case=case: by_spot(case))
        found[case] = {**oracle, "spots": spots}, bound
        print(f"{case.key}: {(time.perf_counter() - began) / 60:.1f} min", flush=True)
    write_page(found, len(cases), options.output)


if __name__ == "__main__":
    main()
