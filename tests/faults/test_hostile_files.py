"""Files that a stranger may have written: one sentence each, whichever reader meets them."""

import json
import resource
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from tests.faults.test_signals_and_refusals import run, spots
from tests.support.forked import needs_fork
from torchtrack_uq import TrackingResult
from torchtrack_uq.calibration import Calibration
from torchtrack_uq.datasets.published.unpack import unpack_zip
from torchtrack_uq.errors import InputError
from torchtrack_uq.guarantees import AcceptanceThreshold
from torchtrack_uq.movies import frame_size
from torchtrack_uq.movies.frames import open_frames
from torchtrack_uq.movies.numbering import missing_numbers
from torchtrack_uq.results.saved_tracks import SavedTracks
from torchtrack_uq.trackers.trackastra.folder import save_trackastra_folder
from torchtrack_uq.trackers.trackastra.tracker import TrackastraTracker
from torchtrack_uq.training import TrainingSettings
from torchtrack_uq.training.module import build_model
from torchtrack_uq.utils.json_text import parse_json

DEEP = "[" * 100_000
LONG = "9" * 400
HOSTILE_JSON = {
    "deep": DEEP,
    "deep object": '{"a":' * 100_000,
    "long number": f'{{"format": {LONG}, "temperature": {LONG}}}',
    "longer than Python reads": f'{{"a": {"9" * 5000}}}',
    "list": "[]",
    "number": "7",
    "null": "null",
    "text": '"torchtrack-uq"',
    "cut off": '{"format": "torchtrack',
    "bytes": "\x00\x01",
    "no UTF-8": b'{"format": "\xff\xfe"}',
}


def write(file: Path, content: str | bytes) -> Path:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results of points."""
    place = tmp_path_factory.mktemp("results")
    assert run("track", "--points", spots(place / "spots.csv"), "-o", place / "out", "--quiet") == 0
    return place / "out"


@pytest.mark.parametrize("name", HOSTILE_JSON)
class TestJson:
    def test_calibrations_and_thresholds(self, tmp_path: Path, name: str) -> None:
        file = write(tmp_path / "file.json", HOSTILE_JSON[name])
        for load in (Calibration.load, AcceptanceThreshold.load):
            with pytest.raises(InputError, match=r"file\.json") as raised:
                load(file)
            assert "\n" not in str(raised.value)

    def test_settings_of_results(self, tmp_path: Path, results: Path, name: str) -> None:
        shutil.copytree(results, tmp_path / "out")
        write(tmp_path / "out" / "settings.json", HOSTILE_JSON[name])
        with pytest.raises(InputError, match=r"settings\.json"):
            SavedTracks.read(tmp_path / "out")

    def test_the_state_of_results(self, tmp_path: Path, results: Path, name: str) -> None:
        shutil.copytree(results, tmp_path / "out")
        content = HOSTILE_JSON[name]
        raw = content if isinstance(content, bytes) else content.encode()
        with np.load(results / "state.npz") as state:
            arrays = dict(state) | {"facts": np.frombuffer(raw, np.uint8)}
        np.savez(tmp_path / "out" / "state.npz", **arrays)
        with pytest.raises(InputError, match=r"state\.npz"):
            TrackingResult.load(tmp_path / "out")

    def test_a_graph(self, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "tracks.geff").mkdir()
        write(tmp_path / "tracks.geff" / ".zattrs", HOSTILE_JSON[name])
        assert run("doubt", tmp_path / "tracks.geff", "-o", tmp_path / "out", "--quiet") == 2
        assert capsys.readouterr().err.count("\n") == 1

    def test_the_command(self, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        table, file = spots(tmp_path / "spots.csv"), write(tmp_path / "T.json", HOSTILE_JSON[name])
        assert run("track", "--points", table, "-o", tmp_path / "out", "--temperature", file) == 2
        assert capsys.readouterr().err.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_values_of_a_calibration_that_no_number_holds(tmp_path: Path) -> None:
    for value in (f"-{LONG}", LONG, "1e999", '"x"', "[]", "{}", "true", "null", '"' + "a" * 10_000 + '"'):
        text = f'{{"format": "torchtrack-uq calibration 1", "temperature": {value}, "method": "SM", "tracker": "x"}}'
        with pytest.raises(InputError):
            Calibration.load(write(tmp_path / "T.json", text))


@pytest.mark.parametrize("text", ["18446744073709551615", "-9223372036854775808", '{"a": [0, -1]}'])
def test_whole_numbers_of_64_bits_are_read(text: str) -> None:
    assert parse_json(text) == json.loads(text)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained model."""
    folder = tmp_path_factory.mktemp("models") / "model"
    save_trackastra_folder(build_model(TrainingSettings(d_model=72, n_layers=1)), folder, {})
    return folder


class TestModels:
    @pytest.mark.parametrize("window", [1, 0, -3, 2.5, "4", True, None, 10**400, [4]])
    def test_a_window_that_holds_no_link_is_refused(
        self, tmp_path: Path, model: Path, window: object
    ) -> None:
        shutil.copytree(model, tmp_path / "model")
        config = yaml.safe_load((model / "config.yaml").read_text())
        (tmp_path / "model" / "config.yaml").write_text(yaml.safe_dump(config | {"window": window}))
        with pytest.raises(InputError) as raised:
            TrackastraTracker.from_folder(tmp_path / "model")
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 1000

    @pytest.mark.parametrize("file", ["config.yaml", "train_config.yaml"])
    @pytest.mark.parametrize(
        "text", [DEEP, "{a: " * 5000, LONG, "[]", "!!python/object/apply:os.getcwd []", "\x00"]
    )
    def test_settings_that_nobody_would_write(
        self, tmp_path: Path, model: Path, file: str, text: str
    ) -> None:
        shutil.copytree(model, tmp_path / "model")
        (tmp_path / "model" / file).write_text(text)
        with pytest.raises(InputError, match="the model in"):
            TrackastraTracker.from_folder(tmp_path / "model")


