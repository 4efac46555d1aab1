"""Axes, channels and scale are those that the file states; every file is written by tifffile, as users' are."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from torchtrack_uq import InputError, Movie
from torchtrack_uq.movies.frames import ArrayFrames, open_frames

TZCYX = np.arange(4 * 3 * 2 * 6 * 7, dtype=np.uint16).reshape(4, 3, 2, 6, 7)


def write(file: Path, array: np.ndarray, axes: str | None, **options: object) -> Path:
    metadata = {} if axes is None else {"axes": axes}
    metadata |= options.pop("metadata", {})  # type: ignore[arg-type]
    tifffile.imwrite(file, array, photometric="minisblack", metadata=metadata, **options)
    return file


AS_COLOURS = {"photometric": "rgb", "planarconfig": "separate"}
"""What `imwrite` chooses, with a warning, for (3, Y, X)."""


def stated_axes(file: Path) -> str:
    with tifffile.TiffFile(file) as tif:
        return tif.series[0].axes


def stored_as(axes: str) -> np.ndarray:
    return np.transpose(TZCYX, ["TZCYX".index(axis) for axis in axes])


class TestOmeTiffs:
    @given(st.permutations("TZC"), st.integers(1, 2))
    def test_any_order_of_axes_gives_the_same_frames(
        self, tmp_path_factory: pytest.TempPathFactory, order: list[str], channel: int
    ) -> None:
        axes = "".join(order) + "YX"
        file = tmp_path_factory.mktemp("ome") / "movie.ome.tif"
        write(file, stored_as(axes), axes, ome=True)
        source = open_frames(file, channel=channel)
        assert (source.n_frames, source.frame_shape, source.reading.axes) == (4, (3, 6, 7), axes)
        for t in range(4):
            np.testing.assert_array_equal(source.read(t), TZCYX[t, :, channel - 1])

    def test_planes_are_not_time(self, tmp_path: Path) -> None:
        source = open_frames(write(tmp_path / "a.ome.tif", stored_as("ZTCYX")[:, :, 0], "ZTYX", ome=True))
        assert (source.n_frames, source.frame_shape) == (4, (3, 6, 7))
        np.testing.assert_array_equal(source.read(2), TZCYX[2, :, 0])

    def test_scale_is_in_micrometres_and_seconds_whatever_the_units(self, tmp_path: Path) -> None:
        stated = {
            "PhysicalSizeX": 0.16,
            "PhysicalSizeY": 160,
            "PhysicalSizeYUnit": "nm",
            "PhysicalSizeZ": 0.0005,
            "PhysicalSizeZUnit": "mm",
            "TimeIncrement": 0.5,
            "TimeIncrementUnit": "min",
        }
        source = open_frames(write(tmp_path / "a.ome.tif", TZCYX[:, :, 0], "TZYX", ome=True, metadata=stated))
        assert source.voxel_size == (0.5, 0.16, 0.16)
        assert source.interval == 30.0
        assert source.strided(2).interval == 60.0

    @pytest.mark.parametrize("unit", ["pixel", "reference frame"])
    def test_pixels_are_no_length(self, tmp_path: Path, unit: str) -> None:
        stated = {f"PhysicalSize{axis}": 0.2 for axis in "YX"} | {
            f"PhysicalSize{axis}Unit": unit for axis in "YX"
        }
        file = write(tmp_path / "a.ome.tif", TZCYX[:, 0, 0], "TYX", ome=True, metadata=stated)
        assert open_frames(file).voxel_size is None

    def test_a_depth_that_is_not_stated_is_said_and_not_guessed(self, tmp_path: Path) -> None:
        stated = {"PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}
        source = open_frames(write(tmp_path / "a.ome.tif", TZCYX[:, :, 0], "TZYX", ome=True, metadata=stated))
        assert source.voxel_size is None
        assert "along z is not stated" in source.reading.notes[0]

    def test_channels_have_names(self, tmp_path: Path) -> None:
        named = {"Channel": {"Name": ["DAPI", "GFP"]}}
        file = write(tmp_path / "a.ome.tif", TZCYX, "TZCYX", ome=True, metadata=named)
        np.testing.assert_array_equal(open_frames(file, channel="gfp").read(1), TZCYX[1, :, 1])
        with pytest.raises(InputError, match=r"2 channels \(1 DAPI, 2 GFP\); choose one with --channel"):
            open_frames(file)
        with pytest.raises(InputError, match=r"no channel called 'RFP'; expected one of 1 DAPI, 2 GFP"):
            open_frames(file, channel="RFP")
        with pytest.raises(InputError, match="no channel 3"):
            open_frames(file, channel=3)

    def test_positions_are_chosen(self, tmp_path: Path) -> None:
        with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tif:
            for k in (0, 1):
                tif.write(TZCYX[:, 0, k], photometric="minisblack", metadata={"axes": "TYX"})
        np.testing.assert_array_equal(open_frames(tmp_path / "a.ome.tif", scene=2).read(3), TZCYX[3, 0, 1])
        with pytest.raises(InputError, match=r"2 images .positions.; choose one with --scene"):
            open_frames(tmp_path / "a.ome.tif")
        with pytest.raises(InputError, match="no scene 3"):
            open_frames(tmp_path / "a.ome.tif", scene=3)

    def test_planes_without_time_are_no_movie_unless_somebody_says_so(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a.ome.tif", TZCYX[:, 0, 0], "ZYX", ome=True)
        with pytest.raises(InputError, match=r"4 planes and no time .*--axes TYX"):
            open_frames(file)
        assert open_frames(file, axes="TYX").n_frames == 4


class TestImagejTiffs:
    def test_hyperstacks(self, tmp_path: Path) -> None:
        stated = {"unit": "um", "spacing": 0.5, "finterval": 30, "Labels": ["a"] * 24}
        file = write(
            tmp_path / "a.tif", TZCYX, "TZCYX", imagej=True, metadata=stated, resolution=(1 / 0.16, 1 / 0.16)
        )
        source = open_frames(file, channel=2)
        assert source.voxel_size == (0.5, 0.16, 0.16)
        assert source.interval == 30
        for t in range(4):
            np.testing.assert_array_equal(source.read(t), TZCYX[t, :, 1])

    @pytest.mark.parametrize("unit", [None, "pixel", "inch"])
    def test_a_resolution_without_a_length_is_no_scale(self, tmp_path: Path, unit: str | None) -> None:
        stated = {} if unit is None else {"unit": unit}
        file = write(
            tmp_path / "a.tif", TZCYX[:, 0, 0], "TYX", imagej=True, metadata=stated, resolution=(72, 72)
        )
        assert open_frames(file).voxel_size is None

    def test_what_fiji_writes_of_micrometres_and_minutes(self, tmp_path: Path) -> None:
        """Laid out as ij.io.FileSaver does, which escapes the sign for micro."""
        description = (
            "ImageJ=1.54f\nimages=4\nframes=4\nunit=\\u00B5m\nfinterval=5.0\ntunit=min\nloop=false\n"
        )
        tifffile.imwrite(
            tmp_path / "a.tif",
            TZCYX[:, 0, 0],
            photometric="minisblack",
            metadata=None,
            description=description,
            resolution=(2, 2),
        )
        source = open_frames(tmp_path / "a.tif")
        assert (source.voxel_size, source.interval, source.n_frames) == ((0.5, 0.5), 300.0, 4)

    def test_a_plain_stack_is_time_though_imagej_calls_it_slices(self, tmp_path: Path) -> None:
        tifffile.imwrite(
            tmp_path / "a.tif",
            TZCYX[:, 0, 0],
            photometric="minisblack",
            metadata=None,
            description="ImageJ=1.54f\nimages=4\nslices=4\nloop=false\n",
        )
        source = open_frames(tmp_path / "a.tif")
        assert source.n_frames == 4
        assert "taken for TYX" in source.reading.notes[0]

    def test_masks_that_tifffile_wrote_as_slices_and_channels_are_frames_and_planes(
        self, tmp_path: Path
    ) -> None:
        """What `imwrite(..., imagej=True)` makes of (T, Z, Y, X) where nobody names the axes."""
        tifffile.imwrite(tmp_path / "a.tif", TZCYX[:, :, 0], imagej=True)
        assert stated_axes(tmp_path / "a.tif") == "ZCYX"
        masks = open_frames(tmp_path / "a.tif", "masks")
        assert (masks.n_frames, masks.frame_shape) == (4, (3, 6, 7))
        assert "states axes ZCYX" in masks.reading.notes[0]
        images = tmp_path / "images.tif"
        tifffile.imwrite(images, TZCYX[:, :, 1], imagej=True)
        assert Movie.open(images, masks).frame_shape == (3, 6, 7)
        with pytest.raises(InputError, match=r"and no time .*--axes TCYX"):
            open_frames(images)


class TestWithoutStatedAxes:
    def test_time_is_first_and_it_is_said(self, tmp_path: Path) -> None:
        source = open_frames(write(tmp_path / "a.tif", TZCYX[:, :, 0], None))
        assert (source.n_frames, source.frame_shape) == (4, (3, 6, 7))
        assert source.reading.notes == ("the file states no axes: taken for TZYX (--axes)",)

    def test_three_frames_are_not_three_colours(self, tmp_path: Path) -> None:
        """`imwrite` stores (3, Y, X) as separate planes of red, green and blue where nobody says anything."""
        tifffile.imwrite(tmp_path / "a.tif", TZCYX[:3, 0, 0], **AS_COLOURS)
        assert stated_axes(tmp_path / "a.tif") == "SYX"
        source = open_frames(tmp_path / "a.tif")
        np.testing.assert_array_equal(source.read(2), TZCYX[2, 0, 0])

    def test_three_planes_are_not_three_colours(self, tmp_path: Path) -> None:
        for name in ("images", "masks"):
            (tmp_path / name).mkdir()
            for t, frame in enumerate(TZCYX[:, :, 0]):
                tifffile.imwrite(tmp_path / name / f"t{t}.tif", frame, **AS_COLOURS)
        movie = Movie.open(tmp_path / "images", tmp_path / "masks")
        assert movie.frame_shape == (3, 6, 7)
        np.testing.assert_array_equal(movie.images.read(1), TZCYX[1, :, 0])  # type: ignore[union-attr]
        assert Movie.open(tmp_path / "images", TZCYX[:, 0, 0], channel=2).frame_shape == (6, 7)
        with pytest.raises(InputError, match=r"3 colour channels \(1 red, 2 green, 3 blue\)"):
            open_frames(tmp_path / "images")

    def test_five_dimensions_need_a_word(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="axes='TCYX'"):
            open_frames(TZCYX)
        with pytest.raises(InputError, match="say so with --axes"):
            open_frames(write(tmp_path / "a.tif", TZCYX, None))
        assert open_frames(TZCYX, axes="TZCYX", channel=1).frame_shape == (3, 6, 7)


class TestAxesThatAPersonGives:
    def test_masks_have_no_channels(self) -> None:
        movie = Movie.open(TZCYX[:, 0], TZCYX[:, 0, 0], axes="TCYX", channel=2)
        np.testing.assert_array_equal(movie.images.read(1), TZCYX[1, 0, 1])  # type: ignore[union-attr]
        np.testing.assert_array_equal(movie.masks.read(1), TZCYX[1, 0, 0])

    def test_files_of_one_frame_have_no_time(self, tmp_path: Path) -> None:
        for t in range(4):
            tifffile.imwrite(tmp_path / f"t{t}.tif", TZCYX[t, :, 0].swapaxes(0, 1), photometric="minisblack")
        source = open_frames(tmp_path, axes="TYZX")
        np.testing.assert_array_equal(source.read(1), TZCYX[1, :, 0])

    @pytest.mark.parametrize("axes", ["TZ", "TTYX", "ABYX", ""])
    def test_nonsense_is_refused(self, axes: str) -> None:
        with pytest.raises(InputError, match="expected each of T"):
            open_frames(TZCYX[:, 0, 0], axes=axes)

    def test_another_number_of_axes_is_refused(self) -> None:
        with pytest.raises(InputError, match="axes TZYX are 4 but array has 3"):
            open_frames(TZCYX[:, 0, 0], axes="TZYX")


@pytest.mark.parametrize("axes", ["ZTYX", "TZYX"])
def test_only_the_pages_of_one_frame_are_read(
    tmp_path: Path, axes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = TZCYX[:, :, 0] if axes == "TZYX" else TZCYX[:, :, 0].swapaxes(0, 1)
    source = open_frames(
        write(tmp_path / "a.ome.tif", np.ascontiguousarray(stack), axes, ome=True, rowsperstrip=6)
    )
    assert isinstance(source, ArrayFrames)
    asked: list[tuple] = []
    stored = source._array

    class Watched:
        def __getitem__(self, index: tuple) -> np.ndarray:
            asked.append(index)
            return stored[index]

    source._array = Watched()
    np.testing.assert_array_equal(source.read(3), TZCYX[3, :, 0])
    assert [index[axes.index("T")] for index in asked] == [3]


class TestImagesAndMasksOfOneRecording:
    def stack(self, file: Path, size: float) -> Path:
        stated = {f"PhysicalSize{axis}": size for axis in "YX"}
        return write(file, TZCYX[:, 0, 0], "TYX", ome=True, metadata=stated)

    def test_scale_is_taken_from_whichever_states_it(self, tmp_path: Path) -> None:
        images = self.stack(tmp_path / "a.ome.tif", 0.2)
        assert Movie.open(images, TZCYX[:, 0, 0]).voxel_size == (0.2, 0.2)

    def test_scales_that_contradict_each_other_are_refused(self, tmp_path: Path) -> None:
        images, masks = self.stack(tmp_path / "a.ome.tif", 0.2), self.stack(tmp_path / "b.ome.tif", 0.4)
        with pytest.raises(InputError, match=r"voxels of 0.2 x 0.2 µm but .* of 0.4 x 0.4 µm"):
            Movie.open(images, masks)
        assert Movie.open(images, masks, voxel_size=(0.3, 0.3)).voxel_size == (0.3, 0.3)

    def test_the_same_file_is_not_both(self, tmp_path: Path) -> None:
        file = self.stack(tmp_path / "a.ome.tif", 0.2)
        with pytest.raises(InputError, match="images and masks are the same files"):
            Movie.open(file, file)

    def test_labels_may_be_one_of_the_channels(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a.ome.tif", TZCYX, "TZCYX", ome=True)
        movie = Movie.open(file, file, channel=1, mask_channel=2)
        np.testing.assert_array_equal(movie.masks.read(1), TZCYX[1, :, 1])
