"""`torchtrack-uq simulate`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.movie_arguments import add_scale_arguments
from torchtrack_uq.cli.shared import nothing_written_on_error
from torchtrack_uq.cli.values import length, numbers, share
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.staged_folder import output_folder

if TYPE_CHECKING:
    from torchtrack_uq.datasets.simulation import Conditions

_LENGTHS = ("motion", "flow", "separation", "apart", "diameter", "jitter")
_APART_IN_DIAMETERS, _SEPARATION_IN_DIAMETERS = 0.8, 0.8


def add_commands(commands: Any) -> None:
    """Add `simulate` to a parser's commands."""
    simulate = commands.add_parser(
        "simulate",
        help="make a movie of cells whose truth is known: masks, images, points and tracks, to try settings on",
        description="Simulate cells that grow, divide, move and die, as a folder that track, fit and evaluate take. "
        "Lengths are in pixels of x, or in micrometres with the unit, 12um, where --voxel-size is given.",
    )
    simulate.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FOLDER", help="gets 01, 01_GT, points, ..."
    )
    simulate.add_argument("--cells", type=int, default=200, help="in the first frame (default: %(default)s)")
    simulate.add_argument("--frames", type=int, default=50, help="(default: %(default)s)")
    simulate.add_argument(
        "--size",
        type=_size,
        default=(512.0, 512.0),
        metavar="[Z,]Y,X",
        help="field in pixels; three numbers make a movie in 3D (default: 512,512)",
    )
    for name, default, text in (
        ("motion", 3.0, "standard deviation of a step along each axis"),
        ("flow", 0.0, "root mean square, along each axis, of a collective flow"),
        ("diameter", 14.0, "of a full-grown cell"),
    ):
        simulate.add_argument(
            f"--{name}", type=length, default=default, metavar="LENGTH", help=f"{text} (default: {default:g})"
        )
    simulate.add_argument(
        "--apart",
        type=length,
        metavar="LENGTH",
        help="cells push each other until they are this far apart; 0 for none (default: 0.8 diameters)",
    )
    simulate.add_argument(
        "--separation",
        type=length,
        metavar="LENGTH",
        help="distance at which two daughters start (default: 0.8 diameters)",
    )
    simulate.add_argument(
        "--jitter", type=length, default=0.0, metavar="LENGTH", help="error of measured points (default: 0)"
    )
    simulate.add_argument(
        "--persistence",
        type=float,
        default=0.0,
        metavar="R",
        help="correlation of a cell's step with its last one, 0 to below 1 (default: 0)",
    )
    simulate.add_argument(
        "--drift", type=_size, default=(), metavar="[Z,]Y,X", help="pixels that all cells move in each frame"
    )
    for name, default, text in (
        ("divide", 0.01, "probability that a cell divides before the next frame"),
        ("disappear", 0.002, "probability that it dies"),
        ("missed", 0.0, "share of the cells that the detector misses"),
        ("merged", 0.0, "pairs of cells found as one, as a share of the cells"),
        ("split", 0.0, "share of the cells found as two"),
        ("false", 0.0, "made-up detections, as a share of the cells"),
    ):
        simulate.add_argument(
            f"--{name}", type=share, default=default, metavar="SHARE", help=f"{text} (default: {default:g})"
        )
    simulate.add_argument(
        "--appear", type=float, default=0.0, help="new cells a frame, out of nowhere (default: 0)"
    )
    simulate.add_argument(
        "--steady",
        action="store_true",
        help="let as many cells die as are born, so that their number stays (default: they grow exponentially)",
    )
    add_scale_arguments(simulate)
    simulate.add_argument(
        "--seed", type=int, default=0, help="the same one makes the same movie (default: 0)"
    )
    simulate.add_argument("--no-masks", action="store_true", help="points only, to millions of cells")
    simulate.add_argument("--no-images", action="store_true", help="no images")
    simulate.add_argument("--overwrite", action="store_true", help="replace an earlier simulation")
    simulate.add_argument("--quiet", action="store_true", help="no progress bar")
    simulate.set_defaults(run=_simulate)


def _simulate(options: argparse.Namespace) -> None:
    with output_folder(options.output, overwrite=options.overwrite):
        _simulate_into(options)


def _simulate_into(options: argparse.Namespace) -> None:
    from torchtrack_uq.datasets.corrupt import CorruptionRates
    from torchtrack_uq.datasets.simulation.write_movie import POINTS, SEGMENTATION, SEQUENCE, write_simulated

    conditions = _conditions(options)
    errors = CorruptionRates(
        **{name: getattr(options, name) for name in ("missed", "merged", "split", "false")}
    )
    with nothing_written_on_error():
        counts = write_simulated(
            options.output,
            conditions,
            options.seed,
            errors,
            masks=not options.no_masks,
            images=not options.no_images,
            overwrite=options.overwrite,
            progress=not options.quiet,
        )
    print(
        f"{counts['cells']} cells in {counts['frames']} frames, {counts['tracks']} tracks, {counts['divisions']} "
        f"divisions, {counts['detections']} detections in {options.output}"
    )
    out = options.output
    print(f"  track them:    torchtrack-uq track --points {out / 'detections.csv'} -o OUT")
    if options.no_masks:
        print(f"  hold it against the truth: torchtrack-uq evaluate {out / POINTS} --tracker distance")
        return
    wrong = (out / SEGMENTATION).is_dir()
    extra = f" --segmentation {out / SEGMENTATION}" if wrong else ""
    print(f"  hold it against the truth: torchtrack-uq evaluate {out / SEQUENCE} --tracker distance{extra}")


def _conditions(options: argparse.Namespace) -> "Conditions":
    from torchtrack_uq.datasets.simulation import Conditions
    from torchtrack_uq.movies.scale import length_in_pixels

    lengths: dict[str, Any] = {
        name: length_in_pixels(name, value, options.voxel_size)
        for name in _LENGTHS
        if (value := getattr(options, name)) is not None
    }
    lengths.setdefault("apart", _APART_IN_DIAMETERS * lengths["diameter"])
    lengths.setdefault("separation", _SEPARATION_IN_DIAMETERS * lengths["diameter"])
    if options.voxel_size is not None and len(options.voxel_size) != len(options.size):
        raise InputError(
            f"--voxel-size has {len(options.voxel_size)} numbers but --size {len(options.size)}; expected one an axis"
        )
    return Conditions(
        n_frames=options.frames,
        n_cells=options.cells,
        size=options.size,
        persistence=options.persistence,
        drift=options.drift,
        divide=options.divide,
        disappear=options.disappear,
        appear=options.appear,
        steady=options.steady,
        voxel_size=options.voxel_size,
        interval=options.interval,
        **lengths,
    )


def _size(text: str) -> tuple[float, ...]:
    return numbers(text, "list of numbers; expected pixels such as 512,512")