class TestNames:
    @pytest.mark.parametrize(
        "name", ["t²{}.tif", "zelle_ü_{}.tif", "細胞{}.tif", "t{} (copy).tif", "-{}.tif", "t٣{}.tif"]
    )
    def test_names_of_any_script_are_read(
        self,
        tmp_path: Path,
        blobs: tuple[np.ndarray, np.ndarray],
        name: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (tmp_path / "µ mäsks").mkdir()
        for t, mask in enumerate(blobs[1]):
            tifffile.imwrite(tmp_path / "µ mäsks" / name.format(t), mask)
        out = tmp_path / "résultats ²"
        assert run("track", "-m", tmp_path / "µ mäsks", "-o", out, "--tracker", "distance", "--quiet") == 0
        assert (out / "links.csv").is_file()
        assert capsys.readouterr().err == ""

    def test_superscripts_alone_are_no_frame_numbers(self, tmp_path: Path) -> None:
        for name in "²³¹":
            tifffile.imwrite(tmp_path / f"t{name}.tif", np.ones((8, 8), np.uint16))
        assert open_frames(tmp_path, "masks").n_frames == 3

    def test_numbers_that_count_nothing_cost_no_memory(self) -> None:
        assert len(missing_numbers((0, 1, 10**200))) == 100_000

    def test_a_scene_called_by_a_superscript_is_none(self, tmp_path: Path) -> None:
        zarr = pytest.importorskip("zarr")
        group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
        group.create_group("²")
        with pytest.raises(InputError, match="without an image that says so"):
            open_frames(tmp_path / "a.zarr")


def absurd_tiff(file: Path, width: int, height: int) -> Path:
    """A TIFF whose header states any size, with a megabyte of pixels."""
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 16),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, 1 << 20),
    ]
    pixels = bytes(1 << 20)
    header = struct.pack("<2sHI", b"II", 42, 8 + len(pixels))
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    file.write_bytes(header + pixels + directory + struct.pack("<I", 0))
    return file


class TestSizes:
    @pytest.mark.parametrize("shape", [(1 << 20, 1 << 20), (1 << 31, 1 << 3), (1 << 16, 1 << 19)])
    @pytest.mark.parametrize("kind", ["masks", "images"])
    def test_frames_beyond_the_memory_are_refused_by_their_header(
        self,
        tmp_path: Path,
        blobs: tuple[np.ndarray, np.ndarray],
        shape: tuple[int, int],
        kind: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        for t in range(5):
            for name in ("masks", "images"):
                (tmp_path / name).mkdir(exist_ok=True)
                tifffile.imwrite(tmp_path / name / f"t{t}.tif", blobs[1][t])
            absurd_tiff(tmp_path / kind / f"t{t}.tif", *shape)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        given = ("-m", tmp_path / "masks", "-i", tmp_path / "images")
        assert run("track", *given, "-o", tmp_path / "out", "--quiet") == 2
        said = capsys.readouterr().err
        assert "GB of memory are available" in said
        assert said.count("\n") == 1
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # KiB

    def test_a_small_machine_refuses_what_a_large_one_takes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = absurd_tiff(tmp_path / "movie.tif", 1 << 13, 1 << 13)
        monkeypatch.setattr(frame_size, "available_memory", lambda: 1 << 20)
        (tmp_path / "masks").mkdir()
        shutil.copy(file, tmp_path / "masks" / "t0.tif")
        with pytest.raises(InputError, match="8192 x 8192 pixels"):
            open_frames(tmp_path / "masks", "masks")
        monkeypatch.setattr(frame_size, "available_memory", lambda: None)
        assert open_frames(tmp_path / "masks", "masks").frame_shape == (8192, 8192)

    @needs_fork
    def test_a_png_of_absurd_dimensions_is_refused_too(self, tmp_path: Path) -> None:
        chunk = struct.pack(">IIBBBBB", 1 << 30, 1 << 30, 16, 0, 0, 0, 0)
        content = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + chunk
        for t in range(2):
            (tmp_path / f"t{t}.png").write_bytes(content)
        with pytest.raises(InputError, match="GB of memory are available"):
            open_frames(tmp_path, "masks")

    def test_an_archive_that_unpacks_to_what_no_images_do_is_not_unpacked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            zeros = bytes(1 << 20)
            for k in range(4):
                with archive.open(f"bomb/{k}.tif", "w") as stream:
                    for _ in range(300):
                        stream.write(zeros)
        with pytest.raises(InputError, match="times as much, which images do not; nothing was unpacked"):
            unpack_zip(tmp_path / "bomb.zip", tmp_path / "bomb", progress=False)
        assert [item.name for item in tmp_path.iterdir()] == ["bomb.zip"]

    def test_an_archive_of_millions_of_files_is_not_unpacked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("torchtrack_uq.datasets.published.unpack._MOST_FILES", 9)
        with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
            for k in range(10):
                archive.writestr(f"{k}.tif", b"")
        with pytest.raises(InputError, match="holds 10 files, more than 9; nothing was unpacked"):
            unpack_zip(tmp_path / "many.zip", tmp_path / "many", progress=False)
