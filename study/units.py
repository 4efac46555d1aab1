"""What the study consists of: movies, strides, trackers, and which of them go together."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from torchtrack_uq.datasets import AnnotatedMovie, read_annotated
from torchtrack_uq.datasets.points import is_points_folder, read_points_movie
from torchtrack_uq.trackers import Tracker, make_tracker
from torchtrack_uq.trackers.trackastra.models import bundled_models

MOVIES = (
    "Fluo-C2DL-MSC",
    "Fluo-N2DH-GOWT1",
    "Fluo-N2DH-SIM+",
    "Fluo-N2DL-HeLa",
    "c2c12-points",
    "cell-migration",
    "cglutamicum",
    "cglutamicum-06min",
    "mouse-epidermis",
)
"""What the study covers where no movie is named; a folder with none of these is taken as a whole."""
STRIDES = (1, 2, 4, 8, 16)
TRACKERS = {
    "Activity": "activity",
    "Distance": "distance",
    "Overlap": "overlap",
    "Transformer": "trackastra",
}
METHODS = ("SM", "FP", "FP+A", "AS", "auto")
"""The paper's four, and `auto`: exact wherever that is possible."""
FITTED = "auto + events"
"""auto with event scores fitted along with the temperature, by the joint likelihood."""
ALL = (*METHODS, FITTED)
COMPARED = ("Distance", "Transformer")
"""Trackers whose scores also go through the comparisons that the paper does not have."""
MODEL = "small_2d"
MODELS = {"Transformer": MODEL, "Transformer 3D": "small_3d"}
"""Of trackers that have one; the second is not in the study, whose movies in 3D are few and alike."""
FEWEST_FRAMES = 4
LONGEST_POINTS_MOVIE = 200
"""Frames of a movie of points that are used: c2c12-points has 780, more than all others together."""
SAME_RECORDING = {"cglutamicum-06min": "cglutamicum"}
"""Movies that are another one at another frame rate."""
_SECONDS_A_CELL = {"Activity": 1.0, "Distance": 1.5, "Overlap": 3.0, "Transformer": 20.0}  # to order by


@dataclass(frozen=True)
class Unit:
    """One movie at one stride under one tracker: what is scored once and judged under every method.

    Attributes:
        movie: Name of the data set.
        folder: Its sequence.
        stride: Temporal stride.
        tracker: One of `TRACKERS`.
        work: Rough number of cells times the tracker's price, to begin with the longest.
    """

    movie: str
    folder: Path
    stride: int
    tracker: str
    work: float = 0.0

    @property
    def key(self) -> str:
        """A name for files; the transformer's has a digest of its weights: another model's are not mixed in."""
        model = f"_{_model_digest(MODELS[self.tracker])}" if self.tracker in MODELS else ""
        return f"{self.movie}_{self.stride:02d}_{self.tracker}{model}"

    @property
    def recording(self) -> str:
        """The same for all frame rates of one recording."""
        return SAME_RECORDING.get(self.movie, self.movie)


@cache
def _model_digest(model: str) -> str:
    files = [bundled_models()[model] / name for name in ("model.pt", "event_heads.pt")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file.is_file())).hexdigest()[:12]


def find_units(data: Path, movies: list[str] | None, strides: tuple[int, ...]) -> list[Unit]:
    """All units that a data folder allows, those that take longest first.

    Args:
        data: Folder of annotated movies.
        movies: Names; None for those of `MOVIES` that there are, or for all where there is none of them.
        strides: Temporal strides.

    Raises:
        SystemExit: There is no movie, or not the one that was asked for.
    """
    folders = {folder.parent.name: folder.with_name("01") for folder in sorted(data.glob("*/01_GT"))}
    folders |= {folder.name: folder for folder in sorted(data.glob("*")) if is_points_folder(folder)}
    missing = sorted(set(movies or ()) - set(folders))
    if missing or not folders:
        raise SystemExit(
            f"{data} holds no movie {', '.join(missing)}; it has {', '.join(folders) or 'none at all'}"
        )
    chosen = movies or [name for name in MOVIES if name in folders] or list(folders)
    units = []
    for name in sorted(set(chosen)):
        folder = folders[name]
        n_frames, megabytes, trackers = _look(folder)
        for stride in strides:
            if -(-n_frames // stride) >= FEWEST_FRAMES:
                units += [
                    Unit(name, folder, stride, tracker, megabytes / stride * _SECONDS_A_CELL[tracker])
                    for tracker in trackers
                ]
    return sorted(units, key=lambda unit: (-unit.work, unit.key))


def _look(folder: Path) -> tuple[int, float, list[str]]:
    """Frames, a measure of size, and the trackers that can be used, without reading a pixel."""
    if is_points_folder(folder):
        annotated = _capped(read_points_movie(folder))
        return annotated.detections.n_frames, len(annotated) / 1e3, ["Distance"]
    masks = sorted((folder.with_name("01_GT") / "TRA").glob("*.tif"))
    has_images = folder.is_dir() and any(folder.glob("*.tif"))
    trackers = [name for name in TRACKERS if has_images or name != "Activity"]
    lineage = (folder.with_name("01_GT") / "TRA" / "man_track.txt").read_text().split()
    begin, end = lineage[1::4], lineage[2::4]
    cells = sum(int(b) - int(a) + 1 for a, b in zip(begin, end, strict=True))
    return len(masks), cells / 1e3, trackers


def read_unit(unit: Unit) -> AnnotatedMovie:
    """Cells with their true mothers, and the pixels where there are any."""
    if is_points_folder(unit.folder):
        return _capped(read_points_movie(unit.folder)).strided(unit.stride)
    return read_annotated(unit.folder, unit.stride, progress=False)


def make_unit_tracker(name: str) -> Tracker:
    """The tracker on the CPU."""
    return make_tracker(TRACKERS[name], "cpu", model=MODEL if name == "Transformer" else None, max_gap=1)


def trained_on(movie: str, tracker: str) -> bool:
    """Whether the tracker's weights were trained on frames of this recording."""
    if tracker not in MODELS:
        return False
    config = yaml.safe_load((bundled_models()[MODELS[tracker]] / "train_config.yaml").read_text())
    seen = {str(name).split("/")[0] for name in config.get("movies", [])}
    return SAME_RECORDING.get(movie, movie) in {SAME_RECORDING.get(name, name) for name in seen}


def _capped(annotated: AnnotatedMovie) -> AnnotatedMovie:
    return annotated.frames(0, min(LONGEST_POINTS_MOVIE, annotated.detections.n_frames))
