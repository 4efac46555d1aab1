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
            "a transformer's scores (Gallusser and Weigert 2024); 2D and 3D",
            "torchtrack_uq.trackers.trackastra.models:load_model",
            options=("model", "device", "max_gap"),
        ),
        "distance": Entry(
            "squared distance, as trackpy; 2D and 3D",
            "torchtrack_uq.trackers.distance:DistanceTracker",
            options=("search_range", "without_common_motion", "max_gap"),
        ),
        "overlap": Entry(
            "overlap of masks, as LapTrack; 2D and 3D",
            "torchtrack_uq.trackers.overlap:OverlapTracker",
            options=("max_gap",),
        ),
        "activity": Entry(
            "change between images (Ruzaeva et al. 2022); 2D and 3D",
            "torchtrack_uq.trackers.activity:ActivityTracker",
            options=("max_gap",),
        ),
    },
)
"""What `--tracker` and `UncertainTracker` know by name."""

VOLUME_MODEL = "small_3d"
"""The model that comes with the package for movies of volumes; `DEFAULT_MODEL` of the transformer is for planes."""
DEFAULT_MAX_GAP = 2
"""How many frames the links of a tracker that is known by name may span, where nobody says.

What it costs on perfect masks and gains on others is measured in experiments/results/imperfect_masks.md.
"""


def make_tracker(
    name: str,
    device: "str | torch.device | None" = None,
    *,
    model: str | None = None,
    search_range: float | str | None = None,
    without_common_motion: bool | None = None,
    max_gap: int | None = None,
    ndim: int = 2,
) -> "Tracker":
    """Make one of the trackers that are known by name.

    Args:
        name: One of `TRACKERS`.
        device: Where it computes, if it uses one: "auto", "cpu", "cuda".
        model: For "trackastra": a model folder, "small_2d", "small_3d", or the name of a published model. By default
            the one of these two that was trained on what has so many dimensions.
        search_range: For "distance": largest displacement in pixels of x, or with its unit, "12um".
        without_common_motion: For "distance": take out of the displacements what neighbours have in common.
        max_gap: How many frames a link may span: above 1, a cell that was missed in the frames between does not cut a
            track. By default `DEFAULT_MAX_GAP`, or 1 for trackers that know nothing of gaps.
        ndim: Dimensions in space of the movie, for the default model.

    Raises:
        InputError: An unknown name, an option of another tracker, or a model that cannot be loaded.

    >>> make_tracker("distance", search_range=20.0, max_gap=3).max_gap
    3
    """
    takes = TRACKERS[name].options
    if model is None and ndim == 3 and "model" in takes:
        model = VOLUME_MODEL
    if max_gap is None and "max_gap" in takes:
        max_gap = DEFAULT_MAX_GAP
    if max_gap == 1 and "max_gap" not in takes:  # what every tracker does
        max_gap = None
    tracker: Tracker = TRACKERS.make(
        name,
        device=device if "device" in takes else None,
        model=model,
        search_range=search_range,
        without_common_motion=without_common_motion,
        max_gap=max_gap,
    )
    return tracker
