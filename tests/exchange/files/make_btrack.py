"""Writes the tracks of `small_movie` with btrack 0.7's own writers: python -m tests.exchange.files.make_btrack.

Tracks are given by hand, since the compiled tracker of that release asks for a newer C++ library than some machines
have; `to_napari`, CSV and HDF5 are btrack's. Cell 1 is not seen in frame 3, where a dummy stands, as btrack puts one.
btrack is not in the extra `test`: it needs cvxopt, which is under the GPL.
"""

from pathlib import Path
from typing import Any

import numpy as np

from tests.exchange.small_movie import LINEAGE, as_spots

FILES = Path(__file__).parent


def tracks() -> list[Any]:
    """Cells 1 to 4 as btrack's tracks 1 to 4."""
    from btrack.btypes import PyTrackObject, Tracklet
    from btrack.constants import Fates

    spots = as_spots()
    made, seen = [], 0
    for label, _, _, parent in LINEAGE:
        its = []
        for row in spots[spots["label"] == label].itertuples():
            dummy = label == 1 and row.frame == 3
            where = {"t": row.frame, "x": row.x, "y": row.y, "z": 0.0}
            its.append(PyTrackObject.from_dict({"ID": -1 if dummy else seen, **where, "dummy": dummy}))
            seen += not dummy
        fate = Fates.DIVIDE if label == 2 else Fates.TERMINATE
        track = Tracklet(label, its, parent=parent or label, fate=fate)
        track.root, track.generation = (2 if parent else label), int(parent > 0)
        made.append(track)
    return made


def write() -> None:
    """All three, into this folder."""
    from btrack.io import HDF5FileHandler
    from btrack.io.exporters import export_CSV
    from btrack.utils import tracks_to_napari

    data, properties, graph = tracks_to_napari(tracks(), ndim=2)
    pairs = np.array([(child, *parents) for child, parents in graph.items()])
    np.savez(FILES / "btrack_napari.npz", data=data, dummy=properties["dummy"], graph=pairs)
    export_CSV(FILES / "btrack.csv", tracks())
    with HDF5FileHandler(FILES / "btrack.h5", "w", obj_type="obj_type_1") as file:
        file.write_tracks(tracks())


if __name__ == "__main__":
    write()
