from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from tests.movies.test_formats import ngff
from torchtrack_uq.cli import main
from torchtrack_uq.results.tracking_result import TrackingResult


def test_a_folder_with_both_is_described_and_the_next_command_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = np.random.default_rng(0).integers(0, 900, (3, 2, 4, 16, 18), np.uint16)
    folder = tmp_path / "movie"
    folder.mkdir()
    for t in range(3):
        stated = {"axes": "CZYX", "Channel": {"Name": ["DAPI", "GFP"]}}
        stated |= {"PhysicalSizeX": 0.16, "PhysicalSizeY": 0.16, "PhysicalSizeZ": 0.5}
        tifffile.imwrite(folder / f"t{t}.tif", stack[t], photometric="minisblack", ome=True, metadata=stated)
        masks = np.zeros((4, 16, 18), np.uint8)
        masks[1:3, 3:7, 3:8], masks[1:3, 10:14, 9:14] = 1, 2
        tifffile.imwrite(folder / f"t{t}_cp_masks.tif", masks, photometric="minisblack")
    arguments = [str(folder), "--channel", "GFP", "--interval", "30"]
    assert main(["info", *arguments]) == 0
    printed = capsys.readouterr().out
    for fact in (
        "folder of 3 OME-TIFF files, t*.tif",
        "3 frames of 4 planes of 16 x 18",
        "voxels 0.5 x 0.16 x 0.16 µm, 30 s a frame",
        "1 DAPI, 2 GFP; taken: 2",
        "2 in the first frame, 2 in the last",
    ):
        assert fact in printed
    command = (
        printed.splitlines()[-1].partition("torchtrack-uq ")[2].replace("OUT", str(tmp_path / "out")).split()
    )
    assert main([*command, "--tracker", "overlap", "--quiet"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(
        "3 frames of 4 planes of 16 x 18, voxels 0.5 x 0.16 x 0.16 µm, 30 s a frame, channel 2 of 2 (GFP)"
    )
    again = TrackingResult.load(tmp_path / "out").movie
    assert again is not None
    assert again.images is not None
    np.testing.assert_array_equal(again.images.read(1), stack[1, 1])
    assert again.voxel_size == (0.5, 0.16, 0.16)


def test_cells_are_linked_over_a_frame_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for t in (0, 1, 3, 4):
        masks = np.zeros((24, 40), np.uint8)
        masks[4:10, 4 + t : 10 + t], masks[14:20, 24 - t : 30 - t] = 1, 2
        tifffile.imwrite(folder / f"mask{t:03d}.tif", masks)
    arguments = ["track", "-m", str(folder), "--tracker", "distance", "--quiet"]
    assert main([*arguments, "-o", str(tmp_path / "refused")]) == 2
    assert "2 is missing" in capsys.readouterr().err
    out = tmp_path / "out"
    assert main([*arguments, "-o", str(out), "--missing-frames", "empty"]) == 0
    printed = capsys.readouterr().out
    assert "missing frames 2 empty" in printed
    assert "6 links (2 over gaps)" in printed


def test_masks_and_images_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = np.zeros((3, 16, 16), np.uint16)
    masks[:, 2:8, 2:8] = 5
    noise = np.random.default_rng(0).integers(0, 900, (3, 16, 16), np.uint16)
    np.save(tmp_path / "a.npy", masks)
    np.save(tmp_path / "b.npy", noise)
    assert main(["info", str(tmp_path / "a.npy")]) == 0
    assert "torchtrack-uq track -m" in capsys.readouterr().out
    assert main(["info", str(tmp_path / "b.npy")]) == 0
    assert "tracking needs label masks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "commands"), [("a.csv", ("track --points", "doubt FILE")), ("a.xml", ("doubt FILE",))]
)
def test_what_is_no_movie_is_sent_to_the_command_that_takes_it(
    name: str, commands: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("frame,y,x\n0,1,1\n")
    assert main(["info", str(tmp_path / name)]) == 2
    said = capsys.readouterr().err
    assert all(command in said for command in commands)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_ome_zarr_with_labels_has_its_masks(
    version: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = np.zeros((3, 16, 16), np.uint16)
    masks[:, 2:8, 2:8] = 5
    noise = np.random.default_rng(0).integers(0, 900, (3, 16, 16), np.uint16)
    image = ngff(tmp_path / "a.zarr", version, noise, "tyx")
    assert main(["info", str(image)]) == 0
    assert "tracking needs label masks" in capsys.readouterr().out
    ngff(image / "labels" / "cells", version, masks, "tyx")
    zarr.open_group(image, mode="a").require_group("labels")
    assert main(["info", str(image)]) == 0
    assert (
        capsys.readouterr()
        .out.splitlines()[-1]
        .startswith(f"track it: torchtrack-uq track -i {image} -m {image}")
    )


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("odd", ["refused", "channels"])
def test_the_next_command_has_all_that_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], odd: str
) -> None:
    cells = np.zeros((3, 30, 30), np.uint16)
    cells[:, 4:9, 4:9], cells[:, 15:21, 15:20] = 1, 2
    file = tmp_path / "masks.tif"
    if odd == "refused":
        tifffile.imwrite(
            file, (cells > 0) * np.uint8(255), photometric="minisblack", metadata={"axes": "TYX"}
        )
        arguments = [str(file)]
    else:
        both = np.stack([np.zeros_like(cells), cells], axis=1)
        tifffile.imwrite(file, both, photometric="minisblack", ome=True, metadata={"axes": "TCYX"})
        arguments = [str(file), "--channel", "2"]
    assert main(["info", *arguments]) == 0
    command = capsys.readouterr().out.splitlines()[-1].partition("torchtrack-uq ")[2].partition(", with")[0]
    assert ("--trust-masks" if odd == "refused" else "--mask-channel 2") in command
    assert main([*command.replace("OUT", str(tmp_path / "out")).split(), "--quiet"]) == 0
