"""`torchtrack-uq plan`."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.shared import nothing_written_on_error
from torchtrack_uq.cli.values import numbers, share
from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.files import check_output_file, write_together
from torchtrack_uq.utils.output_checks import check_file_apart

if TYPE_CHECKING:
    from torchtrack_uq.planning import Culture, Pilot

_NUMBERS = ("speed", "diffusion", "division_time", "death_time", "diameter", "missed", "persistence", "field")
_OF_DIAMETER = 0.8  # nearer than this, centres of cells do not come
_CHECKED = (2, 4)


def add_commands(commands: Any) -> None:
    """Add `plan` to a parser's commands."""
    plan = commands.add_parser(
        "plan",
        help="say before an experiment how often to image, at which density, for how many wrong links",
        description="Simulate movies of cells like yours, track them, and say how often links are wrong at each "
        "interval between frames. Lengths in micrometres, times in minutes, division and death times in hours.",
    )
    plan.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="gets the table (CSV); the picture beside it",
    )
    plan.add_argument(
        "--pilot",
        type=Path,
        metavar="OUT",
        help="a short movie to learn from: folder that `torchtrack-uq track` wrote, a table of points, or label masks",
    )
    plan.add_argument(
        "--interval",
        type=float,
        metavar="SECONDS",
        help="with --pilot: between its frames (default: what it states)",
    )
    plan.add_argument(
        "--density",
        type=_numbers,
        metavar="N[,N...]",
        help="cells in (100 um)² or, with --field, in that field; with --pilot times its own density, such as 0.5,1,2",
    )
    plan.add_argument(
        "--field",
        type=_numbers,
        metavar="[Z,]Y,X",
        help="micrometres that --density counts cells in; three for 3D",
    )
    motion = plan.add_mutually_exclusive_group()
    motion.add_argument("--speed", type=float, help="root mean square speed, um a minute")
    motion.add_argument(
        "--diffusion", type=float, help="diffusion coefficient in place of a speed, um² a minute"
    )
    plan.add_argument(
        "--persistence",
        type=float,
        metavar="MINUTES",
        help="with --speed: for how long cells keep their direction (default: always, the worst case)",
    )
    plan.add_argument(
        "--division-time", type=float, metavar="HOURS", help="mean time between divisions (default: none)"
    )
    plan.add_argument(
        "--death-time", type=float, metavar="HOURS", help="mean life without division (default: no deaths)"
    )
    plan.add_argument(
        "--diameter", type=float, metavar="UM", help="of a cell (default: points that do not push)"
    )
    plan.add_argument(
        "--missed", type=share, metavar="SHARE", help="cells that the segmentation misses (default: 0)"
    )
    plan.add_argument(
        "--every",
        type=_numbers,
        metavar="T[,T...]",
        help="intervals to try, minutes (default: some that fit how cells move)",
    )
    plan.add_argument("--aim", type=share, default=0.01, help="wrong links to stay below (default: 1%%)")
    plan.add_argument("--cells", type=int, default=200, help="in a simulated frame (default: %(default)s)")
    plan.add_argument("--frames", type=int, default=10, help="of a simulated movie (default: %(default)s)")
    plan.add_argument("--repeats", type=int, default=4, help="movies for each case (default: %(default)s)")
    plan.add_argument("--seed", type=int, default=0, help="the same one makes the same plan (default: 0)")
    plan.add_argument("--overwrite", action="store_true", help="replace an earlier table and picture")
    plan.add_argument("--quiet", action="store_true", help="no progress bar")
    plan.set_defaults(run=_plan)


def _plan(options: argparse.Namespace) -> None:
    picture = options.output.with_suffix(".png")
    if options.output.suffix != ".csv":
        raise InputError(f"{options.output} is no name of a table; expected a file that ends in .csv")
    for file in (options.output, picture):
        if file.is_dir():
            raise InputError(f"{file} is a folder; expected a file to write, such as plan.csv")
        if file.exists() and not options.overwrite:
            raise InputError(f"{file} exists; give another name, or --overwrite")
        check_output_file(file, options.overwrite)
        check_file_apart(file, [options.pilot])
    import io

    from torchtrack_uq.utils.optional import import_optional

    import_optional("matplotlib", "files", "drawing a plan")
    from torchtrack_uq.planning import make_plan
    from torchtrack_uq.planning.plan_picture import draw_plan

    with nothing_written_on_error():
        time_unit, length_unit, pilot = "min", "µm", None
        densities: list[float] | None
        if options.pilot is None:
            culture, densities = _from_numbers(options)
        else:
            pilot, time_unit, length_unit = _pilot(options)
            culture = pilot.culture()
            own = culture.density * 100.0**culture.ndim
            densities = None if options.density is None else [own * factor for factor in options.density]
        plan = make_plan(
            culture,
            options.every,
            densities,
            aim=options.aim,
            n_cells=options.cells,
            n_frames=options.frames,
            repeats=options.repeats,
            seed=options.seed,
            time_unit=time_unit,
            length_unit=length_unit,
            progress=not options.quiet,
        )
    drawn = io.BytesIO()
    draw_plan(plan).savefig(drawn, format="png")
    text = plan.table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_together({options.output: text.encode(), picture: drawn.getvalue()}, overwrite=options.overwrite)
    if pilot is not None:
        _say_pilot(pilot, culture, time_unit, plan.per)
    print(plan.text())
    for density in plan.densities:
        print(plan.sentence(density))
    print(f"the table is in {options.output}, the picture in {picture}")


