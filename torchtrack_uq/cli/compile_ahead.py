"""`torchtrack-uq compile`."""

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchtrack_uq.links.candidates import CandidateGraph

CALM, CROWDED = 2, 7
"""How far cells move between frames, in pixels; they lie eight apart."""
RUNS = (
    ("auto", CALM, 1),
    ("auto", CALM, 2),
    ("auto", CROWDED, 1),
    ("auto", CROWDED, 2),
    ("AS", CROWDED, 1),
    ("AS", CALM, 2),
    ("bp", CALM, 2),
    ("FP+A", CALM, 1),
)
"""Method, movement and the gaps that links span: between them they call every kernel."""


def add_commands(commands: Any) -> None:
    """Add `compile` to a parser's commands."""
    ahead = commands.add_parser(
        "compile",
        help="compile the solvers now, which takes a minute or two, so that no run has to; for whoever installs",
    )
    # not as `quiet`, for which `main` would count the kernels as well
    ahead.add_argument("--quiet", dest="silent", action="store_true", help="no progress bar")
    ahead.set_defaults(run=_compile)


def _compile(options: argparse.Namespace) -> None:
    from torchtrack_uq.utils.compile_notice import compile_notice

    with compile_notice(show=not options.silent) as notice:
        use_every_kernel()
    known = "the solvers had been compiled already"
    print(f"{notice.compiled} kernels compiled" if notice.compiled else known)


def use_every_kernel() -> None:
    """Track small movies by whatever calls a kernel, which leaves all of them in numba's cache."""
    import numpy as np

    from torchtrack_uq.uncertain_tracker import UncertainTracker

    for method, movement, max_gap in RUNS:
        place, masks = np.random.default_rng(0), np.zeros((5, 48, 48), np.uint16)
        for frame in masks:
            for k in range(16):
                y, x = 10 * np.array(divmod(k, 4)) + place.integers(0, movement, 2)
                frame[y : y + 6, x : x + 6] = k + 1
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")  # of a movie that nobody wants tracked
            result = UncertainTracker("overlap", method, max_gap=max_gap).track(None, masks, progress=False)
            if method == "auto":
                result.lineage_statistics(20)
            result.save(Path(folder) / "out", progress=False)
    _use_what_no_track_does(result.candidates)


def _use_what_no_track_does(graph: "CandidateGraph") -> None:
    """Gradients, which fits need; weights beyond floating point numbers; other sums; voxels that are no cubes."""
    import numpy as np

    from torchtrack_uq.assignment import AssignmentProblem, marginals
    from torchtrack_uq.layers.assignment_posterior import AssignmentPosterior
    from torchtrack_uq.perturb.distance_map import nearest_in_space

    AssignmentPosterior("exact")(graph.with_tensors(score=graph.score.requires_grad_())).link.sum().backward()
    links = [0, 0, 1], [0, 1, 1], [1.0, 2.0, 3.0]
    marginals(AssignmentProblem.build(*links, 2, 2, disappear=2e3), method="exact")
    marginals(AssignmentProblem.build(*links, 2, 2), method="bp")
    nearest_in_space(np.ones((2, 2), np.int32), np.eye(2, dtype=np.bool_), 2.0, np.array([2.0, 1.0]))
