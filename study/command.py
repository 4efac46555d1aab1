"""The study as one command: what is left is run, then tables, figures and pages are written.

Each movie is scored once per stride and tracker, plain and under 20 draws of noise. Temperatures are fitted on every
other block of its frame pairs ("in time") or on all other recordings ("other movies"); all numbers are of the blocks
in between. A stress test fits on the first half and judges on the second (study/split.py). What is done is skipped, so
an interrupted run goes on where it stopped.

    python -m study [DATA] [-o study/results] [--quick] [--movies NAME ...]
    python -m study --pages     # figures and pages anew from the tables that are there
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

from common.data import CHECKOUT, data_folder
from study import figures
from study.curve import Curve, cautious_temperature
from study.fill_pages import write_pages
from study.tables import collect, load_tables, save_tables
from study.tasks import Task, load, run_tasks
from study.unit import Options, first_pass, second_pass
from study.units import STRIDES, Unit, find_units

RESULTS = CHECKOUT / "study" / "results"
PAGES = CHECKOUT / "docs" / "study"


def main(arguments: list[str] | None = None) -> None:
    """Run what is left, then write tables, figures and pages."""
    options = _parse(arguments)
    sizes = Options(3, 20, 30, 2_000) if options.quick else Options()
    if options.pages:
        tables = load_tables(options.output)
    else:
        tables = collect(_run(options, sizes))
        save_tables(tables, options.output)
    pages = options.docs or _default_pages(options)
    figures.draw_all(tables, pages)
    write_pages(tables, pages, sizes)
    print(f"tables are in {options.output}, figures and pages in {pages}")


def _run(options: argparse.Namespace, sizes: Options) -> list[tuple[Unit, list[dict[str, Any]]]]:
    """Work on all units; each with the results of its two passes."""
    units = find_units(options.data, options.movies, (1, 4) if options.quick else STRIDES)
    cache = cache_folder(options.output, sizes)
    store = {unit: cache / "scores" / f"{unit.key}.pickle" for unit in units}
    file = {unit: cache / "first" / f"{unit.key}.json" for unit in units}
    other = {unit: cache / "other" / f"{unit.key}.json" for unit in units}
    if options.trackers:
        units = [unit for unit in units if unit.tracker in options.trackers]
    print(f"{len(units)} units of {len({unit.recording for unit in units})} recordings", flush=True)

    first: list[Task] = [
        (file[unit], first_pass, (unit, sizes, store[unit]), unit.work)
        for unit in units
        if options.overwrite or load(file[unit]) is None or not store[unit].is_file()
    ]
    run_tasks(first, options.workers, options.minutes_per_task, "unit")

    found = {unit: load(file[unit]) for unit in units}
    second: list[Task] = []
    for unit in units:
        if found[unit] is None:
            continue
        temperatures = _elsewhere(unit, found)
        before = load(other[unit])
        if before is None or before["temperatures"] != temperatures or options.overwrite:
            second.append((other[unit], second_pass, (temperatures, sizes, store[unit]), unit.work))
    run_tasks(second, options.workers, options.minutes_per_task, "other movies'")
    return [
        (unit, [json.loads(f.read_text()) for f in (file[unit], other[unit]) if f.is_file()])
        for unit in units
    ]


def _elsewhere(unit: Unit, found: dict[Unit, dict[str, Any] | None]) -> dict[str, float]:
    """T by method from all frame pairs of all other recordings, same tracker and stride."""
    others = [
        result["curves"]
        for one, result in found.items()
        if result is not None
        and (one.tracker, one.stride) == (unit.tracker, unit.stride)
        and one.recording != unit.recording
    ]
    own = found[unit]
    temperatures = {}
    for method in own["curves"] if own else ():
        curves = [Curve.from_json(result[method]) for result in others if method in result]
        if curves:
            temperatures[method] = cautious_temperature(curves)
    return temperatures


def cache_folder(output: Path, sizes: Options) -> Path:
    """Where results of these sizes are kept: a quick run's are not mixed in."""
    return output / ".cache" / hashlib.sha256(repr(sizes).encode()).hexdigest()[:12]


def _default_pages(options: argparse.Namespace) -> Path:
    """The repository's own pages are written by a whole run into the repository's own results, and by no other."""
    whole = options.output == RESULTS and not (options.quick or options.movies or options.trackers)
    output: Path = options.output
    return PAGES if whole else output / "pages"


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m study", description="Every tracker, method, stride and movie."
    )
    parser.add_argument(
        "data", nargs="?", type=Path, default=data_folder(), help="folder of annotated movies"
    )
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="gets the tables")
    parser.add_argument(
        "--docs",
        type=Path,
        help="gets the pages, their figures and data (default: docs/study, or OUTPUT/pages unless all is run)",
    )
    parser.add_argument("--pages", action="store_true", help="run nothing: pages from the tables in OUTPUT")
    parser.add_argument("--quick", action="store_true", help="strides 1 and 4, little noise, few resamples")
    parser.add_argument(
        "--movies", nargs="+", metavar="NAME", help="only these (default: MOVIES in study/units.py)"
    )
    parser.add_argument("--trackers", nargs="+", metavar="NAME", help="only these, such as Distance")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--minutes-per-task", type=float, default=20.0, help="then a unit is given up")
    parser.add_argument("--overwrite", action="store_true", help="do again what is done")
    return parser.parse_args(arguments)
