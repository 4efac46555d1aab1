"""Files of every format, as this version writes them: `python -m tests.formats.make NAME` makes a folder of that name.

What is there is never made again: a version that changes a format adds a folder of its own name, and reads earlier
ones for ever, or refuses them in a sentence that says what to do.
"""

import json
import sys
from pathlib import Path

import pandas as pd

from tests.support.transformer import small_transformer
from torchtrack_uq import Calibration, EventModel, UncertainTracker
from torchtrack_uq.batch.movies import BatchMovie
from torchtrack_uq.batch.record import BatchRecord
from torchtrack_uq.batch.same_work import fingerprint
from torchtrack_uq.guarantees import ReviewStatistic
from torchtrack_uq.review.decision_log import Decision
from torchtrack_uq.review.session import ReviewSession
from torchtrack_uq.trackers.trackastra.folder import save_trackastra_folder, weights_digest

FOLDER = Path(__file__).parent
KEPT = ("links.csv", "cells.csv", "tracks.csv", "review.csv", "settings.json", "state.npz", "res_track.txt")
"""Of a folder of results; pictures are not read again, and graphs are in other people's format."""


def points() -> pd.DataFrame:
    """Two cells that may have changed places, one that is missed in between, and one that divides."""
    rows = [
        (10, 3, 5.0, 5.0), (10, 4, 9.0, 5.0), (10, 8, 40.0, 5.0), (10, 9, 40.0, 40.0),
        (11, 3, 6.0, 5.0), (11, 4, 8.0, 5.0), (11, 9, 40.0, 41.0),
        (12, 3, 5.0, 6.0), (12, 4, 9.0, 6.0), (12, 8, 41.0, 5.0), (12, 5, 38.0, 44.0), (12, 6, 42.0, 38.0),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["frame", "id", "y", "x"])


def make(folder: Path) -> None:
    """Write all of them.

    Args:
        folder: New.
    """
    folder.mkdir()
    result = UncertainTracker("distance", max_gap=2).track_points(points(), progress=False)
    out = result.save(folder / "result", progress=False)
    session = ReviewSession.open(out, who="somebody")
    session.draw()
    session.decide(Decision(11, 3, "mother", 10, 3))
    session.decide(Decision(12, 5, "bad"))
    session.decide(Decision(12, 8, "none"))
    session.undo()
    for path in sorted(out.rglob("*"), reverse=True):
        if path.name not in (*KEPT, "decisions.csv"):
            path.rmdir() if path.is_dir() else path.unlink()
    constants = {"appear": -1.0, "disappear": 0.5, "divide": 0.25, "miss": -2.0}
    fitted = {"temperature": 1.5, "method": "auto", "tracker": "distance", "max_gap": 2, "offsets": constants}
    judged = ReviewStatistic.of([0.99, 0.9, 0.8], [True, True, False], [True, False, True])
    Calibration(**fitted, review=judged).save(folder / "calibration.json")
    Calibration(**fitted, event_model=EventModel().coefficients).save(folder / "calibration_with_model.json")
    movie = BatchMovie("movie", ("--points=points.csv",), ())
    (folder / "batch").mkdir()
    BatchRecord(folder / "batch").begin(movie, fingerprint(movie))
    transformer = small_transformer(d_model=16)
    save_trackastra_folder(transformer, folder / "model", {"delta_cutoff": 2})
    told = {"weights": weights_digest(transformer)}
    (folder / "told.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    make(FOLDER / sys.argv[1])
