"""Track a movie reel by reel, from the last one to the first."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchtrack_uq.assignment.automatic_sampling import MOST_REDRAWS
from torchtrack_uq.assignment.piece import CannotBeCutError
from torchtrack_uq.calibration.first_look import MOST_CELLS, looked_at
from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees.acceptance import AcceptanceThreshold
from torchtrack_uq.layers.assignment_posterior import AssignmentPosterior
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.some_frames import some_frames
from torchtrack_uq.posterior.histories import default_draws
from torchtrack_uq.reels.all_reels import work_on_all
from torchtrack_uq.reels.cutting import reels_of
from torchtrack_uq.reels.gathered import Gathered
from torchtrack_uq.reels.link_files import LinkFiles
from torchtrack_uq.reels.one_reel import Setting
from torchtrack_uq.reels.reeled_result import ReeledResult, reeled_result
from torchtrack_uq.reels.store import Store
from torchtrack_uq.results.doubts import far_inside
from torchtrack_uq.results.provenance import run_settings
from torchtrack_uq.trackers.gaps import max_gap_of
from torchtrack_uq.trackers.protocol import ReelTracker, Tracker
from torchtrack_uq.uncertain_tracker import UncertainTracker

LONG = 400_000
"""Cells from which on a movie is tracked in reels, if that is possible."""
REDRAWS_PER_CELL = 6
"""However long a movie is: as many as one of a million gets that is held as a whole."""
CELLS_AT_ONCE = 100_000
"""Cells of a reel: two stretches, one for each of two cores."""


def is_long(detections: Detections, cells_at_once: int | None) -> bool:
    """Whether to try reels: where cells_at_once is given and not 0 (never), else for movies from `LONG` cells on."""
    return len(detections) >= LONG if cells_at_once is None else cells_at_once > 0


def why_not(tracker: UncertainTracker, detections: Detections, cells_at_once: int) -> str | None:
    """Why a movie cannot be tracked in reels, as far as it is known before it is scored; None if nothing is."""
    layer, gap = tracker.layer, max_gap_of(tracker.tracker)
    posterior = layer.posterior
    if not isinstance(tracker.tracker, ReelTracker) or getattr(
        tracker.tracker, "without_common_motion", False
    ):
        return f"the tracker {tracker.tracker.name} has to see the whole movie"
    if not isinstance(posterior, AssignmentPosterior) or posterior.method != "auto" or posterior.options:
        return f"method {layer.method} with its options sums over the whole movie; only auto does not"
    if gap == 1:
        return "links between consecutive frames alone need no reels"
    if layer.events is not None and layer.events.needs_covariates:
        return "event scores that depend on the surroundings look at the whole movie"
    if len(reels_of(detections.offsets, gap, cells_at_once)) < 2:
        return "the movie is too short"
    return None


@torch.no_grad()
def track_reels(
    tracker: UncertainTracker,
    detections: Detections,
    work: Path,
    movie: Movie | None = None,
    *,
    acceptance: AcceptanceThreshold | None = None,
    cells_at_once: int = CELLS_AT_ONCE,
    settings: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> ReeledResult:
    """As `UncertainTracker.track_detections`, in memory that grows by half a kilobyte a cell instead of three and more.

    What is proved of probabilities holds in the whole movie. Decisions are the likeliest assignment of each reel, given
    what is decided after it; reels overlap, so that one sees `torchtrack_uq.reels.cutting.MARGIN` times as many frames
    beyond its own as links span. A file for each reel lies in `work` until the result is saved.

    Args:
        tracker: With method "auto", and a tracker that is a `ReelTracker`.
        detections: The movie's cells.
        work: An empty folder, which must stay until the result was saved; or that of a run of the same movie, tracker
            and options that was interrupted, which goes on with the reels that are there.
        movie: Its pixels, for pictures.
        acceptance: Which decisions to accept without review.
        cells_at_once: About how many cells to work on at a time.
        settings: More to put down in `settings.json`.
        progress: Whether to show a progress bar.

    Raises:
        CannotBeCutError: The movie has to be tracked as a whole; the sentence says why.
        InputError: Cells and tracker do not go together, or the folder holds the reels of something else.

    >>> import numpy as np
    >>> import tempfile
    >>> from torchtrack_uq import DistanceTracker
    >>> places = np.random.default_rng(0).uniform(0, 200, (70, 50, 2)).cumsum(axis=0) * 0.01
    >>> steady = np.random.default_rng(1).uniform(0, 200, (50, 2))
    >>> cells = Detections.from_points(np.repeat(np.arange(70), 50), (steady + places).reshape(-1, 2))
    >>> tracker = UncertainTracker(DistanceTracker(max_gap=2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = track_reels(tracker, cells, Path(folder), cells_at_once=2000, progress=False)
    ...     saved = found.save(Path(folder) / "OUT", progress=False)
    ...     print(found.n_reels, len(found.cells), (saved / "links.csv").is_file())
    2 3500 True
    """
    tracker.look_at(detections)
    if (why := why_not(tracker, detections, cells_at_once)) is not None:
        raise CannotBeCutError(why)
    max_gap = max_gap_of(tracker.tracker)
    reels = reels_of(detections.offsets, max_gap, cells_at_once)
    assert isinstance(tracker.tracker, ReelTracker)
    of_movie = tracker.tracker.of_movie(detections)
    prior = tracker.prior
    layer = (
        tracker.layer if prior is None else prior.layer(tracker.layer, _look(of_movie, detections, max_gap))
    )
    setting = Setting(
        detections,
        of_movie,
        layer,
        _border_share(detections, movie),
        acceptance,
        max_gap,
        default_draws(len(detections)),
        max(MOST_REDRAWS // len(detections), REDRAWS_PER_CELL),
    )
    about = run_settings(tracker.tracker, layer, max_gap, prior, tracker.calibration)
    _check_same(Store(work), detections, [about, vars(tracker.tracker), acceptance, reels])
    with LinkFiles(work, len(reels)) as files:
        mother = work_on_all(setting, reels, Store(work), files, progress=progress)
    gathered = Gathered.of(Store(work), len(reels), detections, mother)
    return reeled_result(
        gathered,
        max_gap,
        files,
        len(reels),
        movie=movie,
        tracker=of_movie.name,
        temperature=float(layer.temperature),
        acceptance=acceptance,
        prior=None if prior is None else prior.name,
        settings={**about, "reels": len(reels), **(settings or {})},
        calibrated=bool(layer.scaler.fitted),
        annotated=None if tracker.calibration is None else tracker.calibration.review,
        tolerance=1e-3,
    )


def _check_same(store: Store, detections: Detections, given: Sequence[Any]) -> None:
    """Refuse a folder with reels of other cells, or that were tracked otherwise; note down what these are of."""
    digest = hashlib.blake2b(repr(given).encode(), digest_size=16)
    for values in (detections.frame, detections.label, detections.coords):
        digest.update(np.ascontiguousarray(values).tobytes())
    own = np.frombuffer(digest.digest(), np.uint8)
    try:
        known = store.get("movie")["digest"] if store.has("movie") else own
    except (KeyError, ValueError):  # damaged, as a crash of the machine leaves it
        store.forget()
        known = own
    if not np.array_equal(known, own):
        raise InputError(
            f"{store.folder} holds reels of another movie, or of one that was tracked otherwise; give an empty folder"
        )
    store.put("movie", {"digest": own})


def _look(of_movie: Tracker, detections: Detections, max_gap: int) -> CandidateGraph:
    """Links of the frames that a prior looks at."""
    if len(detections) <= MOST_CELLS:
        return of_movie.candidates(detections, progress=False)
    spans = looked_at(torch.from_numpy(detections.offsets), max_gap)
    parts = [some_frames(detections, begin, end) for begin, end in spans]
    return CandidateGraph.batch([of_movie.candidates(part, progress=False) for part in parts])


def _border_share(detections: Detections, movie: Movie | None) -> dict[str, Tensor]:
    """What `CellDoubts` takes for it without an `EventModel`."""
    field = detections.field_shape if movie is None else movie.frame_shape
    share = torch.from_numpy(1.0 - far_inside(detections, field))
    return {"appear": share, "disappear": share}
