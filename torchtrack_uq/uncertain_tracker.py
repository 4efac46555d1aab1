"""The front door: images and masks, or points, in; tracks with probabilities out."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from torchtrack_uq.calibration import Calibration
from torchtrack_uq.calibration.movie_prior import MoviePrior, movie_prior
from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.event_model import EventModel
from torchtrack_uq.layers.method import graph_of
from torchtrack_uq.layers.temperature import TemperatureScaler
from torchtrack_uq.layers.uncertainty import UncertaintyLayer
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.links.probabilities import LinkProbabilities
from torchtrack_uq.movies.cell_counts import check_detections
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.frames import FramesLike
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.movies.points_table import read_points
from torchtrack_uq.movies.sanity import check_movie
from torchtrack_uq.movies.table_file import TableLike
from torchtrack_uq.posterior.map_links import map_links
from torchtrack_uq.results.measured_cells import measured_cells
from torchtrack_uq.results.proof import warn_of_short_lists
from torchtrack_uq.results.provenance import run_settings
from torchtrack_uq.results.stages import Stages
from torchtrack_uq.results.tracking_result import TrackingResult
from torchtrack_uq.trackers.by_name import TrackerByName
from torchtrack_uq.trackers.gaps import check_gap_of_paper, max_gap_of, wanted_max_gap
from torchtrack_uq.trackers.identity import tracker_identity
from torchtrack_uq.trackers.protocol import Tracker
from torchtrack_uq.trackers.registry import TRACKERS
from torchtrack_uq.trackers.shared_out import SharedOut
from torchtrack_uq.utils.crew import Crew


class UncertainTracker:
    """Tracks movies with any tracker and says how sure it is of every link.

    Args:
        tracker: "trackastra" (the bundled model for 2D or 3D), "distance", "overlap", "activity", or any `Tracker`.
        method: "SM", "FP", "FP+A", "AS", "exact", "auto" or "bp" (see `UncertaintyLayer` and docs/methods.md), or an
            `UncertaintyLayer`, or any module that makes `LinkProbabilities` from a `CandidateGraph`.
        temperature: Divides all scores; above 1 for a tracker that is too sure of itself. A number, a fitted
            `TemperatureScaler`, or a `Calibration` (or its file, from `torchtrack-uq fit`). None means what other
            movies say: temperature and event scores of the tracker's `movie_prior`, fitted to what each movie looks
            like, for methods that sum over assignments ("AS", "exact", "auto", "bp") and trackers that have a prior,
            else 1. With a number, and with `paper`, event scores are the tracker's own.
        device: Where a tracker given by name computes: "auto", "cpu", "cuda".
        paper: Whether the method is the paper's to the letter, for "SM", "FP", "FP+A", "AS" (see `UncertaintyLayer`).
        max_gap: How many frames the links of a tracker given by name may span: above 1, a cell that was missed in the
            frames between does not cut a track. By default `DEFAULT_MAX_GAP` of `torchtrack_uq.trackers.registry`, that
            of the fit for a calibration, and 1 with `paper`; a tracker that is an object has its own.

    Raises:
        InputError: An unknown name, a temperature that is not positive, one beside a layer that has its own, a
            calibration of another method, other options or another tracker, `paper` with a method that is not in it or
            with links over several frames, or `max_gap` beside a tracker that is an object.

    >>> import numpy as np
    >>> from torchtrack_uq.trackers import DistanceTracker
    >>> masks = np.zeros((3, 32, 32), np.uint16)
    >>> for t in range(3):
    ...     masks[t, 8 : 14, 5 + t : 11 + t] = 1
    >>> result = UncertainTracker(DistanceTracker(search_range=5, scale=2)).track(None, masks, progress=False)
    >>> result.links[result.links["selected"]][["frame", "mother", "daughter", "probability"]].round(2)
       frame  mother  daughter  probability
    1      1       1         1         0.95
    3      2       1         1         0.95
    """

    def __init__(
        self,
        tracker: str | Tracker = "trackastra",
        method: str | nn.Module = "auto",
        temperature: float | TemperatureScaler | Calibration | str | os.PathLike[str] | None = None,
        device: str | torch.device | None = None,
        paper: bool = False,
        max_gap: int | None = None,
    ) -> None:
        if isinstance(temperature, str | os.PathLike):
            temperature = Calibration.load(temperature)
        self._by_name: TrackerByName | None = None
        if isinstance(tracker, str):
            wanted = wanted_max_gap(max_gap, paper=paper, calibration=temperature)
            self._by_name = TrackerByName(tracker, device, wanted)
            tracker = self._by_name(2)
        self.tracker = tracker
        if not isinstance(self.tracker, Tracker):
            raise InputError(
                f"tracker is a {type(tracker).__name__}; expected a name ({', '.join(TRACKERS)}) or an object with "
                "`name` and `candidates(detections, movie)`"
            )
        if max_gap is not None and self._by_name is None:
            raise InputError(
                f"max_gap={max_gap} is given beside a {type(tracker).__name__}, which decides itself how many frames "
                "its links span; give max_gap to that tracker, if it takes one"
            )
        if paper:
            check_gap_of_paper(max_gap_of(self.tracker))
        self.calibration: Calibration | None = None
        if isinstance(method, UncertaintyLayer):
            if temperature is not None:
                raise InputError("the layer has a temperature of its own; give the temperature to the layer")
            if paper:
                raise InputError("the layer has a method of its own; give paper=True to the layer")
            self.layer = method
        elif isinstance(temperature, Calibration):
            asked = UncertaintyLayer(method, paper=paper)
            plain = (
                isinstance(method, str) and not paper
            )  # a name alone leaves the options to the calibration
            options = None if plain else asked.options
            reach = max_gap_of(self.tracker)
            temperature.check(asked.method, tracker_identity(self.tracker), options=options, max_gap=reach)
            self.calibration, self.layer = temperature, temperature.layer()
            if not isinstance(method, str):  # the very module, which may be a subclass
                self.layer.posterior = asked.posterior
        else:
            self.layer = UncertaintyLayer(method, temperature, paper=paper)
        plain_layer = temperature is None and not paper and not isinstance(method, UncertaintyLayer)
        self._takes_prior = plain_layer and self.layer.posterior.sums_assignments

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.layer.method

    def track(
        self,
        imgs: FramesLike | None,
        masks: FramesLike,
        *,
        stride: int = 1,
        voxel_size: Sequence[float] | None = None,
        interval: float | None = None,
        trust_masks: bool = False,
        progress: bool = True,
        **reading: Any,
    ) -> TrackingResult:
        """Track one movie.

        Args:
            imgs: Images: a folder with one file a frame, a multi-page TIFF, a numpy or dask array (T, (Z,) Y, X), or
                another format that `open_frames` knows; or None.
            masks: Label masks of the same shape, 0 for background.
            stride: Take every `stride`-th frame.
            voxel_size: Edge lengths of a voxel in micrometres, ((z,) y, x); by default what the files state, else
                voxels are taken for cubes.
            interval: Seconds between frames; by default what the files state.
            trust_masks: Go on, with a warning, where masks do not look like label masks.
            progress: Whether to show progress bars.
            reading: How to read what does not say it itself: `axes`, `channel`, `mask_channel`, `scene`,
                `missing_frames`, as `Movie.open` takes them.

        Raises:
            InputError: Images or masks that cannot be used, or masks that do not look like label masks, found before
                the tracker starts.

        Warns:
            MovieWarning: Something in the movie looks odd: see `check_movie` and `check_detections`.
        """
        movie = Movie.open(imgs, masks, stride, voxel_size=voxel_size, interval=interval, **reading)
        check_movie(movie, trust_masks=trust_masks)
        return self.track_movie(movie, progress=progress)

    def track_movie(
        self, movie: Movie, *, progress: bool = True, stages: Stages | None = None, crew: Crew | None = None
    ) -> TrackingResult:
        """Track a movie that is open; as `track`, without its look at a few frames (`check_movie`).

        Args:
            movie: Images and masks.
            progress: Whether to show progress bars.
            stages: Where measured cells and scored links are kept, so that a run that was killed goes on there.
            crew: Who measures cells and scores links, such as `Processes(4)` of `torchtrack_uq.utils.processes`; the
                results are those of one process with one thread, to the last bit.

        Raises:
            InputError: Frames that cannot be used; see `measured_cells`, also for warnings.
        """
        self.check_stride(movie.stride)
        how: Any = {"progress": progress, "stages": stages, "crew": crew}
        return self.track_detections(measured_cells(movie, self.tracker, **how), movie, **how)

    def track_points(
        self,
        points: TableLike,
        columns: Mapping[str, str | None] | None = None,
        *,
        stride: int = 1,
        field_shape: Sequence[float] | None = None,
        voxel_size: Sequence[float] | None = None,
        interval: float | None = None,
        progress: bool = True,
    ) -> TrackingResult:
        """Track spots, with trackers that look at no pixel such as "distance"; outputs have the table's frames and ids.

        Args:
            points: A DataFrame or a CSV, TSV or Parquet file with a row a point: frame, (z), y, x, perhaps an id.
            columns: Which column is what, such as {"y": "cy", "id": None}; found by name otherwise.
            stride: Take every `stride`-th frame.
            field_shape: Where the field ends, ((z,) y, x), in the table's units; nobody knows by default.
            voxel_size: What a step of 1 is in micrometres, ((z,) y, x); the same along every axis by default.
            interval: Seconds between the table's frames.
            progress: Whether to show progress bars.

        Raises:
            InputError: The tracker looks at pixels, or a table that cannot be used, see `read_points_table`.

        Warns:
            MovieWarning: Frames that stand out, see `check_detections`.

        >>> import pandas as pd
        >>> spots = pd.DataFrame({"frame": [480, 481, 482], "y": [4.0, 5.0, 6.0], "x": [4.0, 4.5, 5.0]})
        >>> result = UncertainTracker("distance").track_points(spots, progress=False)
        >>> result.cells[["frame", "label", "track"]].values.tolist()
        [[480, 1, 1], [481, 1, 1], [482, 1, 1]]
        """
        scale: Any = {"voxel_size": voxel_size, "interval": interval}
        cells = read_points(points, columns, stride=stride, field_shape=field_shape, **scale)
        check_detections(cells)
        return self.track_detections(cells, progress=progress)

    @torch.no_grad()
    def track_detections(
        self,
        detections: Detections,
        movie: Movie | None = None,
        *,
        progress: bool = True,
        stages: Stages | None = None,
        crew: Crew | None = None,
    ) -> TrackingResult:
        """Track cells that are known already; as `track`.

        Args:
            detections: The movie's N cells.
            movie: The pixels that they were measured on; None for points, for trackers that look at no pixel.
            progress: Whether to show progress bars.
            stages: Where scored links are kept, as for `track_movie`; those of methods under noise are not.
            crew: Who scores links, likewise.

        Raises:
            InputError: The tracker needs pixels, or detections and movie do not belong together.
        """
        self.look_at(detections)
        prior = self.prior
        layer, found = self._probabilities(prior, (detections, movie), progress, stages, crew)
        probabilities = found.to("cpu")
        graph = probabilities.graph
        warn_of_short_lists(probabilities)
        return TrackingResult(
            movie=movie,
            detections=detections,
            probabilities=probabilities,
            selected=map_links(layer.corrected(graph)),
            tracker=self.tracker.name,
            temperature=float(layer.temperature),
            prior=None if prior is None else prior.name,
            calibrated=bool(layer.scaler.fitted),
            annotated=None if self.calibration is None else self.calibration.review,
            scaled=None if probabilities.covered_mass is None else layer.tempered(graph),
            border_share=layer.events.border_share(graph) if isinstance(layer.events, EventModel) else None,
            settings=run_settings(self.tracker, layer, graph.max_gap, prior, self.calibration),
        )

    def look_at(self, detections: Detections) -> None:
        """Take the tracker for movies of as many dimensions, if given by name; `check_stride`."""
        self.check_stride(detections.stride)
        if self._by_name is not None and self.calibration is None:  # a calibration is of one model
            self.tracker = self._by_name(detections.ndim)

    def check_stride(self, stride: int) -> None:
        """Refuse a stride that the calibration is not of, with an `InputError`."""
        if self.calibration is not None:
            self.calibration.check(self.method, self.calibration.tracker, stride)

    @property
    def prior(self) -> MoviePrior | None:
        """What other movies say, if temperature and event scores are from there and the tracker is as it was then."""
        return movie_prior(self.tracker) if self._takes_prior else None

    def layer_for(self, graph: CandidateGraph) -> UncertaintyLayer:
        """The layer that a movie's probabilities are of; to weigh it anew after corrections, for example.

        Temperature and event scores from other movies depend on `graph`, its candidate links before any correction.
        """
        prior = self.prior
        return self.layer if prior is None else prior.layer(self.layer, graph)

    def _probabilities(
        self,
        prior: MoviePrior | None,
        cells: tuple[Detections, Movie | None],
        progress: bool,
        stages: Stages | None,
        crew: Crew | None,
    ) -> tuple[UncertaintyLayer, LinkProbabilities]:
        """With the layer that they are of: the tracker's, or with a prior one for this movie."""
        if prior is None and stages is None and crew is None:
            return self.layer, self.layer.probabilities(self.tracker, *cells, progress=progress)
        noisy = self.layer.perturbation is not None  # its copies are scored here
        tracker = self.tracker if crew is None or noisy else SharedOut(self.tracker, crew)
        score: Any = partial(self.layer.scores, tracker, *cells, progress=progress)
        scores = score() if noisy or stages is None else stages.candidates(score)
        layer = self.layer if prior is None else prior.layer(self.layer, graph_of(scores))
        return layer, layer(scores)
