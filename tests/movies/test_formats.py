"""Formats beside TIFF, each from a file that its own library wrote, or laid out as its format's document says."""

import io
import os
import pickle
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import dask.array as da
import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from zarr.storage import LocalStore

from torchtrack_uq import InputError, Movie
from torchtrack_uq.movies.frames import open_frames

TCZYX = np.arange(4 * 2 * 3 * 6 * 7, dtype=np.uint16).reshape(4, 2, 3, 6, 7)
TYX = TCZYX[:, 0, 0]


class TestNumpyFiles:
    def test_one_array_is_read_frame_by_frame(self, tmp_path: Path) -> None:
        np.save(tmp_path / "movie.npy", TYX)
        source = open_frames(tmp_path / "movie.npy")
        assert isinstance(source._array, np.memmap)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(np.stack(list(source)), TYX)

    def test_a_folder_of_arrays(self, tmp_path: Path) -> None:
        for t, frame in enumerate(TYX):
            np.save(tmp_path / f"t{t}.npy", frame)
        np.testing.assert_array_equal(np.stack(list(open_frames(tmp_path))), TYX)

    def test_pickled_objects_are_refused_and_not_run(self, tmp_path: Path) -> None:
        np.save(tmp_path / "movie.npy", {"masks": TYX})  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"expected what numpy.save writes of one array"):
            open_frames(tmp_path / "movie.npy")


def seg(masks: np.ndarray) -> dict:
    """The dictionary that cellpose.io.masks_flows_to_seg saves with numpy.save."""
    return {
        "outlines": np.asfortranarray(masks * (masks > 3)),
        "colors": np.zeros((3, 3), np.uint8),
        "masks": masks,
        "chan_choose": [0, 0],
        "ismanual": np.zeros(int(masks.max()), bool),
        "filename": Path("some/where/t0.tif"),
        "flows": [[masks.astype(np.float32)[None]], None],
        "diameter": np.float64(31.2),
        "zdraw": [None],
    }


