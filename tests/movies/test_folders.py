"""Which files of a folder are meant, which frames they are, and which are missing."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from torchtrack_uq import InputError, Movie
from torchtrack_uq.movies.frames import open_frames
from torchtrack_uq.movies.in_one_line import describe_movie
from torchtrack_uq.movies.numbering import frame_numbers


def write(folder: Path, *names: str, shape: tuple[int, ...] = (4, 5)) -> Path:
    """Files that hold 1, 2, 3, ..."""
    folder.mkdir(exist_ok=True)
    for k, name in enumerate(names):
        tifffile.imwrite(folder / name, np.full(shape, k + 1, np.uint16), photometric="minisblack")
    return folder


def values(folder: Path, name: str = "array", **options: str) -> list[int]:
    return [int(frame.flat[0]) for frame in open_frames(folder, name, **options)]  # type: ignore[arg-type]


LAYOUTS = {
    "cellpose": ("t{:03d}.tif", "t{:03d}_cp_masks.tif"),
    "cellpose from a run": ("img{:d}.tif", "img{:d}_cp_masks.tif"),
    "stardist": ("t{:02d}.tif", "t{:02d}.stardist.tif"),
    "labels": ("t{:02d}.tif", "t{:02d}_labels.tif"),
    "trackastra": ("t{:02d}_img.tif", "t{:02d}_mask.tif"),
    "ctc annotation": ("t{:03d}.tif", "man_track{:03d}.tif"),
    "ctc result": ("t{:03d}.tif", "mask{:03d}.tif"),
}


@pytest.mark.parametrize(("image", "mask"), LAYOUTS.values(), ids=LAYOUTS)
class TestAFolderWithImagesAndMasks:
    def test_each_is_taken_for_what_its_name_says(self, tmp_path: Path, image: str, mask: str) -> None:
        write(tmp_path, *(image.format(t) for t in range(3)), *(mask.format(t) for t in range(3)))
        movie = Movie.open(tmp_path, tmp_path)
        assert [int(movie.images.read(t).max()) for t in range(3)] == [1, 2, 3]  # type: ignore[union-attr]
        assert [int(movie.masks.read(t).max()) for t in range(3)] == [4, 5, 6]

    def test_without_a_role_both_are_listed(self, tmp_path: Path, image: str, mask: str) -> None:
        write(tmp_path, image.format(0), image.format(1), mask.format(0))
        with pytest.raises(InputError, match=r"\(2\).* and .*|\(1\) and .*\(2\)") as error:
            open_frames(tmp_path)
        assert "expected images or masks, not both" in str(error.value)


class TestWhichFilesAreMeant:
    def test_what_else_cellpose_writes_is_no_frame(self, tmp_path: Path) -> None:
        for t in range(2):
            names = (f"t{t}{what}" for what in (".tif", "_cp_masks.tif", "_flows.tif", "_cp_outlines.png"))
            for name in names:
                write(tmp_path, name)
        assert open_frames(tmp_path, "masks").n_frames == open_frames(tmp_path, "images").n_frames == 2

    def test_results_of_ours_and_hidden_files_are_no_frames(self, tmp_path: Path) -> None:
        write(tmp_path, "mask000.tif", "mask001.tif", "doubts.png", "._mask000.tif")
        assert open_frames(tmp_path, "masks").n_frames == 2

    def test_pictures_of_the_same_frames_beside_them_are_not_read(self, tmp_path: Path) -> None:
        write(tmp_path, "t0.tif", "t1.tif", "t0.png", "t1.png")
        assert values(tmp_path, "images") == [1, 2]

    def test_a_frame_behind_a_broken_link_is_not_left_out(self, tmp_path: Path) -> None:
        write(tmp_path, "t0.tif", "t1.tif")
        (tmp_path / "t2.tif").symlink_to(tmp_path / "gone.tif")
        with pytest.raises(InputError, match=r"t2.tif is a link to a file that is not there"):
            open_frames(tmp_path)

    def test_two_unknown_kinds_are_refused_with_what_was_found(self, tmp_path: Path) -> None:
        write(tmp_path, "t0.tif", "t1.tif", "t0_new.tif", "t1_new.tif")
        with pytest.raises(InputError, match=r"holds t\*\.tif \(2\) and t\*_new\.tif \(2\)"):
            open_frames(tmp_path, "masks")

    def test_images_only_are_not_both(self, tmp_path: Path) -> None:
        write(tmp_path, "t0.tif", "t1.tif")
        with pytest.raises(InputError, match="images and masks are the same files"):
            Movie.open(tmp_path, tmp_path)

    def test_a_folder_of_movies_is_refused(self, tmp_path: Path) -> None:
        for name in ("a1.tif", "a2.tif"):
            tifffile.imwrite(
                tmp_path / name, np.ones((4, 5, 6), np.uint8), imagej=True, metadata={"axes": "TYX"}
            )
        with pytest.raises(InputError, match="is a movie of 4 frames"):
            open_frames(tmp_path)
        (tmp_path / "a2.tif").unlink()
        assert open_frames(tmp_path).n_frames == 4


class TestFrameNumbers:
    @pytest.mark.parametrize(
        ("names", "expected"),
        [
            (["t0.tif", "t1.tif"], (0, 1)),
            (["exp12_t009.tif", "exp12_t010.tif"], (9, 10)),
            (["2021-03-04_1200_t1.tif", "2021-03-04_1215_t2.tif", "2021-03-04_1230_t3.tif"], (1, 2, 3)),
            (["01_1207.tif", "02_1219.tif", "03_1221.tif"], (1, 2, 3)),
            (["only.tif"], ()),
            (["A1_00d00h00m.tif", "A1_00d00h15m.tif", "A1_00d01h00m.tif"], (0, 15, 60)),
            (
                ["00d00h45m.tif", "00d01h30m.tif", "00d02h15m.tif"],
                (45, 90, 135),
            ),  # minutes alone would turn the order
            (["00d18h00m_masks.tif", "01d00h00m_masks.tif"], (18, 24)),
            (["00h00m30s.tif", "00h01m00s.tif"], (30, 60)),
        ],
    )
    def test_are_found_among_other_numbers(self, names: list[str], expected: tuple[int, ...]) -> None:
        assert frame_numbers(names, "folder") == expected

    def test_planes_in_files_of_their_own_are_refused(self, tmp_path: Path) -> None:
        write(tmp_path, "t0_z0.tif", "t0_z1.tif", "t1_z0.tif", "t1_z1.tif")
        with pytest.raises(InputError, match="only several numbers in their names tell apart"):
            open_frames(tmp_path)

    def test_times_in_names_are_counted_and_a_missing_one_is_named(self, tmp_path: Path) -> None:
        write(tmp_path, "00d00h30m.tif", "00d00h45m.tif", "00d01h15m.tif")
        with pytest.raises(InputError, match="by their numbers 60 "):
            open_frames(tmp_path)
        write(tmp_path, "00d01h00m.tif")
        assert open_frames(tmp_path).n_frames == 4

    @pytest.mark.parametrize("names", [("t1.tif", "t01.tif", "t2.tif"), ("t1.tif", "t1.tiff")])
    def test_the_same_number_twice_is_refused(self, tmp_path: Path, names: tuple[str, ...]) -> None:
        write(tmp_path, *names)
        with pytest.raises(InputError, match="same frame twice"):
            open_frames(tmp_path)

    def test_order_is_that_of_the_numbers(self, tmp_path: Path) -> None:
        write(tmp_path, "t10.tif", "t9.tif", "t11.tif")
        assert values(tmp_path) == [2, 1, 3]


class TestMissingFrames:
    @pytest.fixture(autouse=True)
    def _movie(self, tmp_path: Path) -> None:
        self.images = write(tmp_path / "images", *(f"t{t:03d}.tif" for t in range(5)))
        self.masks = write(tmp_path / "masks", *(f"mask{t:03d}.tif" for t in (0, 1, 3, 4)))

    def test_are_refused_and_said(self) -> None:
        with pytest.raises(InputError, match=r"by their numbers 2 is missing.*--missing-frames empty"):
            Movie.open(None, self.masks)

    def test_may_be_empty_frames(self) -> None:
        movie = Movie.open(self.images, self.masks, missing_frames="empty")
        assert [int(movie.read_mask(t).max()) for t in range(5)] == [1, 2, 0, 3, 4]
        assert [int(movie.read_image(t).max()) for t in range(5)] == [1, 2, 3, 4, 5]  # type: ignore[union-attr]
        assert "missing frames 2 empty" in describe_movie(movie)

    def test_may_be_empty_in_both(self) -> None:
        (self.images / "t002.tif").unlink()
        movie = Movie.open(self.images, self.masks, missing_frames="empty")
        assert movie.read_mask(2).max() == 0
        assert [int(movie.read_image(t).max()) for t in range(5)] == [1, 2, 2, 4, 5]  # type: ignore[union-attr]

    def test_may_be_skipped(self) -> None:
        (self.images / "t002.tif").unlink()
        movie = Movie.open(self.images, self.masks, missing_frames="skip")
        assert [int(movie.read_mask(t).max()) for t in range(4)] == [1, 2, 3, 4]
        assert "missing frames 2 left out" in describe_movie(movie)

    def test_cells_without_an_image_are_refused(self, tmp_path: Path) -> None:
        (self.images / "t002.tif").unlink()
        masks = write(tmp_path / "all", *(f"mask{t:03d}.tif" for t in range(5)))
        with pytest.raises(InputError, match="has no image of frame 2"):
            Movie.open(self.images, masks, missing_frames="empty")

    def test_other_frames_missing_in_images_are_refused(self) -> None:
        (self.images / "t004.tif").unlink()
        with pytest.raises(InputError, match=r"goes on with frame 2 where .* has 3"):
            Movie.open(self.images, self.masks, missing_frames="skip")

    def test_a_constant_step_is_no_gap(self, tmp_path: Path) -> None:
        assert values(write(tmp_path / "every_other", "t0.tif", "t2.tif", "t4.tif")) == [1, 2, 3]

    def test_numbers_that_count_no_frames_are_no_empty_frames(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "times", "t1203.tif", "t1317.tif", "t1502.tif")
        with pytest.raises(InputError, match="too many to be empty frames"):
            open_frames(folder, missing_frames="empty")
        assert values(folder, missing_frames="skip") == [1, 2, 3]

    def test_another_word_is_refused(self) -> None:
        with pytest.raises(InputError, match="expected one of refuse, empty, skip"):
            Movie.open(None, self.masks, missing_frames="ignore")


def test_reading_a_frame_reads_its_file_only(tmp_path: Path) -> None:
    source = open_frames(write(tmp_path, "t0.tif", "t1.tif"))
    (tmp_path / "t1.tif").unlink()
    assert source.read(0).max() == 1
    with pytest.raises(InputError, match="cannot be read"):
        source.read(1)
