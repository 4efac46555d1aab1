from pathlib import Path

import numpy as np
import pytest
import tifffile

from torchtrack_uq.cli import main


def test_a_folder_with_both_is_described_and_the_next_command_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = np.random.default_rng(0).integers(0, 900, (3, 2, 4, 16, 18), np.uint16)
    for t in range(3):
        stated = {"axes": "CZYX", "Channel": {"Name": ["DAPI", "GFP"]}}
        stated |= {"PhysicalSizeX": 0.16, "PhysicalSizeY": 0.16, "PhysicalSizeZ": 0.5}
        tifffile.imwrite(
            tmp_path / f"t{t}.tif", stack[t], photometric="minisblack", ome=True, metadata=stated
        )
        masks = np.zeros((4, 16, 18), np.uint8)
        masks[1:3, 3:7, 3:8], masks[1:3, 10:14, 9:14] = 1, 2
        tifffile.imwrite(tmp_path / f"t{t}_cp_masks.tif", masks, photometric="minisblack")
    arguments = [str(tmp_path), "--channel", "GFP", "--interval", "30"]
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


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