class Runs:
    """What a hostile pickle does: it names a function to call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.called = function, arguments

    def __reduce__(self) -> tuple:
        return self.called


class TestCellposeSeg:
    @pytest.mark.parametrize("masks", [TYX, TYX.astype(">i4"), np.asfortranarray(TYX), TYX[:, ::2, ::-2]])
    def test_masks_are_read(self, tmp_path: Path, masks: np.ndarray) -> None:
        for t, frame in enumerate(masks):
            np.save(tmp_path / f"t{t}_seg.npy", seg(frame))  # type: ignore[arg-type]
            iio.imwrite(tmp_path / f"t{t}.png", np.ascontiguousarray(frame).astype(np.uint16))
        np.testing.assert_array_equal(np.stack(list(open_frames(tmp_path, "masks"))), masks)
        np.testing.assert_array_equal(np.stack(list(open_frames(tmp_path, "images"))), masks)

    def test_one_file_may_hold_the_movie(self, tmp_path: Path) -> None:
        np.save(tmp_path / "movie_seg.npy", seg(TYX))  # type: ignore[arg-type]
        assert open_frames(tmp_path / "movie_seg.npy").n_frames == 4

    @pytest.mark.parametrize(
        ("function", "arguments"),
        [
            (os.system, ("touch hacked",)),
            (eval, ("open('hacked', 'w')",)),
            (getattr, ("text", "upper")),
            (io.open, ("hacked", "w")),
        ],
    )
    def test_nothing_in_it_is_run(
        self, tmp_path: Path, function: object, arguments: tuple, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        content = seg(TYX[0]) | {"extra": Runs(function, *arguments)}
        np.save(tmp_path / "t0_seg.npy", content)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"it would run .* export the masks as PNG or TIFF"):
            open_frames(tmp_path, "masks")
        assert not (tmp_path / "hacked").exists()

    def test_arrays_of_objects_hold_no_masks(self, tmp_path: Path) -> None:
        np.save(tmp_path / "t0_seg.npy", seg(TYX[0]) | {"masks": np.array([1, "a"], object)})  # type: ignore[arg-type]
        with pytest.raises(InputError, match="its masks are no array of labels"):
            open_frames(tmp_path, "masks")

    @pytest.mark.parametrize("content", [b"", b"\x93NUMPY", pickle.dumps({"masks": 1})])
    def test_damaged_files_are_refused(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "t0_seg.npy").write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as Cellpose"):
            open_frames(tmp_path, "masks")


class TestPngs:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_labels_of_8_and_16_bits(self, tmp_path: Path, dtype: type) -> None:
        stack = (TYX * (200 if dtype == np.uint16 else 1)).astype(dtype)
        for t, frame in enumerate(stack):
            iio.imwrite(tmp_path / f"t{t}.png", frame)
        source = open_frames(tmp_path)
        assert source.dtype == dtype
        np.testing.assert_array_equal(np.stack(list(source)), stack)

    def test_colours_are_channels(self, tmp_path: Path) -> None:
        colours = np.moveaxis(TCZYX[0, 0, :3], 0, -1).astype(np.uint8)
        iio.imwrite(tmp_path / "t0.png", colours)
        np.testing.assert_array_equal(open_frames(tmp_path, channel=2).read(0), colours[..., 1])
        with pytest.raises(InputError, match="3 colour channels"):
            open_frames(tmp_path)

    def test_palettes_and_damaged_files_are_refused(self, tmp_path: Path) -> None:
        image = pytest.importorskip("PIL.Image").fromarray(TYX[0].astype(np.uint8)).convert("P")
        image.save(tmp_path / "t0.png")
        with pytest.raises(InputError, match="palette"):
            open_frames(tmp_path)
        (tmp_path / "t0.png").write_bytes(b"no png")
        with pytest.raises(InputError, match="cannot be read as a PNG"):
            open_frames(tmp_path)
        iio.imwrite(tmp_path / "t0.png", TYX[0])
        (tmp_path / "t0.png").write_bytes((tmp_path / "t0.png").read_bytes()[:60])
        with pytest.raises(InputError, match="cannot be read"):
            open_frames(tmp_path).read(0)


def ngff(folder: Path, version: str, array: np.ndarray, axes: str = "tczyx", **more: object) -> Path:
    """An image laid out as the NGFF documents say: 0.4 on zarr 2, 0.5 on zarr 3."""
    group = zarr.create_group(LocalStore(folder), zarr_format=2 if version == "0.4" else 3)
    chunks = tuple(1 if axis not in "yx" else n for axis, n in zip(axes, array.shape, strict=True))
    for level in range(2):
        stored = group.create_array(str(level), shape=array.shape, chunks=chunks, dtype=array.dtype)
        stored[...] = array + level
    kinds = {"t": ("time", "minute"), "c": ("channel", None)}
    described = []
    for axis in axes:
        kind, unit = kinds.get(axis, ("space", "micrometer"))
        described.append({"name": axis, "type": kind} | ({"unit": unit} if unit else {}))
    size = {"t": 2.0, "c": 1.0, "z": 0.5, "y": 0.08, "x": 0.08}
    scales = [{"type": "scale", "scale": [size[axis] for axis in axes]}]
    whole = [{"type": "scale", "scale": [2.0 if axis in "yx" else 1.0 for axis in axes]}]
    metadata = {
        "multiscales": [
            {
                "axes": described,
                "datasets": [{"path": str(k), "coordinateTransformations": scales} for k in range(2)],
                "coordinateTransformations": whole,
            }
        ],
        "omero": {"channels": [{"label": "DAPI"}, {"label": "GFP"}]},
    } | more
    group.attrs.update({"ome": {"version": version} | metadata} if version == "0.5" else metadata)
    return folder


class TestOmeZarr:
    @pytest.mark.parametrize("version", ["0.4", "0.5"])
    def test_axes_channels_and_scale_are_those_of_its_metadata(self, tmp_path: Path, version: str) -> None:
        source = open_frames(ngff(tmp_path / "a.zarr", version, TCZYX), channel="GFP")
        assert (source.voxel_size, source.interval) == ((0.5, 0.16, 0.16), 120.0)
        for t in range(4):
            np.testing.assert_array_equal(source.read(t), TCZYX[t, 1])

    def test_labels_of_an_image_are_its_masks(self, tmp_path: Path) -> None:
        image = ngff(tmp_path / "a.zarr", "0.4", TCZYX)
        zarr.open_group(image, mode="a").create_group("labels")
        ngff(image / "labels" / "cells", "0.4", TCZYX[:, 1], "tzyx")
        movie = Movie.open(image, image, channel=1)
        np.testing.assert_array_equal(movie.masks.read(2), TCZYX[2, 1])
        np.testing.assert_array_equal(movie.images.read(2), TCZYX[2, 0])  # type: ignore[union-attr]

    def test_a_plain_array_has_time_first(self, tmp_path: Path) -> None:
        zarr.create_array(LocalStore(tmp_path / "a.zarr"), data=TYX, chunks=(1, 6, 7))
        np.testing.assert_array_equal(np.stack(list(open_frames(tmp_path / "a.zarr"))), TYX)

    def test_only_the_chunks_of_one_frame_are_read(self, tmp_path: Path) -> None:
        source = open_frames(ngff(tmp_path / "a.zarr", "0.4", TYX, "tyx"))
        for chunk in (tmp_path / "a.zarr" / "0").rglob("*"):
            if chunk.is_file() and not chunk.name.startswith(".") and not chunk.name.startswith("2"):
                chunk.write_bytes(b"damaged")
        np.testing.assert_array_equal(source.read(2), TYX[2])
        with pytest.raises(InputError, match="cannot be read at frame 1"):
            source.read(1)

    def test_what_is_no_image_is_refused(self, tmp_path: Path) -> None:
        zarr.create_group(LocalStore(tmp_path / "a.zarr")).attrs["plate"] = {}
        with pytest.raises(InputError, match="is a plate or well"):
            open_frames(tmp_path / "a.zarr")
        zarr.create_group(LocalStore(tmp_path / "b.zarr"))
        with pytest.raises(InputError, match="expected OME-Zarr"):
            open_frames(tmp_path / "b.zarr")


class FakeImage:
    """Stands for bioio.BioImage, whose attributes these are; real nd2 files cannot be made without a microscope."""

    def __init__(self, file: Path, reader: object) -> None:
        self.computed: list[int] = []
        self.scenes = ("Image:0",)
        self.channel_names = ["DAPI", "GFP"]
        self.physical_pixel_sizes = SimpleNamespace(Z=0.5, Y=0.16, X=0.16)
        self.time_interval = timedelta(seconds=30)

    def set_scene(self, scene: int) -> None:
        assert scene == 0

    def get_image_dask_data(self, axes: str) -> da.Array:
        assert axes == "TCZYX"
        return da.from_array(TCZYX, chunks=(1, 1, 1, 6, 7))


class TestMicroscopeFiles:
    def test_without_bioio_the_sentence_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "bioio", None)
        (tmp_path / "a.nd2").write_bytes(b"")
        with pytest.raises(InputError, match=r"pip install 'torchtrack-uq\[formats\]'"):
            open_frames(tmp_path / "a.nd2")

    @pytest.mark.parametrize("suffix", ["nd2", "czi"])
    def test_axes_channels_and_scale_are_those_that_bioio_gives(
        self, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, content in (("bioio", {"BioImage": FakeImage}), (f"bioio_{suffix}", {"Reader": object})):
            module = ModuleType(name)
            module.__dict__.update(content)
            monkeypatch.setitem(sys.modules, name, module)
        (tmp_path / f"a.{suffix}").write_bytes(b"")
        source = open_frames(tmp_path / f"a.{suffix}", channel=2)
        assert (source.voxel_size, source.interval) == ((0.5, 0.16, 0.16), 30.0)
        np.testing.assert_array_equal(source.read(3), TCZYX[3, 1])

    def test_a_czi_file_that_zeiss_library_wrote(self, tmp_path: Path) -> None:
        pytest.importorskip("bioio_czi", reason="needs the extra formats")
        from pylibCZIrw import czi

        with czi.create_czi(str(tmp_path / "a.czi")) as file:
            for t in range(4):
                for c in range(2):
                    plane = {"T": t, "C": c, "Z": 0}
                    file.write(np.ascontiguousarray(TCZYX[t, c, 0])[..., None], plane=plane)
            file.write_metadata("a", channel_names={0: "DAPI", 1: "GFP"}, scale_x=1.6e-7, scale_y=1.6e-7)
        source = open_frames(tmp_path / "a.czi", channel="GFP")
        assert source.voxel_size == (0.16, 0.16)
        np.testing.assert_array_equal(np.stack(list(source)), TCZYX[:, 1, 0])


def test_tables_are_points(tmp_path: Path) -> None:
    pd.DataFrame({"frame": [0], "y": [1], "x": [2]}).to_csv(tmp_path / "spots.csv")
    for table in (tmp_path / "spots.csv", pd.read_csv(tmp_path / "spots.csv")):
        with pytest.raises(InputError, match="--points FILE"):
            open_frames(table, "masks")


@pytest.mark.parametrize("shape", [(6, 7), (3, 6, 7)], ids=["2D", "3D"])
def test_frames_that_a_tiff_does_not_tie_together_are_not_read_as_its_first_one(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    file = tmp_path / "movie.tif"
    with tifffile.TiffWriter(file) as writer:
        for t in range(4):
            writer.write(np.full(shape, t, np.uint16), photometric="minisblack")
    with pytest.raises(InputError, match=r"holds 4 images of shape .* does not say that they are one movie"):
        open_frames(file)


def test_dask_arrays_of_unknown_length_are_refused() -> None:
    kept = da.from_array(TYX)[da.from_array(np.array([True, True, False, True]))]
    with pytest.raises(InputError, match="compute_chunk_sizes"):
        open_frames(kept)
