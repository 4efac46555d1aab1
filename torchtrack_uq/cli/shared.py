"""Arguments that several commands share."""

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrack_uq.cli.movie_arguments import add_trust_masks_argument
from torchtrack_uq.cli.points_arguments import DEFAULT_TRACKER, FOR_POINTS
from torchtrack_uq.cli.values import every_nth, length
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.registry import METHODS
from torchtrack_uq.trackers.registry import DEFAULT_MAX_GAP, TRACKERS, make_tracker
from torchtrack_uq.utils.ending_signals import Stopped
from torchtrack_uq.utils.placed import placed_so_far
from torchtrack_uq.utils.replace_folder import HalfReplacedError

if TYPE_CHECKING:
    from torchtrack_uq.calibration import ScoredMovie
    from torchtrack_uq.layers import UncertaintyLayer
    from torchtrack_uq.trackers import Tracker


def add_tracker_arguments(parser: argparse.ArgumentParser) -> None:
    """`--tracker` with what is for single ones, `--method`, `--paper` and `--stride`."""
    parser.add_argument(
        "--tracker",
        choices=tuple(TRACKERS),
        help=f"what scores the links. {_escaped(TRACKERS.describe())} (default: {DEFAULT_TRACKER}; with points "
        f"{FOR_POINTS})",
    )
    parser.add_argument(
        "--model",
        help="for trackastra: small_2d or small_3d, which come with the package; a model folder; or a published model "
        "that is downloaded once, such as general_2d (default: small_2d, and small_3d for volumes)",
    )
    parser.add_argument(
        "--search-range",
        type=length,
        metavar="LENGTH",
        help="for distance: largest displacement in pixels of x, or in micrometres with the unit, 12um "
        "(default: estimated)",
    )
    parser.add_argument(
        "--without-common-motion",
        action="store_const",
        const=True,
        help="for distance: leave out of how far cells move what neighbours have in common, for cells that drift, flow "
        "or grow together",
    )
    add_max_gap_argument(parser)
    parser.add_argument(
        "--method",
        default="auto",
        choices=tuple(METHODS),
        help=f"how scores become probabilities. {_escaped(METHODS.describe())} (default: %(default)s)",
    )
    parser.add_argument(
        "--paper",
        action="store_true",
        help='SM, FP, FP+A or AS to the letter of the paper: without a class for "no mother" and without anything '
        "beside the draws and lists (see docs/methods.md)",
    )
    parser.add_argument(
        "--stride", type=every_nth, default=1, metavar="N", help="take every Nth frame (default: 1)"
    )


def add_segmentation_argument(parser: argparse.ArgumentParser) -> None:
    """`--segmentation FOLDER`."""
    parser.add_argument(
        "--segmentation",
        action="append",
        type=Path,
        metavar="FOLDER",
        help="masks to track instead of the annotated ones, all frames of the sequence; each cell gets the truth of "
        "the annotated cell that it covers. Once for each CTC_FOLDER, in their order",
    )


