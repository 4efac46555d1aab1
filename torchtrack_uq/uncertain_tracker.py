"""The front door: images and masks in, tracks with probabilities out."""

from dataclasses import replace

import torch

from torchtrack_uq.candidates import CandidateGraph
from torchtrack_uq.checkpoints import load_model
from torchtrack_uq.detections import Detections
from torchtrack_uq.errors import InputError
from torchtrack_uq.frames import FramesLike
from torchtrack_uq.layers import ParentalSoftmax, TemperatureScaler
from torchtrack_uq.movie import Movie
from torchtrack_uq.probabilities import LinkProbabilities
from torchtrack_uq.result import TrackingResult
from torchtrack_uq.trackers import DistanceTracker, OverlapTracker, Tracker
from torchtrack_uq.tracks import map_links

METHODS = ("SM",)
"""Names of the methods that turn scores into probabilities."""

TRACKERS = ("trackastra", "distance", "overlap")
"""Names of the trackers that come with the package."""


class UncertainTracker:
    """Tracks movies with any tracker and says how sure it is of every link.

    Args:
        tracker: "trackastra" (with the bundled model), "distance", "overlap", or any `Tracker`.
        method: "SM", the parental softmax.
        temperature: Divides all scores; above 1 for a tracker that is too sure of itself. None means 1.
        device: Where a tracker given by name computes: "auto", "cpu", "cuda".

    Raises:
        InputError: An unknown name, or a temperature that is not positive.

    >>> import numpy as np
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
        method: str = "SM",
        temperature: float | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        if method not in METHODS:
            raise InputError(f"method {method!r} is unknown; expected one of {', '.join(METHODS)}")
        self.tracker = make_tracker(tracker, device) if isinstance(tracker, str) else tracker
        if not isinstance(self.tracker, Tracker):
            raise InputError(
                f"tracker is a {type(tracker).__name__}; expected a name ({', '.join(TRACKERS)}) or an object with "
                "`name` and `candidates(detections, movie)`"
            )
        self.method = method
        self.scaler = TemperatureScaler(1.0 if temperature is None else temperature)
        self.posterior = ParentalSoftmax()

    @torch.no_grad()
    def track(
        self, imgs: FramesLike | None, masks: FramesLike, *, stride: int = 1, progress: bool = True
    ) -> TrackingResult:
        """Track one movie.

        Args:
            imgs: Images: a folder of TIFFs, a multi-page TIFF, a numpy or dask array (T, (Z,) Y, X); or None.
            masks: Label masks of the same shape, 0 for background.
            stride: Take every `stride`-th frame.
            progress: Whether to show progress bars.

        Raises:
            InputError: Images or masks that cannot be used, found before the tracker starts.
        """
        movie = Movie.open(imgs, masks, stride)
        detections = Detections.from_movie(movie, progress=progress)
        graph = self.tracker.candidates(detections, movie, progress=progress)
        scaled = self.scaler(graph)
        assert isinstance(scaled, CandidateGraph)
        probabilities = replace(self.posterior(scaled), graph=graph)
        return TrackingResult(
            movie=movie,
            detections=detections,
            probabilities=_on_cpu(probabilities),
            selected=map_links(graph),
            tracker=self.tracker.name,
            temperature=float(self.scaler.temperature),
        )


def make_tracker(
    name: str,
    device: str | torch.device | None = None,
    *,
    model: str = "small_2d",
    search_range: float | None = None,
) -> Tracker:
    """Make one of the trackers that come with the package.

    Args:
        name: "trackastra", "distance" or "overlap".
        device: Where the model of "trackastra" computes.
        model: For "trackastra": a model folder, "small_2d", or the name of a published model.
        search_range: For "distance": largest displacement in pixels.

    Raises:
        InputError: An unknown name, or a model that cannot be loaded.
    """
    if name == "distance":
        return DistanceTracker(search_range)
    if name == "overlap":
        return OverlapTracker()
    if name == "trackastra":
        return load_model(model, device)
    raise InputError(f"tracker {name!r} is unknown; expected one of {', '.join(TRACKERS)}")


def _on_cpu(p: LinkProbabilities) -> LinkProbabilities:
    return LinkProbabilities(
        p.graph.to("cpu"), p.log_link.cpu(), p.log_null.cpu(), p.disappear.cpu(), p.divide.cpu(), p.method
    )
