"""The study: every tracker, method, stride and movie, from the data folder to tables, figures and docs/study.md.

Each movie is scored once per stride and tracker, plain and under 20 draws of noise. Temperatures are fitted on every
other block of its frame pairs ("in time") or on all other recordings ("other movies"); all numbers are of the blocks
in between. A stress test fits on the first half and judges on the second (study_split.py). What is done is skipped, so
an interrupted run goes on where it stopped.

    python benchmarks/study.py [DATA] [-o benchmarks/results/study] [--quick] [--movies NAME ...]
"""

import argparse
import hashlib
import os
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("TORCHTRACK_UQ_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
OUT = Path(__file__).resolve().parent / "results" / "study"
DOCS = Path(__file__).resolve().parents[1] / "docs"


def main(arguments: list[str] | None = None) -> None:
    """Run what is left, then write tables, figures and pages."""
    options = _parse(arguments)
    from study_curve import Curve, cautious_temperature
    from study_figures import draw_all
    from study_pages import write_pages
    from study_run import Task, load, run_tasks
    from study_tables import collect, save
    from study_unit import Options, first_pass, second_pass
    from study_units import STRIDES, find_units

    strides = (1, 4) if options.quick else STRIDES
    sizes = Options(3, 20, 30, 2_000) if options.quick else Options()
    units = find_units(options.data, options.movies, strides)
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
        temperatures = _elsewhere(unit, found, Curve, cautious_temperature)
        before = load(other[unit])
        if before is None or before["temperatures"] != temperatures or options.overwrite:
            second.append((other[unit], second_pass, (temperatures, sizes, store[unit]), unit.work))
    run_tasks(second, options.workers, options.minutes_per_task, "other movies'")

    import json

    parts = [
        (unit, [json.loads(f.read_text()) for f in (file[unit], other[unit]) if f.is_file()])
        for unit in units
    ]
    tables = collect(parts)
    save(tables, options.output)
    draw_all(tables, options.output)
    write_pages(tables, options.output, options.docs or (options.output if options.quick else DOCS), sizes)
    print(f"tables and figures are in {options.output}")


def _elsewhere(unit: Any, found: dict[Any, Any], curve: Any, best: Any) -> dict[str, float]:
    """T by method from all frame pairs of all other recordings, same tracker and stride."""
    others = [
        result["curves"]
        for one, result in found.items()
        if result is not None
        and (one.tracker, one.stride) == (unit.tracker, unit.stride)
        and one.recording != unit.recording
    ]
    temperatures = {}
    for method in found[unit]["curves"]:
        curves = [curve.from_json(result[method]) for result in others if method in result]
        if curves:
            temperatures[method] = best(curves)
    return temperatures


def cache_folder(output: Path, sizes: Any) -> Path:
    """Where results of these sizes are kept: a quick run's are not mixed in."""
    return output / ".cache" / hashlib.sha256(repr(sizes).encode()).hexdigest()[:12]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Every tracker, method, stride and movie.")
    parser.add_argument("data", nargs="?", type=Path, default=DATA, help="folder of annotated movies")
    parser.add_argument("-o", "--output", type=Path, default=OUT, help="gets tables and figures")
    parser.add_argument("--docs", type=Path, help="gets study.md and calibration.md (default: docs/)")
    parser.add_argument("--quick", action="store_true", help="strides 1 and 4, little noise, few resamples")
    parser.add_argument("--movies", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--trackers", nargs="+", metavar="NAME", help="only these, such as Distance")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--minutes-per-task", type=float, default=20.0, help="then a unit is given up")
    parser.add_argument("--overwrite", action="store_true", help="do again what is done")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
