import errno
import filecmp
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import geff
import numpy as np
import pandas as pd
import pytest
import tifffile
from ctc_metrics.scripts.validate import validate_sequence

from torchtrack_uq import DistanceTracker, InputError, Movie, OverlapTracker, TrackingResult, UncertainTracker
from torchtrack_uq.movies.findings import MovieWarning
from torchtrack_uq.results.csv_file import write_csv
from torchtrack_uq.results.doubts import REASONS

OUTPUTS = {
    "links.csv", "cells.csv", "tracks.csv", "res_track.txt", "tracks.geff", "candidates.geff", "settings.json",
    "doubts.png", "state.npz", "review.csv", "report.html",
}  # fmt: skip


@pytest.fixture
def result(blobs: tuple[np.ndarray, np.ndarray]) -> TrackingResult:
    return UncertainTracker(OverlapTracker(n_apart=0)).track(*blobs, progress=False)


@pytest.fixture(scope="module")
def hela_result(hela: Movie) -> TrackingResult:
    return UncertainTracker(DistanceTracker()).track(hela.images, hela.masks, progress=False)


class TestTables:
    def test_links_have_a_row_for_every_mother_and_for_none(self, result: TrackingResult) -> None:
        links = result.links
        earlier = ["frame", "mother", "daughter", "score", "probability", "selected"]
        assert list(links.columns) == [*earlier, "mother_frame"]
        none = links["mother"] == 0
        assert links.loc[none, "mother_frame"].isna().all()
        assert (links.loc[~none, "mother_frame"] == links.loc[~none, "frame"] - 1).all()
        rows = links[["frame", "mother", "daughter"]].to_numpy().tolist()
        assert rows == [
            [1, 0, 1],
            [1, 1, 1],
            [1, 0, 9],
            [1, 9, 9],
            [2, 0, 1],
            [2, 1, 1],
            [2, 0, 9],
            [2, 9, 9],
            [3, 0, 2],
            [3, 1, 2],
            [3, 0, 3],
            [3, 1, 3],
            [3, 0, 9],
            [3, 9, 9],
            [4, 0, 2],
            [4, 2, 2],
            [4, 0, 3],
            [4, 3, 3],
            [4, 0, 9],
            [4, 9, 9],
        ]

    def test_a_daughters_probabilities_sum_to_one_and_one_row_is_selected(
        self, hela_result: TrackingResult
    ) -> None:
        by_daughter = hela_result.links.groupby(["frame", "daughter"])
        np.testing.assert_allclose(by_daughter["probability"].sum(), 1, atol=1e-6)
        assert (by_daughter["selected"].sum() == 1).all()
        assert len(by_daughter) == (hela_result.detections.frame > 0).sum()

    def test_cells_say_what_can_be_known(self, result: TrackingResult) -> None:
        cells = result.cells
        columns = [
            "frame",
            "label",
            "track",
            "confidence",
            "entropy",
            "p_appear",
            "p_divide",
            "p_disappear",
            "p_missed",
            "p_false",
            "p_merged",
            "p_split",
            "y",
            "x",
            "exact",
            "error_bound",
            "covered_mass",
        ]
        assert list(cells.columns) == columns
        first, last = cells["frame"] == 0, cells["frame"] == 4
        assert (
            cells.loc[first, ["confidence", "entropy", "p_appear", "exact", "error_bound"]]
            .isna()
            .all(axis=None)
        )
        assert cells.loc[last, ["p_divide", "p_disappear"]].isna().all(axis=None)
        assert cells.loc[first | last, "p_false"].isna().all()
        assert cells["p_missed"].isna().all()  # links skip no frames
        assert cells.drop(columns="p_missed")[~first & ~last].notna().all(axis=None)

    def test_the_division_is_found(self, result: TrackingResult) -> None:
        assert result.tracklets.table.to_numpy().tolist() == [
            [1, 0, 2, 0],
            [2, 0, 4, 0],
            [3, 3, 4, 1],
            [4, 3, 4, 1],
        ]
        dividing = result.cells.query("frame == 2 and label == 1")["p_divide"].item()
        assert dividing > 0.5

    def test_the_graph_holds_the_selected_links(self, result: TrackingResult) -> None:
        graph = result.graph
        assert graph.number_of_nodes() == 12
        assert graph.number_of_edges() == result.links.query("selected and mother > 0").shape[0]
        assert set(next(iter(graph.edges(data=True)))[2]) == {"score", "probability", "entropy"}
        assert max(dict(graph.out_degree()).values()) == 2

    def test_review_begins_with_the_most_uncertain(self, hela_result: TrackingResult) -> None:
        review = hela_result.review()
        assert (np.diff(review["doubt"]) <= 0).all()
        ties = review["doubt"].diff() == 0
        assert (review["entropy"].diff()[ties] <= 0).all()
        assert (review["doubt"] >= 1 - review["probability"]).all()
        assert set(review["reason"]) <= {"", *REASONS.values()}
        assert len(review) == (hela_result.detections.frame > 0).sum()
        assert len(hela_result.review(5)) == 5
        cell = review["cell"].to_numpy()
        np.testing.assert_array_equal(hela_result.detections.frame[cell], review["frame"])
        np.testing.assert_array_equal(hela_result.detections.label[cell], review["label"])
        keys = ["frame", "daughter", "mother"]
        chosen = hela_result.links[hela_result.links["selected"]].set_index(keys)["probability"]
        top = review.head(50)
        found = chosen.loc[list(zip(top["frame"], top["label"], top["mother"], strict=True))]
        np.testing.assert_allclose(found, top["probability"], rtol=1e-5)  # float32 against float64

    def test_the_summary_counts_the_doubtful(self, hela_result: TrackingResult) -> None:
        chosen = hela_result.links[hela_result.links["selected"]]
        n = int((chosen["probability"] < 0.9).sum())
        assert f"{n} of {len(chosen)} decisions are doubtful" in hela_result.summary()


