"""`python -m tests.fuzz --cases N`: so many damaged files for every reader, so many hostile frames for the solvers.

Each target runs in a process of its own, with a limit of memory, so that one that crashes is counted and the others go
on. `--minutes` ends it earlier. `--csv FILE` adds to what was counted there, and goes on with the cases after it, so
that no case counts twice; `docs/fuzzing.csv` is such a file. One case is repeated by `--only NAME --first K --cases 1`.
"""

import argparse
import logging
import multiprocessing
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from tests.fuzz.counts import GOOD, Tried, add_counts, cases_counted, counts_in, table_of
from tests.fuzz.frames_of_parts import wrong_in_frame
from tests.fuzz.solver_cases import wrong_in_case
from tests.fuzz.targets import TARGETS
from tests.fuzz.trial import SECONDS, outcome

MEMORY = 8 << 30


def _cases(name: str) -> Callable[[int, Tried], Iterator[str]]:
    """What tries one case of a target, counts it and says what went wrong."""
    if name in SOLVERS:
        warnings.simplefilter("error")
        return lambda number, tried: _solved(name, number, tried)
    target = next(one for one in TARGETS if one.name == name)
    place = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        files = target.example(Path(folder))

    def read(number: int, tried: Tried) -> Iterator[str]:
        found = outcome(target, target.case(files, number), place)
        tried[name, found if found in GOOD else found.split(":")[0]] += 1
        if found not in GOOD:
            yield found

    return read


def _solved(name: str, number: int, tried: Tried) -> Iterator[str]:
    answers: Counter[str] = Counter()
    try:
        wrong = list(SOLVERS[name](number, answers))
    except Exception as error:
        wrong = [f"{type(error).__name__}: {error}"]
    for what, n in answers.items():
        tried[f"{name}: {what}", "right"] += n
    tried[name, "wrong" if wrong else "right"] += 1
    yield from wrong


def _work(
    name: str, cases: range, until: float, done: "Synchronized[int]", answers: "multiprocessing.Queue[Tried]"
) -> None:
    """What runs in a process of its own; its counts come back in pieces, so that a crash loses few."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable(logging.CRITICAL)  # of libraries, on what is damaged
    try_case = _cases(name)
    tried: Tried = Counter()
    last = time.monotonic()
    for number in cases:
        done.value = number
        for sentence in try_case(number, tried):
            print(f"{name}, case {number}: {sentence}", flush=True)
        now = time.monotonic()
        if now - last > 1 or now > until:
            answers.put(tried)
            tried, last = Counter(), now
        if now > until:
            break
    answers.put(tried)


SOLVERS = {"frames of 100 parts": wrong_in_frame, "small problems": wrong_in_case}


def _run(name: str, cases: range, until: float) -> Tried:
    """All cases of one target, in a process that is started again where it crashed or hung."""
    total: Tried = Counter()
    context = multiprocessing.get_context("fork")
    while cases and time.monotonic() < until:
        done = context.Value(
            "q", cases.start - 1
        )  # until its example is written, which takes longer the first time
        answers = context.Queue()
        process = context.Process(target=_work, args=(name, cases, until, done, answers), daemon=True)
        process.start()
        at, since = done.value, time.monotonic()
        while process.is_alive():
            process.join(0.2)
            while not answers.empty():
                total += answers.get()
            if done.value != at:
                at, since = done.value, time.monotonic()
            if (
                at in cases and time.monotonic() - since > 6 * SECONDS
            ):  # in a library's C, where no alarm is heard
                process.kill()
        time.sleep(0.1)
        while not answers.empty():
            total += answers.get()
        if process.exitcode == 0:
            break
        print(f"{name}, case {done.value}: the process ended with {process.exitcode}", flush=True)
        total[name, "crash or hang"] += 1
        cases = range(max(done.value, cases.start) + 1, cases.stop)
    return total


def main() -> int:
    """Try everything; how many cases went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100, help="damaged files for each reader")
    parser.add_argument("--frames", type=int, default=100, help="frames of 100 problems each for the solvers")
    parser.add_argument(
        "--problems", type=int, default=100, help="problems one by one, for every method and option"
    )
    parser.add_argument(
        "--first", type=int, help="number of the first case; 0, or the next after those of --csv"
    )
    parser.add_argument("--only", default="", help="targets whose name holds this")
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--csv", type=Path, help="counts to add to, after every target")
    args = parser.parse_args()
    until = time.monotonic() + 60 * args.minutes
    counts = {"frames of 100 parts": args.frames, "small problems": args.problems}
    names = [name for name in [*(t.name for t in TARGETS), *SOLVERS] if args.only in name]
    total: Tried = Counter()
    before = counts_in(args.csv)
    for k, name in enumerate(names):
        n = counts.get(name, args.cases)
        first = cases_counted(before, name) if args.first is None else args.first
        # an even share of the time that is left
        share = time.monotonic() + (until - time.monotonic()) / (len(names) - k)
        found = _run(name, range(first, first + n), share)
        total += found
        if args.csv is not None:
            add_counts(args.csv, found)
    table = table_of(total)
    print(table.to_string(index=False))
    cases = table[table["target"].isin(names)]
    wrong = int(cases.loc[~cases["outcome"].isin(GOOD), "cases"].sum())
    print(f"{cases['cases'].sum()} cases, {wrong} of them wrong")
    return wrong


if __name__ == "__main__":
    sys.exit(main() > 0)
