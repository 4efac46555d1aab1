"""A signal is answered during a sum, which cannot be told to stop: a kernel here that never ends."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import importlib, sys
import numba
import numpy as np

@numba.njit(nogil=True)
def forever(x):
    while x[0] == 0.0:
        x[1] += 1.0

forever(np.ones(2))
module, name, *arguments = sys.argv[1:]

def endless(*args, **options):
    print("summing", flush=True)
    forever(np.zeros(2))

setattr(importlib.import_module(module), name, endless)
from torchtrack_uq.cli.main import command
command(arguments)
"""


@pytest.mark.parametrize(
    ("module", "name", "number"),
    [
        ("torchtrack_uq.posterior.false_cells", "joint_none", signal.SIGTERM),
        ("torchtrack_uq.posterior.histories", "sample_automatic", signal.SIGINT),
        ("torchtrack_uq.assignment.marginals", "auto_marginals", signal.SIGTERM),
    ],
)
def test_a_signal_ends_a_run_in_the_middle_of_a_sum(
    tmp_path: Path, module: str, name: str, number: signal.Signals
) -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 300, (1500, 2)) + np.zeros((3, 1, 1))  # enough for threads
    rows = [f"{t},{y + t},{x}" for t in range(3) for y, x in places[t]]
    (tmp_path / "points.csv").write_text("\n".join(["frame,y,x", *rows]))
    command = [
        sys.executable, "-c", SCRIPT, module, name, "track", "--points", str(tmp_path / "points.csv"),
        "--tracker", "distance", "--temperature", "1", "-o", str(tmp_path / "out"), "--quiet",
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == "summing\n", run.communicate(timeout=10)
            run.send_signal(number)
            _, said = run.communicate(timeout=120)
        finally:
            run.kill()
    assert run.returncode == 128 + number
    assert len(said.strip().splitlines()) == 1, said
    assert [path.name for path in tmp_path.iterdir()] == ["points.csv"]