def _from_numbers(options: argparse.Namespace) -> "tuple[Culture, list[float]]":
    from torchtrack_uq.planning import Culture, Walk

    if options.density is None or (options.speed is None and options.diffusion is None):
        raise InputError(
            "a plan needs --density and --speed or --diffusion, or a movie of such cells, --pilot OUT; one is missing"
        )
    if options.interval is not None:
        raise InputError(
            "--interval belongs to --pilot OUT, which is missing; intervals to try are --every's"
        )
    ndim, per_field = 2, 1.0
    if options.field is not None:
        ndim = len(options.field)
        if ndim not in (2, 3) or not all(math.isfinite(length) and length > 0 for length in options.field):
            raise InputError(
                f"--field has {ndim} numbers; expected two or three positive lengths in micrometres"
            )
        per_field = 100.0**ndim / math.prod(options.field)
    if options.diffusion is not None and options.persistence is not None:
        raise InputError("--persistence goes with --speed; a diffusion coefficient has no memory")
    if options.speed is not None:
        persistence = math.inf if options.persistence is None else options.persistence
        motion = Walk(options.speed, persistence)
    else:
        motion = Walk.diffusing(options.diffusion, ndim)
    rates: dict[str, Any] = {}
    for name, hours, divided in (
        ("divide", options.division_time, math.log(2)),
        ("disappear", options.death_time, 1.0),
    ):
        if hours is not None and not hours > 0:
            raise InputError(f"a time of {hours} hours until cells {name}; expected a positive number")
        rates[name] = 0.0 if hours is None else divided / (60 * hours)
    if (wrong := next((d for d in options.density if not (math.isfinite(d) and d > 0)), None)) is not None:
        raise InputError(f"--density has {wrong:g}; expected positive numbers of cells")
    densities = [density * per_field for density in options.density]
    apart = _OF_DIAMETER * (options.diameter or 0.0)
    culture = Culture(
        max(densities) / 100.0**ndim,
        motion,
        ndim,
        apart=apart,
        separation=apart,
        missed=options.missed or 0.0,
        **rates,
    )
    return culture, densities


def _pilot(options: argparse.Namespace) -> "tuple[Pilot, str, str]":
    """The pilot, and the units of its times and lengths."""
    useless = [name for name in _NUMBERS if getattr(options, name) is not None]
    if useless:
        names = ", ".join("--" + name.replace("_", "-") for name in useless)
        raise InputError(f"{names} and --pilot say the same thing; leave out one of the two")
    from torchtrack_uq.planning import Pilot
    from torchtrack_uq.results.tracking_result import TrackingResult
    from torchtrack_uq.uncertain_tracker import UncertainTracker

    if options.interval is not None and not (math.isfinite(options.interval) and options.interval > 0):
        raise InputError(
            f"--interval is {options.interval:g}; expected a positive number of seconds between frames"
        )
    path, progress = options.pilot, not options.quiet
    tracker = UncertainTracker("distance", "auto")
    if (path / "links.csv").exists():
        result = TrackingResult.load(path)
    elif path.is_file() and path.suffix.lower() not in (".tif", ".tiff", ".npy"):
        result = tracker.track_points(path, progress=progress)
    else:
        result = tracker.track(None, path, progress=progress)
    minutes = None if options.interval is None else options.interval / 60
    pilot = Pilot.of(result, interval=minutes)
    timed = minutes is not None or result.detections.interval is not None
    return pilot, "min" if timed else "frames", "µm" if result.detections.voxel_size is not None else "pixels"


def _say_pilot(pilot: "Pilot", culture: "Culture", time_unit: str, per: str) -> None:
    shares = pilot.shares
    print(
        f"the pilot: {culture.density * 100.0**culture.ndim:.3g} cells per {per} where they are, "
        f"{shares['divide']:.2%} divide, {shares['disappear']:.2%} end and {shares['missed']:.2%} are missed a frame"
        + ("; none crosses the border" if culture.closed else "")
    )
    print(
        f"{pilot.expected_wrong:.2%} of the pilot's own links are expected to be wrong; predictions near or below "
        "that mean little"
    )
    for stride in _CHECKED:
        try:
            found = pilot.check(stride)
        except InputError:
            continue
        print(
            f"every {stride * pilot.interval:g} {time_unit}, the pilot itself has {found.wrong:.2%} wrong links "
            f"against its own sure tracks ({found.n} links), and {found.doubtful:.1%} below 90 %"
        )


def _numbers(text: str) -> tuple[float, ...]:
    return numbers(text, "list of numbers; expected such as 10,20,50")
