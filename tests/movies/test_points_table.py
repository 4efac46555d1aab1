"""Tables of points, as tools write them and as people break them."""

import gzip
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import trackpy
from hypothesis import given, settings
from hypothesis import strategies as st
from laptrack import LapTrack

from torchtrack_uq import InputError
from torchtrack_uq.movies import read_points, read_points_table

SPOTS = pd.DataFrame(
    {"frame": [0, 0, 1, 1], "y": [1.0, 20.0, 2.0, 21.0], "x": [5.0, 6.0, 7.0, 8.0], "id": [3, 4, 3, 4]}
)


@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning", "ignore:The inplace keyword")
def test_trackpys_table_is_read_without_its_tracks(tmp_path: Path) -> None:
    images = np.zeros((3, 64, 64), np.float64)
    for t, image in enumerate(images):
        image[18:23, 20 + t : 25 + t] = image[40:45, 30:35] = 200
    found = trackpy.link(trackpy.batch(images, diameter=7, processes=1), search_range=5)
    found.to_csv(tmp_path / "spots.csv")
    table = read_points_table(tmp_path / "spots.csv")
    assert dict(table.columns) == {"frame": "frame", "y": "y", "x": "x"}
    cells = table.detections
    assert "mass" in cells.features
    assert "particle" not in cells.features
    assert cells.frame.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(cells.coords, found[["y", "x"]].to_numpy(np.float32)[cells.row])


@pytest.mark.parametrize("indexed", [False, True])  # by frame, as older versions of laptrack have it
def test_laptracks_table_is_read(indexed: bool) -> None:
    points = SPOTS.drop(columns="id")
    tracked, _, _ = LapTrack().predict_dataframe(points, coordinate_cols=["y", "x"], frame_col="frame")
    cells = read_points(tracked.set_index("frame") if indexed else tracked)
    np.testing.assert_array_equal(cells.coords, points[["y", "x"]].to_numpy(np.float32))
    assert not {"track_id", "tree_id"} & set(cells.features)


@pytest.mark.parametrize("ndim", [2, 3])
def test_naparis_points_layer_has_numbered_axes(tmp_path: Path, ndim: int) -> None:
    # napari's builtin writer: https://napari.org/stable/guides/layers.html, header index,axis-0,axis-1,...
    rows = np.array([[0, 1, 2, 3.5], [1, 1, 2.5, 4]])[:, : ndim + 1]
    header = ",".join(["index", *(f"axis-{k}" for k in range(ndim + 1))])
    text = "\n".join([header, *(",".join(map(str, [i, *row])) for i, row in enumerate(rows.tolist()))])
    (tmp_path / "points.csv").write_text(text)
    table = read_points_table(tmp_path / "points.csv", voxel_size=(1.0,) * ndim)
    assert list(table.columns) == ["frame", *"zyx"[3 - ndim :], "id"]
    np.testing.assert_array_equal(table.detections.coords, rows[:, 1:].astype(np.float32))
    assert table.detections.name.tolist() == [0, 1]  # the index counts from 0


def trackmate(unit: str, z: tuple[float, float] = (0.0, 0.0)) -> str:
    """A spots table as TrackMate 7 exports it: three more header lines, and blanks where nothing is known."""
    return (
        "LABEL,ID,TRACK_ID,QUALITY,POSITION_X,POSITION_Y,POSITION_Z,POSITION_T,FRAME,RADIUS,MANUAL_SPOT_COLOR\n"
        "Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,Radius,Manual spot color\n"
        "Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,R,Spot color\n"
        f",,,(quality),({unit}),({unit}),({unit}),(sec),,({unit}),\n"
        f"ID11,11,0,7.5,10.25,20.5,{z[0]},300,1,2.5,\n"
        f"ID7,7,,8.5,10.0,20.0,{z[1]},0,0,2.5,\n"
    )


