"""How a result was made stands in its files."""

import json
from datetime import datetime
from pathlib import Path

import geff
import numpy as np
import pytest
import tifffile

from torchtrack_uq import (
    Calibration,
    Detections,
    DistanceTracker,
    EventOffsets,
    InputError,
    OverlapTracker,
    TrackingResult,
    UncertainTracker,
    UncertaintyLayer,
)
from torchtrack_uq.cli import main
from torchtrack_uq.results import cells_digest, settings_of


@pytest.fixture
def folders(blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> tuple[Path, Path]:
    for name, frames in zip(("images", "masks"), blobs, strict=True):
        (tmp_path / name).mkdir()
        for t, frame in enumerate(frames):
            tifffile.imwrite(tmp_path / name / f"t{t:03d}.tif", frame)
    return tmp_path / "images", tmp_path / "masks"


def test_a_run_of_the_command_says_all_that_is_needed_to_repeat_it(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    arguments = ["track", "-i", str(folders[0]), "-m", str(folders[1]), "-o", str(tmp_path / "out")]
    options = ["--tracker", "overlap", "--method", "AS", "--max-gap", "2", "--stride", "2", "--quiet"]
    assert main([*arguments, *options, "--voxel-size", "0.5,0.25", "--interval", "30"]) == 0
    found = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert found["command"][:5] == ["torchtrack-uq", "track", "-i", str(folders[0]), "-m"]
    assert (found["package"]["name"], found["method"]["name"]) == ("torchtrack-uq", "AS")
    assert found["tracker"]["identity"] == "overlap"
    assert found["max_gap"] == 2
    assert found["prior"]["name"] == "overlap"
    assert {*found["events"]} == {"appear", "disappear", "divide", "miss"}
    given = found["input"]
    assert given["masks"] == {"path": str(folders[1].resolve()), "shape": [3, 40, 60], "dtype": "uint16"}
    assert (given["stride"], given["voxel_size_um"], given["interval_s"]) == (2, [0.5, 0.25], 60.0)
    assert len(given["cells_sha256"]) == 64
    assert found["versions"]["numpy"] == np.__version__
    assert datetime.fromisoformat(found["date"]).tzinfo is not None


def test_geff_files_carry_the_same_settings_and_say_which_properties_are_probabilities(
    blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    result = UncertainTracker(OverlapTracker()).track(*blobs, progress=False)
    result.save(tmp_path / "out", progress=False)
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    for name in ("tracks", "candidates"):
        graph, metadata = geff.read(tmp_path / "out" / f"{name}.geff")
        assert metadata.extra["provenance"] == settings
        about = metadata.extra["probabilities"]
        assert about["calibrated"] is False
        link = about["edge_props"]["link"]
        assert all(0 <= data[link] <= 1 for _, _, data in graph.edges(data=True))
        for prop in about["node_props"].values():
            assert all(0 <= data.get(prop, 0) <= 1 for _, data in graph.nodes(data=True))
    tracks = geff.GeffMetadata.read(tmp_path / "out" / "tracks.geff").extra
    assert (tmp_path / "out" / "tracks.geff" / tracks["probabilities"]["alternatives"]).is_dir()
    masks = tracks["masks"]
    assert len(list((tmp_path / "out").glob(masks["path"].removeprefix("../")))) == 5
    assert result.cells[masks["node_prop"]].max() == tifffile.imread(tmp_path / "out" / "mask004.tif").max()


def test_a_calibration_is_named_by_its_fingerprint(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    calibration = Calibration(2.0, "AS", "overlap", movies=["mine"], fingerprint="abc", n_daughters=30)
    result = UncertainTracker(OverlapTracker(), "AS", calibration).track(*blobs, progress=False)
    found = settings_of(result)
    assert found["calibration"]["fingerprint"] == "abc"
    assert found["calibration"]["movies"] == ["mine"]
    assert (found["temperature"], found["prior"], found["events"]) == (2.0, None, None)


def test_event_scores_of_a_layer_and_options_of_a_method_are_named(
    blobs: tuple[np.ndarray, np.ndarray],
) -> None:
    layer = UncertaintyLayer("AS", 1.5, k=7, events=EventOffsets(divide=-2.0))
    found = settings_of(UncertainTracker(OverlapTracker(), layer).track(*blobs, progress=False))
    assert found["method"] == {"name": "AS", "options": {"k": 7}}
    assert found["events"]["divide"] == -2.0
    assert found["command"] is None


def test_settings_outlast_loading_and_count_corrections(
    blobs: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    result = UncertainTracker(OverlapTracker()).track(*blobs, progress=False)
    result.save(tmp_path / "out", progress=False)
    again = TrackingResult.load(tmp_path / "out")
    assert {**again.settings} == {**result.settings}
    (tmp_path / "decisions.csv").write_text("frame,label,verdict,mother_frame,mother\n1,9,none,,\n")
    new = tmp_path / "new"
    arguments = [str(tmp_path / "out"), str(tmp_path / "decisions.csv"), "-o", str(new), "--quiet"]
    assert main(["correct", *arguments]) == 0
    found = json.loads((new / "settings.json").read_text())
    assert found["corrections"] == {"daughters": 1, "bad": 0}
    assert found["tracker"] == settings_of(result)["tracker"]


def test_the_digest_tells_cells_apart_and_nothing_else(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    def digest(masks: np.ndarray, images: np.ndarray | None = None) -> str:
        tracker = UncertainTracker(DistanceTracker(), temperature=1.0)
        return cells_digest(tracker.track(images, masks, progress=False).detections)

    images, masks = blobs
    assert digest(masks) == digest(masks.astype(np.int32), images)
    moved = np.roll(masks, 1, axis=2)
    renamed = np.where(masks == 9, 8, masks)
    assert len({digest(masks), digest(moved), digest(renamed), digest(masks[:4])}) == 4


def test_settings_are_plain_json_even_for_points_of_unknown_scale(tmp_path: Path) -> None:
    cells = Detections.from_points(np.array([0, 1]), np.array([[4.0, 4.0], [5.0, 4.0]]))
    result = UncertainTracker(DistanceTracker()).track_detections(cells, progress=False)
    result.save(tmp_path / "out", progress=False)
    found = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert (found["input"]["masks"], found["input"]["voxel_size_um"]) == (None, None)


class TestResultsAreKeptApartFromTheInput:
    """One sentence before any work, whatever --overwrite says; nothing is touched."""

    @pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
    @pytest.mark.parametrize("option", ["-m", "-i"])
    @pytest.mark.parametrize(
        ("place", "said"),
        [
            (".", "is the folder that frames are read from"),
            ("..", "holds"),
            ("results", "lies in"),
            ("../link", "is the folder that frames are read from"),
        ],
    )
    def test_the_command_refuses(
        self,
        place: str,
        said: str,
        option: str,
        overwrite: list[str],
        folders: tuple[Path, Path],
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        images, masks = folders
        read = masks if option == "-m" else images
        (tmp_path / "link").symlink_to(read, target_is_directory=True)
        before = sorted(tmp_path.rglob("*"))
        chosen = ["-i", str(images), "-m", str(masks), "-o", f"{read}/{place}"]
        assert main(["track", *chosen, "--tracker", "overlap", *overwrite]) == 2
        printed = capsys.readouterr()
        assert said in printed.err
        assert printed.err.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before

    def test_so_does_saving_from_python(self, folders: tuple[Path, Path]) -> None:
        result = UncertainTracker(OverlapTracker()).track(*folders, progress=False)
        with pytest.raises(InputError, match="is the folder that frames are read from"):
            result.save(folders[1], overwrite=True, progress=False)

    def test_folders_side_by_side_are_fine(self, folders: tuple[Path, Path], tmp_path: Path) -> None:
        result = UncertainTracker(OverlapTracker()).track(*folders, progress=False)
        result.save(tmp_path / "masks_tracked", progress=False)
        assert (tmp_path / "masks_tracked" / "res_track.txt").exists()
