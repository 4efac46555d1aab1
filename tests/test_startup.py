"""What a start imports: nothing heavy that the work at hand does without. How long it takes is in benchmarks/."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import tifffile

HEAVY = (
    "torch._dynamo",
    "torch._inductor",
    "sympy",
    "torchmetrics",
    "pytorch_lightning",
    "lightning_fabric",
    "trackastra",
    "skimage",
    "sklearn",
    "matplotlib",
    "geff",
    "geff_spec",
    "zarr",
    "networkx",
    "dask",
    "scipy.stats",
    "scipy.signal",
    "scipy.optimize",
    "scipy.interpolate",
    "starlette",
    "h5py",
    "pooch",
)
"""Each takes a tenth of a second or more, and most uses need none of them."""
WRITING = ("geff", "geff_spec", "zarr", "networkx", "matplotlib")
"""What writing a folder of results takes."""
COMMAND = "from torchtrack_uq.cli.main import main; assert main({arguments!r}) == 0"
POINTS = "\n".join(["frame,y,x", *(f"{t},{9 * k + t},{k}" for t in range(3) for k in range(4))])


def heavy_after(statement: str) -> set[str]:
    code = (
        f"import sys\n{statement}\nprint('\\nimported', *(name for name in {HEAVY} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_the_front_door_opens_on_nothing_heavy() -> None:
    """Nor does a tracker that needs no model, a layer, a calibration or what comes in and goes out."""
    others = "CandidateGraph, Detections, Movie, TrackingResult, Calibration, AssignmentPosterior, confirm"
    door = "from torchtrack_uq import UncertainTracker"
    assert heavy_after(f"{door}, {others}; UncertainTracker('distance', 'auto')") == set()


def test_a_small_run_imports_only_what_its_files_need(tmp_path: Path) -> None:
    (tmp_path / "spots.csv").write_text(POINTS)
    arguments = ["track", "--points", f"{tmp_path}/spots.csv", "-o", f"{tmp_path}/out", "--quiet"]
    assert heavy_after(COMMAND.format(arguments=[*arguments, "--tracker", "distance"])) <= set(WRITING)


def test_info_of_a_folder_imports_nothing_heavy(tmp_path: Path) -> None:
    masks = np.zeros((16, 16), np.uint16)
    masks[4:9, 4:9] = 1
    for t in range(2):
        tifffile.imwrite(tmp_path / f"mask{t:03d}.tif", masks)
    assert heavy_after(COMMAND.format(arguments=["info", str(tmp_path)])) == set()


def test_the_list_of_heavy_packages_is_of_what_exists() -> None:
    """A package that is renamed would make the tests above pass for nothing."""
    names = [name.partition(".")[0] for name in HEAVY]
    code = f"from importlib.util import find_spec; print([n for n in {names} if find_spec(n) is None])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