def test_trackmates_spots_table_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "spots.csv").write_text(trackmate("micron"))
    table = read_points_table(tmp_path / "spots.csv")
    assert dict(table.columns) == {"frame": "FRAME", "y": "POSITION_Y", "x": "POSITION_X", "id": "ID"}
    cells = table.detections
    assert cells.coords.tolist() == [[20, 10], [20.5, 10.25]]
    assert cells.label.tolist() == [7, 11]
    assert cells.row.tolist() == [1, 0]
    assert cells.voxel_size == (1, 1)
    assert set(cells.features) == {"QUALITY", "POSITION_T", "RADIUS"}
    assert "2D movie" in table.describe()
    assert "micrometre" in table.describe()
    (tmp_path / "spots.csv").write_text(trackmate("pixel", (0.0, 4.0)))
    cells = read_points(tmp_path / "spots.csv", voxel_size=(2, 0.5, 0.5))
    assert cells.coords.tolist() == [[4, 20, 10], [0, 20.5, 10.25]]
    assert cells.voxel_size == (2, 0.5, 0.5)
    bad = trackmate("pixel").replace("8.5,10.0", "8.5,NaN")
    (tmp_path / "spots.csv").write_text(bad)
    with pytest.raises(InputError, match=r"POSITION_X in line 6 of spots\.csv is 'NaN'"):
        read_points(tmp_path / "spots.csv")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".txt", ".parquet"])
