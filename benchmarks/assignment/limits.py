"""Peak memory of a very large frame, and the cost of the first call."""

import os
import subprocess
import sys
import tempfile

from benchmarks.assignment.report import Row
from common.data import CHECKOUT


def measure_limits() -> list[Row]:
    """Peak memory of 100,000 daughters in one frame, and the cost of the first call on a fresh machine."""
    code = (
        "import time;"
        "from benchmarks.assignment.instances import standard_instance;"
        "from torchtrack_uq.assignment import solve_map, k_best, marginals;"
        "p = standard_instance({n}, 0.15);"
        "t = time.perf_counter(); solve_map(p); a = time.perf_counter(); k_best(p, 100); b = "
        "time.perf_counter();"
        "r = marginals(p, method={method!r}); c = time.perf_counter();"
        "status = open('/proc/self/status').read().split();"
        "peak = int(status[status.index('VmHWM:') + 1]) / 1e6;"
        "print(a - t, b - a, c - b, r.error_bound, r.exact, "
        "peak)"
    )
    rows: list[Row] = []
    for name, n, method, fresh in (
        ("100,000 mothers, 105,000 daughters", 100_000, "exact", False),
        ("first call, nothing compiled", 50, "exact", True),
        ("first call, compiled before", 50, "exact", False),
    ):
        with tempfile.TemporaryDirectory() as cache:
            environment = dict(os.environ, PYTHONPATH=str(CHECKOUT))
            if fresh:
                environment["NUMBA_CACHE_DIR"] = cache
            done = subprocess.run(
                [sys.executable, "-c", code.format(n=n, method=method)],
                capture_output=True, text=True, env=environment, check=False,
            )  # fmt: skip
        if done.returncode:
            rows.append({"what": name, "solve_map s": done.stderr.strip().splitlines()[-1][:200]})
            continue
        a, b, c, bound, exact, memory = done.stdout.split()
        rows.append(
            {
                "what": name, "solve_map s": float(a), "k_best 100 s": float(b), "exact s": float(c),
                "error_bound": float(bound), "exact": exact, "peak GB": float(memory),
            }
        )  # fmt: skip
    return rows
