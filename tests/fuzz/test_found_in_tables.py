"""What fuzzing found in tables of other programs and in notes of runs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from torchtrack_uq import InputError
from torchtrack_uq.exchange import read_tracks
from torchtrack_uq.training.run import checkpoint_to_continue

EDGES = {"SPOT_SOURCE_ID": [1], "SPOT_TARGET_ID": [2]}


def spots(**changes: list[object]) -> pd.DataFrame:
    where = {"POSITION_X": [5.0, 6.0], "POSITION_Y": [5.0, 5.0]}
    return pd.DataFrame({"ID": [1, 2], "TRACK_ID": [0, 0], "FRAME": [0, 1], **where, **changes})


@pytest.mark.parametrize("track", [["a", "0"], [np.inf, 0.0], [1e300, 0.0], [0.5, 0.0]])
def test_a_track_of_trackmate_that_is_no_whole_number_is_refused_and_not_rounded(track: list[object]) -> None:
    with pytest.raises(InputError, match="TRACK_ID"):
        read_tracks([spots(TRACK_ID=track), pd.DataFrame(EDGES)])


@pytest.mark.parametrize("nothing", [np.nan, "None", "", None])
@pytest.mark.parametrize("as_files", [False, True])
def test_a_spot_of_trackmate_may_belong_to_no_track(
    tmp_path: Path, nothing: object, *, as_files: bool
) -> None:
    tables = [spots(TRACK_ID=[nothing, 3]), pd.DataFrame(EDGES)]
    files = [tmp_path / "spots.csv", tmp_path / "edges.csv"]
    for table, file in zip(tables, files, strict=True):
        table.to_csv(file, index=False)
    found = read_tracks(files if as_files else tables)
    assert found.track is not None
    assert found.track.tolist() == [-1, 3]


def test_columns_of_trackmate_that_nobody_needs_may_have_any_name(tmp_path: Path) -> None:
    """A spreadsheet writes commas at the ends of rows."""
    for name, table in {"spots": spots(), "edges": pd.DataFrame(EDGES)}.items():
        text = table.to_csv(index=False).replace("\n", ",,\n")
        (tmp_path / f"{name}.csv").write_text(text)
    assert len(read_tracks([tmp_path / "spots.csv", tmp_path / "edges.csv"]).frame) == 2


@pytest.mark.parametrize("name", ["ID", "TRACK_ID", "POSITION_X"])
def test_a_table_of_trackmate_with_a_column_twice_is_refused(name: str) -> None:
    table = spots(NAME=["a", "b"])
    table.insert(1, name, [0, 0], allow_duplicates=True)
    with pytest.raises(InputError, match=f"there are several columns {name}; expected one"):
        read_tracks([table, pd.DataFrame(EDGES)])


def test_a_table_of_positions_without_ids_is_refused(tmp_path: Path) -> None:
    spots().drop(columns="ID").to_csv(tmp_path / "spots.csv", index=False)
    pd.DataFrame(EDGES).to_csv(tmp_path / "edges.csv", index=False)
    with pytest.raises(InputError, match=r"the table of spots .* is missing"):
        read_tracks([tmp_path / "spots.csv", tmp_path / "edges.csv"])


def test_a_run_whose_note_has_a_key_that_is_no_text_is_not_continued(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"")
    (tmp_path / "run.yaml").write_text("~: 1\nseed: 2\n3: 4\n")
    with pytest.raises(InputError, match="a run with other 3, None, seed"):
        checkpoint_to_continue(tmp_path, {"seed": 1})
