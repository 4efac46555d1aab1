"""What fuzzing found in files of movies: sizes, places and names that a reader believed."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from torchtrack_uq import InputError
from torchtrack_uq.datasets.published.unpack import unpack_zip
from torchtrack_uq.movies.frame_size import check_frame_fits
from torchtrack_uq.movies.tiff_header import read_tiff_header


@pytest.mark.parametrize("rows", [10**400, 10**18])
def test_a_frame_of_more_bytes_than_a_float_can_count_is_refused(rows: int) -> None:
    with pytest.raises(InputError, match=r"more than 1e\+09 GB each"):
        check_frame_fits((rows, 2), np.dtype(np.uint8), "m.zarr")


def test_a_tiff_that_does_not_say_where_its_pixels_are_is_refused_and_not_read_as_zeros(
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.ones((6, 5), np.uint16))
    assert read_tiff_header(file).shape == (6, 5)
    with tifffile.TiffFile(file) as tif:
        place = tif.pages[0].tags["StripOffsets"].offset
    data = bytearray(file.read_bytes())
    data[place : place + 2] = (60000).to_bytes(
        2, "big" if data[:2] == b"MM" else "little"
    )  # a tag of no name
    file.write_bytes(data)
    with pytest.raises(InputError, match="does not say where in it the pixels are"):
        read_tiff_header(file)


@pytest.mark.parametrize("place", [0, -1], ids=["before the content", "in the directory"])
def test_an_archive_whose_names_are_no_text_is_refused(tmp_path: Path, place: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("é.txt", b"1")  # beyond ASCII, so that it is marked as UTF-8
        archive.writestr("b.txt", b"1")
    content = (tmp_path / "a.zip").read_bytes()
    at = content.index("é".encode()) if place == 0 else content.rindex("é".encode())
    (tmp_path / "a.zip").write_bytes(content[:at] + b"\xf9\xf9" + content[at + 2 :])
    with pytest.raises(InputError, match=r"a\.zip cannot be unpacked"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "out", progress=False)
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]
