"""The geff writer alone, on tables made by hand."""

import sys
from pathlib import Path

import geff
import numpy as np
import pandas as pd
import pytest

from torchtrack_uq.errors import InputError
from torchtrack_uq.results import write_geff


@pytest.fixture
def cells() -> pd.DataFrame:
    """Three cells in two frames, of which the first has no entropy and no decision."""
    return pd.DataFrame(
        {
            "frame": [0, 1, 1],
            "label": [7, 2**31 - 1, 9],
            "track": [1, 2, 3],
            "entropy": [np.nan, 0.25, 0.5],
            "accepted": pd.array([None, True, False], dtype="boolean"),
            "y": [4.0, 5.5, 6.0],
            "x": [1.0, 2.0, 3.0],
        }
    )


@pytest.fixture
def links() -> pd.DataFrame:
    return pd.DataFrame(
        {"mother": [0, 0], "daughter": [1, 2], "probability": [0.9, 0.7], "score": [-1.0, -2.0]}
    )


def test_nodes_and_edges_come_back_with_all_their_columns(
    cells: pd.DataFrame, links: pd.DataFrame, tmp_path: Path
) -> None:
    write_geff(tmp_path / "tracks.geff", cells, links)
    geff.validate_structure(tmp_path / "tracks.geff")
    graph, _ = geff.read(tmp_path / "tracks.geff")
    assert graph.is_directed()
    assert set(graph.nodes) == {0, 1, 2}
    assert set(graph.edges) == {(0, 1), (0, 2)}
    assert graph.nodes[2] == {
        "t": 1, "label": 9, "track": 3, "entropy": 0.5, "accepted": False, "y": 6.0, "x": 3.0,
    }  # fmt: skip
    assert graph.nodes[1]["label"] == 2**31 - 1
    assert graph.edges[0, 2] == pytest.approx({"probability": 0.7, "score": -2.0}, rel=1e-6)


def test_what_is_not_known_is_marked_as_missing(
    cells: pd.DataFrame, links: pd.DataFrame, tmp_path: Path
) -> None:
    write_geff(tmp_path / "tracks.geff", cells, links)
    graph, _ = geff.read(tmp_path / "tracks.geff")
    assert not {"entropy", "accepted"} & graph.nodes[0].keys()
    for node in (1, 2):
        assert {"entropy", "accepted"} <= graph.nodes[node].keys()


def test_types_are_whole_numbers_bools_and_float32(
    cells: pd.DataFrame, links: pd.DataFrame, tmp_path: Path
) -> None:
    write_geff(tmp_path / "tracks.geff", cells, links)
    _, metadata = geff.read(tmp_path / "tracks.geff")
    assert {name: item.dtype for name, item in metadata.node_props_metadata.items()} == {
        "t": "int64", "label": "int64", "track": "int64", "entropy": "float32", "accepted": "bool", "y": "float32",
        "x": "float32",
    }  # fmt: skip
    assert {item.dtype for item in metadata.edge_props_metadata.values()} == {"float32"}
    assert metadata.track_node_props == {"tracklet": "track"}


@pytest.mark.parametrize(
    ("n_frames", "last"),
    [
        (None, 1),
        (5, 4),
    ],
)
def test_the_time_axis_ends_with_the_movie_or_else_with_the_last_cell(
    cells: pd.DataFrame, links: pd.DataFrame, tmp_path: Path, n_frames: int | None, last: int
) -> None:
    write_geff(tmp_path / "tracks.geff", cells.assign(z=[0.0, 1.0, 2.0]), links, n_frames)
    _, metadata = geff.read(tmp_path / "tracks.geff")
    assert [axis.name for axis in metadata.axes] == ["t", "z", "y", "x"]
    assert (metadata.axes[0].min, metadata.axes[0].max) == (0, last)


def test_cells_without_any_link_are_a_graph_too(
    cells: pd.DataFrame, links: pd.DataFrame, tmp_path: Path
) -> None:
    write_geff(tmp_path / "tracks.geff", cells, links.iloc[:0])
    graph, _ = geff.read(tmp_path / "tracks.geff")
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (3, 0)


def test_tables_stay_as_they_are(cells: pd.DataFrame, links: pd.DataFrame, tmp_path: Path) -> None:
    before = cells.copy(), links.copy()
    write_geff(tmp_path / "tracks.geff", cells, links)
    pd.testing.assert_frame_equal(cells, before[0])
    pd.testing.assert_frame_equal(links, before[1])


def test_without_geff_the_message_says_how_to_install_it(
    cells: pd.DataFrame, links: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "geff_spec", None)
    with pytest.raises(InputError, match=r"writing a geff file needs geff_spec.*torchtrack-uq\[files\]"):
        write_geff(tmp_path / "tracks.geff", cells, links)
    assert not (tmp_path / "tracks.geff").exists()


def test_axes_say_what_a_pixel_and_a_frame_are_where_that_is_known(
    cells: pd.DataFrame, links: pd.DataFrame, tmp_path: Path
) -> None:
    deep = cells.assign(z=[0.0, 1.0, 2.0])
    write_geff(tmp_path / "known.geff", deep, links, voxel_size=(2.0, 0.5, 0.25), interval=90.0)
    graph, metadata = geff.read(tmp_path / "known.geff")
    assert [(axis.unit, axis.scale, axis.scaled_unit) for axis in metadata.axes] == [
        ("frame", 90.0, "second"),
        ("pixel", 2.0, "micrometer"),
        ("pixel", 0.5, "micrometer"),
        ("pixel", 0.25, "micrometer"),
    ]
    assert [graph.nodes[2][axis] for axis in "zyx"] == [2.0, 6.0, 3.0]  # values stay pixels
    write_geff(tmp_path / "unknown.geff", deep, links)
    assert {axis.scale for axis in geff.read(tmp_path / "unknown.geff")[1].axes} == {None}