def add_annotated_folders(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """`CTC_FOLDER...` and `--segmentation`."""
    parser.add_argument(
        "folders",
        nargs="*" if optional else "+",
        type=Path,
        metavar="CTC_FOLDER",
        help="annotated sequence, such as data/NAME/01",
    )
    add_segmentation_argument(parser)
    add_trust_masks_argument(parser)


def annotated_inputs_of(options: argparse.Namespace) -> list[Path]:
    """Files and folders that annotated movies and a calibration are read from."""
    annotations = [
        folder.with_name(f"{folder.name}_{kind}") for folder in options.folders for kind in ("GT", "ST")
    ]
    given = getattr(options, "temperature", None)
    calibration = [Path(given)] if given is not None and Path(given).is_file() else []
    return [*options.folders, *annotations, *(options.segmentation or []), *calibration]


def has_models(options: argparse.Namespace) -> bool:
    """Whether the tracker has models, for which a movie's dimensions matter."""
    return "model" in TRACKERS[options.tracker].options


def dimensions_of(options: argparse.Namespace) -> int:
    """Dimensions in space of the first annotated movie that was named, 2 where none was."""
    from torchtrack_uq.datasets.read import spatial_dimensions

    if not options.folders or not has_models(options):
        return 2
    return spatial_dimensions(options.folders[0], options.missing_frames)


def add_device_and_quiet(parser: argparse.ArgumentParser) -> None:
    """`--device` and `--quiet`."""
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def add_max_gap_argument(parser: argparse.ArgumentParser) -> None:
    """`--max-gap N`."""
    parser.add_argument(
        "--max-gap",
        type=int,
        metavar="N",
        help="how many frames a link may span: with 2, a cell that was missed in one frame is linked over it (default: "
        f"{DEFAULT_MAX_GAP}; where --temperature names a file, that of the fit; with --paper 1)",
    )


def add_temperature_argument(parser: argparse.ArgumentParser) -> None:
    """`--temperature FLOAT_OR_FILE`."""
    parser.add_argument(
        "--temperature",
        metavar="FLOAT_OR_FILE",
        help="divides all scores, above 1 for an overconfident tracker; or a file from `torchtrack-uq fit`; or "
        "'bundled', the one fitted for small_2d at every frame, for links between consecutive frames. By default what "
        "other movies say: temperature and event scores that fit what this movie looks like, where method and tracker "
        "have them, else 1",
    )


def read_temperature(options: argparse.Namespace) -> Any:
    """The `--temperature` as a number, a `Calibration`, or None."""
    given = options.temperature
    if given is None:
        return None
    try:
        return float(given)
    except ValueError:
        pass
    from torchtrack_uq.calibration import Calibration

    if given == "bundled":
        from torchtrack_uq.calibration import bundled_calibration
        from torchtrack_uq.trackers.trackastra.models import DEFAULT_MODEL

        if options.tracker != "trackastra":
            raise InputError(
                f"--temperature bundled is for --tracker trackastra, not {options.tracker}: fit one with "
                "`torchtrack-uq fit`"
            )
        return Calibration.load(bundled_calibration(options.model or DEFAULT_MODEL, options.method))
    return Calibration.load(given)


def check_temperature(given: str | None) -> None:
    """Refuse a `--temperature` that is no number and names no file, before anything is read."""
    if given is None or given == "bundled":
        return
    try:
        float(given)
    except ValueError:
        if not Path(given).exists():
            raise InputError(
                f"--temperature {given}: calibration {given} does not exist, and it is no number; expected a number, "
                "a file from `torchtrack-uq fit`, or bundled"
            ) from None


def check_tracker_options(options: argparse.Namespace) -> None:
    """Refuse options of another tracker than the one that was asked for."""
    taken = TRACKERS[options.tracker].options
    for option in ("model", "search_range", "without_common_motion"):
        if getattr(options, option) is not None and option not in taken:
            owners = ", ".join(name for name, entry in TRACKERS.items() if option in entry.options)
            raise InputError(f"--{option.replace('_', '-')} is for --tracker {owners}, not {options.tracker}")


def tracker_of(options: argparse.Namespace, temperature: Any = None, *, ndim: int = 2) -> Any:
    """The tracker that was asked for, with the gap of the calibration where `temperature` is one.

    Args:
        options: Parsed arguments.
        temperature: What `--temperature` stands for.
        ndim: Dimensions in space of the movie, for the default model.
    """
    from torchtrack_uq.trackers.gaps import wanted_max_gap

    check_tracker_options(options)
    if getattr(options, "temperature", None) == "bundled" and options.model is None and ndim != 2:
        raise InputError(
            f"--temperature bundled is of small_2d, but the movie is {ndim}D: leave it out for what other movies say, "
            "or fit one with `torchtrack-uq fit`"
        )
    return make_tracker(
        options.tracker,
        options.device,
        model=options.model,
        search_range=options.search_range,
        without_common_motion=options.without_common_motion,
        max_gap=wanted_max_gap(
            options.max_gap, paper=getattr(options, "paper", False), calibration=temperature
        ),
        ndim=ndim,
    )


def scored_movies(
    options: argparse.Namespace, tracker: "Tracker", layer: "UncertaintyLayer"
) -> "Iterator[ScoredMovie]":
    """The annotated movies that were named, scored one after the other."""
    from torchtrack_uq.calibration import score_folders
    from torchtrack_uq.datasets.read import check_masks

    movies = score_folders(
        options.folders,
        tracker,
        layer,
        options.stride,
        segmentation=options.segmentation,
        voxel_size=options.voxel_size,
        missing_frames=options.missing_frames,
        progress=not options.quiet,
    )
    check_masks(
        options.folders,
        options.stride,
        segmentation=options.segmentation,
        missing_frames=options.missing_frames,
        trust_masks=options.trust_masks,
    )
    return movies


@contextmanager
def plain_warnings(*, verbose: bool = False) -> Iterator[None]:
    """Warnings as one line each, the same sentence once; what only programmers can act on is left out.

    Args:
        verbose: Say all of them, and where in the source they arose.
    """
    said: set[str] = set()

    def say(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
    ) -> None:
        if str(message) not in said:
            said.add(str(message))
            where = f" ({category.__name__}, {filename}:{lineno})" if verbose else ""
            print(f"warning: {message}{where}", file=sys.stderr)

    with warnings.catch_warnings():
        for programmers_only in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("always" if verbose else "ignore", programmers_only)
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = say
        yield


@contextmanager
def nothing_written_on_error() -> Iterator[None]:
    """For work whose outputs appear all at once at its end: an error, Ctrl-C or a signal before that says so."""
    before = placed_so_far()
    try:
        yield
    except HalfReplacedError:
        raise
    except OSError as error:
        if placed_so_far() > before:
            raise
        raise OSError(f"{error}; nothing was written") from error
    except KeyboardInterrupt as interrupt:
        done = placed_so_far() > before
        said = f"{str(interrupt) or 'interrupted'}; {'all is written already' if done else 'nothing was written'}"
        if isinstance(interrupt, Stopped):
            raise Stopped(said, interrupt.number) from interrupt
        raise KeyboardInterrupt(said) from interrupt


def _escaped(text: str) -> str:
    """For `help`, in which argparse formats what follows a percent sign."""
    return text.replace("%", "%%")