class TestFiles:
    def test_a_real_movie_passes_the_ctc_validation(
        self, hela_result: TrackingResult, tmp_path: Path
    ) -> None:
        folder = hela_result.save(tmp_path / "out", progress=False)
        assert validate_sequence(str(folder), threads=1)["Valid"] == 1
        assert {item.name for item in folder.iterdir()} == OUTPUTS | {f"mask{t:03d}.tif" for t in range(20)}

    def test_masks_keep_their_shapes_and_get_track_labels(
        self, result: TrackingResult, tmp_path: Path
    ) -> None:
        result.save(tmp_path / "out", progress=False)
        for t in range(5):
            mask = tifffile.imread(tmp_path / "out" / f"mask{t:03d}.tif")
            assert mask.dtype == np.uint16
            original = result.movie.read_mask(t)
            np.testing.assert_array_equal(mask > 0, original > 0)
            cells = result.cells[result.cells["frame"] == t]
            for label, track in zip(cells["label"], cells["track"], strict=True):
                assert (mask[original == label] == track).all()

    def test_geff_reads_it_back_as_float32(self, result: TrackingResult, tmp_path: Path) -> None:
        result.save(tmp_path / "out", progress=False)
        geff.validate_structure(tmp_path / "out" / "tracks.geff")
        graph, metadata = geff.read(tmp_path / "out" / "tracks.geff")
        assert set(graph.edges) == set(result.graph.edges)
        for i, j, data in graph.edges(data=True):
            expected = result.graph.edges[i, j]
            assert data == pytest.approx({k: float(v) for k, v in expected.items()}, rel=1e-6)
        assert {metadata.edge_props_metadata[k].dtype for k in ("probability", "score", "entropy")} == {
            "float32"
        }
        assert [axis.name for axis in metadata.axes] == ["t", "y", "x"]
        assert "entropy" not in graph.nodes[0]  # unknown in the first frame
        assert graph.nodes[5]["label"] == result.cells["label"][5]

    def test_tables_are_read_back(self, result: TrackingResult, tmp_path: Path) -> None:
        result.save(tmp_path / "out", progress=False)
        links = pd.read_csv(tmp_path / "out" / "links.csv", dtype={"mother_frame": "Int64"})
        pd.testing.assert_frame_equal(links, result.links, check_dtype=False, rtol=1e-5)
        read = pd.read_csv(tmp_path / "out" / "cells.csv", dtype={"exact": "boolean"})
        pd.testing.assert_frame_equal(read, result.cells, check_dtype=False, rtol=1e-5)

    @pytest.mark.parametrize(
        "empty", [[], [1], [0]], ids=["some links", "cells of two frames apart", "no rows"]
    )
    @pytest.mark.parametrize("max_gap", [1, 3])
    def test_columns_are_of_the_same_types_with_and_without_a_link(
        self, empty: list[int], max_gap: int, result: TrackingResult, tmp_path: Path
    ) -> None:
        masks = np.zeros((3, 40, 40), np.uint16)
        masks[:2, 10:16, 10:16] = 5
        masks[2, 30:36, 30:36] = 2
        masks[empty] = 0
        if empty == [0]:
            masks = masks[[1, 0, 0]]  # one cell, in the first frame
        found = UncertainTracker("overlap", max_gap=max_gap).track(None, masks, progress=False)
        assert found.links.dtypes.equals(result.links.dtypes)
        assert found.cells.dtypes.equals(result.cells.dtypes)
        assert found.review().dtypes.equals(result.review().dtypes)
        found.save(tmp_path / "out", progress=False)
        for name, table in (("links", found.links), ("cells", found.cells)):
            file = tmp_path / "out" / f"{name}.csv"
            read = pd.read_csv(file, dtype=table.dtypes.to_dict())
            pd.testing.assert_frame_equal(read, table, rtol=1e-4)
        assert "0 of 0 are proved" not in found.summary()
        assert "no probability" not in found.summary()

    def test_two_runs_write_the_same(self, blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
        for name in ("a", "b"):
            UncertainTracker(OverlapTracker()).track(*blobs, progress=False).save(
                tmp_path / name, progress=False
            )
        names = [item.name for item in (tmp_path / "a").iterdir() if item.is_file()]
        names.remove("settings.json")  # has the date
        same, different, failed = filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", names, shallow=False)
        assert (sorted(same), different, failed) == (sorted(names), [], [])

    def test_3d_movies_and_movies_without_images(self, tmp_path: Path) -> None:
        masks = np.zeros((3, 4, 20, 20), np.int32)
        masks[:, 1:3, 5:10, 5:10] = 2**31 - 1
        result = UncertainTracker(OverlapTracker()).track(None, masks, progress=False)
        result.save(tmp_path / "out", progress=False)
        assert list(result.cells.columns[-6:-3]) == ["z", "y", "x"]
        assert validate_sequence(str(tmp_path / "out"), threads=1)["Valid"] == 1
        graph, metadata = geff.read(tmp_path / "out" / "tracks.geff")
        assert [axis.name for axis in metadata.axes] == ["t", "z", "y", "x"]
        assert graph.nodes[0]["label"] == 2**31 - 1

    def test_frames_without_cells(self, blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
        images, masks = blobs[0], blobs[1].copy()
        masks[[0, 2, 4]] = 0
        result = UncertainTracker(DistanceTracker()).track(images, masks, progress=False)
        result.save(tmp_path / "out", progress=False)
        with pytest.warns(UserWarning, match="Empty frame"):
            assert validate_sequence(str(tmp_path / "out"), threads=1)["Valid"] == 1
        assert not result.selected.any()
        assert (result.cells.query("frame == 3")["p_appear"] == 1).all()

    def test_more_tracks_than_16_bits_warn_and_keep_their_number(self, tmp_path: Path) -> None:
        masks = np.arange(1, 2 * 200 * 200 + 1, dtype=np.uint32).reshape(2, 200, 200)
        tracker = UncertainTracker(DistanceTracker(search_range=0.5, scale=0.1, reach=1))
        with pytest.warns(MovieWarning, match="does not look like label masks"):  # every pixel a cell
            result = tracker.track(None, masks, trust_masks=True, progress=False)
        result.selected[:] = False
        with pytest.warns(UserWarning, match="80000 tracks do not fit the 16 bits"):
            result.save(tmp_path / "out", progress=False)
        assert tifffile.imread(tmp_path / "out" / "mask001.tif").max() == 80_000


class TestNothingIsLost:
    def test_a_folder_that_holds_files_is_refused(self, result: TrackingResult, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(
            InputError, match=r"is not empty; choose another, or replace results with --overwrite"
        ):
            result.save(tmp_path, progress=False)
        assert [item.name for item in tmp_path.iterdir()] == ["notes.txt"]

    def test_a_file_in_place_of_the_folder_is_refused(self, result: TrackingResult, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("mine")
        with pytest.raises(InputError, match="is a file"):
            result.save(tmp_path / "out", progress=False)

    def test_overwrite_replaces_results_and_keeps_what_is_not_ours(
        self, result: TrackingResult, hela_result: TrackingResult, tmp_path: Path
    ) -> None:
        hela_result.save(tmp_path / "out", progress=False)
        (tmp_path / "out" / "notes.txt").write_text("mine")
        result.save(tmp_path / "out", overwrite=True, progress=False)
        names = {item.name for item in (tmp_path / "out").iterdir()}
        assert names == OUTPUTS | {"notes.txt"} | {f"mask{t:03d}.tif" for t in range(5)}
        assert validate_sequence(str(tmp_path / "out"), threads=1)["Valid"] == 1

    @pytest.mark.parametrize("name", ["links.csv", "cells.csv", "tracks.csv", "review.csv"])
    def test_a_disk_that_fills_up_in_either_thread_leaves_nothing(
        self, result: TrackingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        def write(file: Path, table: pd.DataFrame) -> None:
            if file.name == name:
                time.sleep(0.2)  # the other thread goes on meanwhile
                raise OSError(errno.ENOSPC, "No space left on device")
            write_csv(file, table)

        monkeypatch.setattr("torchtrack_uq.results.save.write_csv", write)
        with pytest.raises(OSError, match="No space left"):
            result.save(tmp_path / "out", progress=False)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_run_that_is_interrupted_leaves_no_half_written_file(self, tmp_path: Path, number: int) -> None:
        code = (
            "import signal, sys, time\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # jobs in the background ignore it
            "import torchtrack_uq.results.save as save\n"
            "def wait(*_, **__):\n"
            "    print('writing', flush=True)\n"
            "    time.sleep(60)\n"
            "save.write_geff = wait\n"
            "from torchtrack_uq.cli import main\n"
            "from torchtrack_uq.datasets.example import hela_example\n"
            "images, masks = hela_example()\n"
            "sys.exit(main(['track', '-m', str(masks), '-o', sys.argv[1], '--tracker', 'distance', '--quiet']))\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "out")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert any(tmp_path.iterdir())  # the staging folder
        time.sleep(0.1)
        process.send_signal(number)
        try:
            _, errors = process.communicate(timeout=50)
        finally:
            process.kill()
        assert process.returncode == 128 + number
        what = "interrupted" if number == signal.SIGINT else "ended by SIGTERM"
        assert f"{what}; nothing was written" in errors
        assert list(tmp_path.iterdir()) == []
