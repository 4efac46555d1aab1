"""The files open in the readers of those for whom they are written, with the same tracks and probabilities.

What is not in the `test` extra is skipped here: `pip install -e '.[readers]'`.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from ctc_metrics.scripts.validate import validate_sequence

from tests.support.exchange import gap_and_division, links_of, links_of_table
from torchtrack_uq import TrackingResult
from torchtrack_uq.results import SavedTracks, export_tracks, to_napari, to_traccuracy


@pytest.fixture(scope="module")
def result() -> TrackingResult:
    return gap_and_division()


@pytest.fixture(scope="module")
def out(result: TrackingResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = result.save(tmp_path_factory.mktemp("saved") / "out", progress=False)
    for to, name in (("trackmate", "tracks.xml"), ("napari-csv", "napari.csv")):
        export_tracks(SavedTracks.read(folder), to, folder / name)
    return folder


@pytest.fixture(autouse=True)
def _their_own_warnings() -> Iterator[None]:
    """Other packages may use what is deprecated, and leave files open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def installed(module: str) -> object:
    return pytest.importorskip(
        module, reason=f"{module} is not installed: pip install -e '.[readers]'", exc_type=ImportError
    )


def test_pycellin_reads_the_trackmate_file(result: TrackingResult, out: Path) -> None:
    installed("pycellin")
    from pycellin.io.trackmate import load_TrackMate_XML

    model = load_TrackMate_XML(str(out / "tracks.xml"))
    nodes, edges = {}, []
    for lineage in model.data.cell_data.values():
        nodes |= dict(lineage.nodes(data=True))
        edges += [(i, j, data["PROBABILITY"]) for i, j, data in lineage.edges(data=True)]
    assert len(nodes) == len(result.detections) - 1  # it drops the cell that has no track
    cells = pd.DataFrame(
        {
            "frame": [data["FRAME"] for data in nodes.values()],
            "label": [data["cell_name"] for data in nodes.values()],
        },
        index=list(nodes),
    )
    found = links_of_table(cells, pd.DataFrame(edges, columns=["mother", "daughter", "probability"]))
    assert found == pytest.approx(links_of(result), rel=1e-5)


def test_pycellin_reads_geff(result: TrackingResult, out: Path) -> None:
    installed("pycellin")
    from pycellin.io.geff import load_GEFF

    model = load_GEFF(str(out / "tracks.geff"))
    found = {(i, j) for lineage in model.data.cell_data.values() for i, j in lineage.edges}
    assert found == set(result.graph.edges)


@pytest.mark.parametrize("name", ["tracks", "candidates"])
def test_napari_geff_reads_both_graphs(name: str, result: TrackingResult, out: Path) -> None:
    installed("napari_geff")
    from napari_geff._reader import get_geff_reader

    path = str(out / f"{name}.geff")
    read = get_geff_reader(path)
    assert read is not None
    ((data, options, kind),) = read(path)
    assert (kind, len(data)) == ("tracks", len(result.detections))
    found = options["metadata"]["edge_properties"]
    for i, j, known in result.graph.edges(data=True):
        assert found[i, j]["probability"] == pytest.approx(known["probability"], rel=1e-5)


def test_py_ctcmetrics_finds_the_folder_valid(out: Path) -> None:
    assert validate_sequence(str(out), threads=1)["Valid"] == 1


def test_traccuracy_reads_geff_and_the_challenges_format(result: TrackingResult, out: Path) -> None:
    installed("traccuracy")
    from traccuracy.loaders import load_ctc_data, load_geff_data

    graph = load_geff_data(str(out / "tracks.geff"), load_all_props=True).graph
    assert set(graph.edges) == set(result.graph.edges)
    ctc = load_ctc_data(str(out), str(out / "res_track.txt"), run_checks=True).graph
    assert ctc.number_of_edges() == result.graph.number_of_edges()


def test_traccuracy_finds_a_result_to_be_like_itself(result: TrackingResult) -> None:
    installed("traccuracy")
    from traccuracy import run_metrics
    from traccuracy.matchers import IOUMatcher
    from traccuracy.metrics import BasicMetrics

    graphs = {name: to_traccuracy(result, name) for name in ("gt_data", "pred_data")}
    matcher = IOUMatcher(iou_threshold=0.9, one_to_one=True)
    (found, *_), _ = run_metrics(**graphs, matcher=matcher, metrics=[BasicMetrics()])
    n = result.graph.number_of_edges()
    assert (found["results"]["True Positive Edges"], found["results"]["False Positive Edges"]) == (n, 0)


def test_funtracks_reads_the_table_and_takes_no_column_for_another(result: TrackingResult, out: Path) -> None:
    installed("funtracks")
    from funtracks.import_export import tracks_from_df
    from funtracks.import_export.csv._import import CSVTracksBuilder

    table = pd.read_csv(out / "napari.csv")
    builder = CSVTracksBuilder()
    builder.prepare(table)
    assert {key: column for key, column in builder.node_name_map.items() if key != column} == {
        "pos": ["y", "x"]
    }
    graph = tracks_from_df(table).graph_solution
    assert graph.num_nodes() == len(result.detections)
    assert {(i - 1, j - 1) for i, j in graph.edge_list()} == set(result.graph.edges)


@pytest.mark.parametrize("name", ["tracks", "candidates"])
def test_funtracks_reads_geff(name: str, result: TrackingResult, out: Path) -> None:
    installed("funtracks")
    from funtracks.import_export import import_from_geff

    tracks = import_from_geff(out / f"{name}.geff")
    graph = tracks.graph_solution
    assert graph.num_nodes() == len(result.detections)
    assert "probability" in graph.edge_attr_keys()
    assert graph.num_edges() >= result.graph.number_of_edges()


def test_napari_makes_layers_of_all_of_it(result: TrackingResult) -> None:
    installed("napari.layers")
    from napari.layers import Layer

    layers = [Layer.create(*layer) for layer in to_napari(result)]
    assert [type(layer).__name__ for layer in layers] == ["Labels", "Tracks", "Points"]
    assert layers[1].graph
