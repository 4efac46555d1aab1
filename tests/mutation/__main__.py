"""`python -m tests.mutation --n 100 --seed 0`: faults in `torchtrack_uq/assignment`, one at a time, in a copy.

A random sample of all places (comparisons, signs, constants, `not`, break and continue, min and max) is drawn by the
seed. Kernels run as Python (NUMBA_DISABLE_JIT), since compiling them anew takes a minute a fault; so problems are
small. A fault is killed if an answer about one of them (`quick_checks`) is not that of enumeration.
"""

import argparse
import importlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ["NUMBA_DISABLE_JIT"] = "1"  # before numba is imported

from tests.mutation.mutants import mutant, places

ROOT = Path(__file__).parents[2]
ENGINE = "torchtrack_uq/assignment"
SECONDS = 60
"""Of computing, for all checks of one fault; without one they take a fifth of that."""


def verdict(package: Path, file: str, source: str) -> str:
    """What the tests say when a file of the copied package holds this: "killed by ...", "survived", "timed out"."""
    place = package / file
    before = place.read_text()
    place.write_text(source)
    answer = package / "answer.txt"
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _check(package, answer)
    _, status = os.waitpid(child, 0)
    place.write_text(before)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
        return "timed out"
    if not answer.exists():
        return "killed by a crash"
    found = answer.read_text()
    return f"killed by {found}" if found else "survived"


def _check(package: Path, answer: Path) -> None:
    """In a process of its own, which never comes back."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        sys.path.insert(0, str(package))
        sys.dont_write_bytecode = True
        from tests.mutation.quick_checks import noticed

        answer.write_text(noticed())
    except BaseException as error:  # a package that cannot be imported with the fault is noticed too
        answer.write_text(f"{type(error).__name__}"[:90])
    os._exit(0)


def main() -> int:
    """Try a sample; how many faults nobody noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--n", type=int, default=100, help="how many faults")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after so long")
    parser.add_argument("--csv", type=Path, help="where the outcomes go; notes are added by hand")
    parser.add_argument("--only", help="FILE:NUMBER of one fault, as the CSV has it")
    args = parser.parse_args()
    for name in (
        "torch",
        "scipy.sparse.csgraph",
        "scipy.optimize",
        "pandas",
        "numba",
        "pytest",
        "hypothesis",
    ):
        importlib.import_module(name)  # once, before each fault has its own process
    sources = {
        str(file.relative_to(ROOT)): file.read_text() for file in sorted((ROOT / ENGINE).rglob("*.py"))
    }
    everything = [(file, k) for file, source in sources.items() for k in range(places(source))]
    chosen = random.Random(args.seed).sample(everything, min(args.n, len(everything)))
    if args.only:
        file, _, number = args.only.rpartition(":")
        chosen = [(file, int(number))]
    until = time.monotonic() + 60 * args.minutes
    rows = ["file,fault,line,mutation,outcome"]
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder)
        shutil.copytree(
            ROOT / "torchtrack_uq", package / "torchtrack_uq", ignore=shutil.ignore_patterns("__pycache__")
        )
        first = chosen[0][0]
        unchanged = verdict(package, first, sources[first])
        if unchanged != "survived":
            sys.exit(f"without any fault the checks say: {unchanged}")
        for file, k in chosen:
            if time.monotonic() > until:
                break
            one = mutant(sources[file], k)
            found = verdict(package, file, one.source)
            survived += found == "survived"
            outcome = found.partition(" by ")[0]
            print(f"{file}:{k} line {one.line}: {one.what}: {found}", flush=True)
            rows.append(f'{file},{k},{one.line},"{one.what}",{outcome}')
            if args.csv is not None:
                args.csv.write_text("\n".join(rows) + "\n")
    print(f"{len(rows) - 1} of {len(everything)} possible faults tried, {survived} survived")
    return survived


if __name__ == "__main__":
    main()
