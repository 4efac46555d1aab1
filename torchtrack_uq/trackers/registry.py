"""The trackers that come with the package, by name. A new one is a file and a line here."""

from typing import TYPE_CHECKING

from torchtrack_uq.utils.registry import Entry, Registry

if TYPE_CHECKING:
    import torch

    from torchtrack_uq.trackers.protocol import Tracker

TRACKERS = Registry(
    "tracker",
    {
        "trackastra": Entry(
            "a transformer's scores (Gallusser and Weigert 2024)",
            "torchtrack_uq.trackers.trackastra.models:load_model",
            options=("model", "device"),
        ),
        "distance": Entry(
            "squared distance, as trackpy",
            "torchtrack_uq.trackers.distance:DistanceTracker",
            options=("search_range",),
        ),
        "overlap": Entry("overlap of masks, as LapTrack", "torchtrack_uq.trackers.overlap:OverlapTracker"),
        "activity": Entry(
            "change between images (Ruzaeva et al. 2022)", "torchtrack_uq.trackers.activity:ActivityTracker"
        ),
    },
)
"""What `--tracker` and `UncertainTracker` know by name."""


def make_tracker(
    name: str,
    device: "str | torch.device | None" = None,
    *,
    model: str | None = None,
    search_range: float | None = None,
) -> "Tracker":
    """Make one of the trackers that are known by name.

    Args:
        name: One of `TRACKERS`.
        device: Where it computes, if it uses one: "auto", "cpu", "cuda".
        model: For "trackastra": a model folder, "small_2d" (the default), or the name of a published model.
        search_range: For "distance": largest displacement in pixels.

    Raises:
        InputError: An unknown name, an option of another tracker, or a model that cannot be loaded.

    >>> make_tracker("distance", search_range=20.0).name
    'distance'
    """
    takes_device = "device" in TRACKERS[name].options
    tracker: Tracker = TRACKERS.make(
        name, device=device if takes_device else None, model=model, search_range=search_range
    )
    return tracker