def test_all_file_types_give_the_same_points(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"spots{suffix}"
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
        SPOTS.to_parquet(file)
    elif suffix == ".csv.gz":
        with gzip.open(file, "wt") as out:
            SPOTS.to_csv(out, index=False)
    elif suffix == ".txt":  # as a German spreadsheet saves it
        file.write_text(SPOTS.to_csv(sep=";", decimal=",", index=False), encoding="utf-16")
    else:
        SPOTS.to_csv(file, sep="\t" if suffix == ".tsv" else ",", index=False)
    cells, expected = read_points(file), read_points(SPOTS)
    np.testing.assert_array_equal(cells.coords, expected.coords)
    np.testing.assert_array_equal(cells.label, [3, 4, 3, 4])


def test_parquet_without_pyarrow_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise ImportError

    monkeypatch.setattr(pd, "read_parquet", missing)
    with pytest.raises(InputError, match="pip install pyarrow"):
        read_points(tmp_path / "spots.parquet")


def test_frames_keep_their_numbers() -> None:
    cells = read_points(SPOTS.assign(frame=[480, 480, 490, 500]), stride=1)
    assert cells.frame.tolist() == [0, 0, 1, 2]
    assert cells.frame_number.tolist() == [480, 480, 490, 500]
    assert cells.find([490], [3]).tolist() == [2]
    strided = read_points(SPOTS.assign(frame=[480, 481, 482, 483]), stride=2, interval=30)
    assert strided.frame_number.tolist() == [480, 482]
    assert (strided.stride, strided.interval, strided.row.tolist()) == (2, 60, [0, 2])


def test_ids_that_are_no_labels_stay_as_names() -> None:
    cells = read_points(SPOTS.assign(id=["b", "a", "007", "NA"]))
    assert cells.name.tolist() == ["a", "b", "007", "NA"]
    assert cells.label.tolist() == [1, 2, 1, 2]
    assert cells.coords[0].tolist() == [20, 6]
    assert cells.find(1, ["NA"]).tolist() == [3]
    assert read_points(SPOTS.assign(id=[0, 1, 2, 3])).name.tolist() == [0, 1, 2, 3]
    assert read_points(SPOTS.assign(id=[1.0, 2.0, 3.0, 4.0])).label.tolist() == [1, 2, 3, 4]
    assert read_points(SPOTS, {"id": None}).label.tolist() == [1, 2, 1, 2]


def test_columns_of_any_name_can_be_given() -> None:
    table = SPOTS.rename(columns={"y": "down", "x": "right"})
    cells = read_points(table, {"y": "down", "x": "right"})
    np.testing.assert_array_equal(cells.coords, read_points(SPOTS).coords)


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        (SPOTS.drop(columns="x"), {}, r"no column for x; it has frame, y, id: .*--columns x=NAME"),
        (SPOTS.assign(y=[1, None, 3, 4]), {}, "y in row 1 of the table is empty; expected a finite"),
        (SPOTS.assign(x=[1, 2, np.inf, 4]), {}, "x in row 2 of the table is .*inf"),
        (SPOTS.assign(x=["1", "2", "far", "4"]), {}, "x in row 2 of the table is 'far'"),
        (SPOTS.assign(frame=[0, 0.5, 1, 1]), {}, "frame in row 1 of the table is 0.5; expected whole numbers"),
        (SPOTS.assign(frame=[0, 0, -1, 1]), {}, "frame in row 2 of the table is -1"),
        (SPOTS.assign(frame=[0, 0, 1, 10**17]), {}, "expected whole numbers"),
        (SPOTS.assign(frame=[0, 0, 1, 10**9]), {}, "goes from 0 to 1000000000 but only 3 of these"),
        (SPOTS.assign(frame=0).drop(columns="id"), {}, "points in 1 frame.* tracking needs at least two"),
        (SPOTS, {"stride": 2}, "points in 2 frame.*stride 2 keeps one"),
        (SPOTS, {"stride": 0}, "stride must be at least 1"),
        (SPOTS.assign(id=[3, 3, 4, 5]), {}, "id 3 stands twice in frame 0 .row 0 of the table and row 1"),
        (SPOTS.assign(id=["a", "", "b", "c"]), {}, "id in row 1 of the table is empty"),
        (SPOTS.iloc[:0], {}, "has a header .* and no row"),
        (SPOTS.assign(x=SPOTS["x"] + 1e9), {}, "subtract an offset"),
        (SPOTS, {"field_shape": (10, 10)}, "row 1 of the table lies at 20, 6, outside the field of 10 x 10"),
        (SPOTS, {"field_shape": (10, 30, 30)}, "expected 2 positive numbers"),
        (SPOTS, {"voxel_size": (1, 1, 1)}, "has 3 numbers but frames have 2 dimensions"),
        (SPOTS, {"columns": {"y": "down"}}, "no column 'down'; it has frame, y, x, id"),
        (SPOTS, {"columns": {"Y": "y"}}, "'Y' is nothing that a column can be"),
        (SPOTS, {"columns": {"y": "x"}}, "column x of the table is taken for two things"),
        (SPOTS.rename(columns={"y": "Frame", "frame": "FRAME"}), {}, "columns FRAME and Frame; say which"),
        (SPOTS.set_axis(["frame", "x", "x", "y"], axis=1), {}, "several columns x"),
        (pd.DataFrame({"axis-0": [1.0], "axis-1": [2.0]}), {}, r"2 axes .*expected frame, \(z\), y, x"),
    ],
)  # fmt: skip
def test_what_is_no_table_of_points_is_refused(
    table: pd.DataFrame, options: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        read_points(table, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"frame,y,x\n", "has a header"),
        (b"frame,y,x\n0,1,2,3,4\n", "cannot be read as a table"),
        (b"frame,y,x\n0,1,2\n\n1,1\n", r"x in line 4 of spots\.csv is empty"),
        (b"0,1.5,2\n1,1.6,2\n", "no column for frame and y and x; it has 0, 1.5, 2"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "is no text"),
        (b"\x1f\x8b\x08broken", "cannot be read"),
    ],
)
def test_files_that_hold_no_points_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "spots.csv").write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_points(tmp_path / "spots.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_points(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_points(tmp_path / "other.csv")


def test_points_at_one_place_are_said_and_kept() -> None:
    with pytest.warns(UserWarning, match=r"1 point.* lie exactly .* row 1 of the table \(row 0"):
        cells = read_points(SPOTS.assign(y=[1.0, 1.0, 2, 3], x=[5.0, 5.0, 6, 7]))
    assert len(cells) == 4


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=20
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_rows_means_nothing_where_there_are_ids(
    rows: list[tuple[int, float, float]], random: object
) -> None:
    table = pd.DataFrame(rows, columns=["frame", "y", "x"]).assign(id=np.arange(len(rows)) + 1)
    shuffled = list(range(len(rows)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            one = read_points(table)
        except InputError:  # one frame only, or offsets
            with pytest.raises(InputError):
                read_points(table.iloc[shuffled])
            return
        other = read_points(table.iloc[shuffled])
    np.testing.assert_array_equal(one.label, other.label)
    np.testing.assert_array_equal(one.coords, other.coords)
    np.testing.assert_array_equal(one.coords, table[["y", "x"]].to_numpy(np.float64)[one.row])
