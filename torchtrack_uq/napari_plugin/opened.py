"""A folder of results, as layers that say which folder they are of."""

import os
from dataclasses import dataclass
from pathlib import Path

from torchtrack_uq.results.napari_layers import LayerData, to_napari
from torchtrack_uq.results.tracking_result import TrackingResult

METADATA = "torchtrack_uq"
"""Key of a layer's metadata, under which its `OpenedResults` are found."""


@dataclass(frozen=True, eq=False)
class OpenedResults:
    """A result with the folder that it was read from.

    Attributes:
        folder: That `torchtrack-uq track` wrote.
        result: As tracked; decisions are not in it.
    """

    folder: Path
    result: TrackingResult

    @classmethod
    def of(cls, folder: str | os.PathLike[str]) -> "OpenedResults":
        """Read a folder.

        Raises:
            InputError: No result, a damaged one, one of another version, or pixels of another movie.
        """
        return cls(Path(folder), TrackingResult.load(folder))

    def layers(self) -> list[LayerData]:
        """As `to_napari` makes them; the `metadata` of each holds this object under `METADATA`."""
        return [
            (data, {**options, "metadata": {METADATA: self}}, kind)
            for data, options, kind in to_napari(self.result)
        ]


def read_layers(folder: str | os.PathLike[str]) -> list[LayerData]:
    """Images, cells, tracks and doubts of a folder that `torchtrack-uq track` wrote.

    Raises:
        InputError: As `OpenedResults.of`.
    """
    return OpenedResults.of(folder).layers()
