"""How a model sees a movie: in the size that it knows cells in, with features or without."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from torchtrack_uq.errors import InputError
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.trackers.neighbours import spacing

VIEW = ("usual_diameter", "usual_spacing", "takes_points", "without_common_motion")
"""What a model's `train_config.yaml` says of how it sees movies."""


@dataclass(frozen=True)
class UsualSize:
    """How large and how far apart the cells are that a model was trained on; movies are scaled to that.

    Attributes:
        diameter: Median diameter of a movie's cells in pixels of the model.
        spacing: Median distance of a cell to its nearest neighbour in the frame, where cells have no size.

    Raises:
        InputError: One of them is no size in pixels.

    >>> cells = Detections.from_points(np.zeros(3, int), np.array([[0.0, 0], [0, 3], [0, 6]]))
    >>> UsualSize(diameter=24.0, spacing=30.0).scaled(cells).coords.tolist()
    [[0.0, 0.0], [0.0, 30.0], [0.0, 60.0]]
    """

    diameter: float
    spacing: float

    def __post_init__(self) -> None:
        for name in ("diameter", "spacing"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.1 <= value < 1e6:
                raise InputError(
                    f"usual_{name} is {str(value)[:40]!r}; expected a positive number of pixels, from 0.1 to a million"
                )

    def factor(self, detections: Detections) -> float:
        """What a movie's lengths have to be multiplied by: its cells' median diameter is the usual one then.

        Without diameters, distances to nearest neighbours decide; without these, as where there is one cell in each
        frame, it is 1.
        """
        if "equivalent_diameter_area" in detections.features:
            size = np.median(detections.features["equivalent_diameter_area"]) if len(detections) else 0.0
            return float(self.diameter / size) if size > 0 else 1.0
        nearest = spacing(detections)
        return self.spacing / nearest if nearest > 0 else 1.0

    def scaled(self, detections: Detections) -> Detections:
        """The same cells in pixels of the model, the same along all axes."""
        factor = self.factor(detections)
        features = dict(detections.features)
        for name, power in (("equivalent_diameter_area", 1), ("inertia_tensor", 2)):
            if name in features:
                features[name] = (features[name] * factor**power).astype(np.float32)
        return replace(
            detections, coords=detections.isotropic_coords * factor, features=features, voxel_size=None
        )


@dataclass(frozen=True)
class ModelView:
    """How a model sees movies.

    Attributes:
        usual: The size that cells are scaled to, which are in space as they are then. None for models that take movies
            as they are measured, in voxels, such as published ones.
        takes_points: Whether cells without features are taken, which are all 0 then.
        without_common_motion: Whether the motion that neighbours have in common is taken out of each window
            (`common_motion`), so that what is left is each cell's own.

    >>> view = ModelView(UsualSize(24.0, 30.0), takes_points=True)
    >>> ModelView.of_model(view.described()) == view
    True
    """

    usual: UsualSize | None = None
    takes_points: bool = False
    without_common_motion: bool = False

    @classmethod
    def of_model(cls, train_args: Mapping[str, Any]) -> "ModelView":
        """As a model's `train_config.yaml` says.

        Raises:
            InputError: It says something that is no size, or neither true nor false.
        """
        said = {name: train_args.get(f"usual_{name}") for name in ("diameter", "spacing")}
        usual = None if said["diameter"] is None and said["spacing"] is None else UsualSize(**said)  # type: ignore[arg-type]
        return cls(usual, *(_flag(train_args, name) for name in ("takes_points", "without_common_motion")))

    def described(self) -> dict[str, Any]:
        """For a model's `train_config.yaml`."""
        flags = {name: True for name in ("takes_points", "without_common_motion") if getattr(self, name)}
        if self.usual is None:
            return flags
        return {"usual_diameter": self.usual.diameter, "usual_spacing": self.usual.spacing, **flags}


def _flag(train_args: Mapping[str, Any], name: str) -> bool:
    said = train_args.get(name)
    if said is None:
        return False
    if not isinstance(said, bool):
        raise InputError(
            f"the model's train_config.yaml says {name}: {str(said)[:40]!r}; expected true or false"
        )
    return said
