"""The reader takes what `track` wrote and declines all else; the manifest names what exists."""

import ast
import subprocess
import sys
import tomllib
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from torchtrack_uq import InputError, UncertainTracker
from torchtrack_uq.napari_plugin import OpenedResults, get_reader
from torchtrack_uq.napari_plugin.opened import METADATA

ROOT = Path(__file__).parents[2]
PLUGIN = files("torchtrack_uq.napari_plugin")


def test_a_folder_of_results_becomes_layers_that_know_it(folder: Path) -> None:
    for path in (str(folder), folder, [str(folder)], folder / "state.npz"):
        read = get_reader(path)
        assert read is not None
        layers = read(path)
        assert [kind for _, _, kind in layers] == ["image", "labels", "tracks", "points"]
        (opened,) = {options["metadata"][METADATA] for _, options, _ in layers}
        assert opened.folder == folder


def test_points_come_as_a_layer_of_all_of_them_in_their_order(tmp_path: Path) -> None:
    rows = [{"frame": 10 + t, "y": 9.0 * k, "x": 5.0 + t} for t in range(4) for k in range(3)]
    result = UncertainTracker("distance").track_points(pd.DataFrame(rows), progress=False)
    opened = OpenedResults.of(result.save(tmp_path / "out", progress=False))
    data, options, kind = opened.layers()[0]
    assert (kind, options["name"]) == ("points", "cells")
    cells = opened.result.detections
    np.testing.assert_allclose(data, np.column_stack([cells.frame, cells.coords]))
    assert options["features"]["track"].tolist() == opened.result.cells["track"].tolist()


def test_anything_else_is_declined(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert get_reader(str(other)) is None
    assert get_reader(str(tmp_path / "nowhere")) is None
    assert get_reader([str(folder), str(folder)]) is None
    assert get_reader([]) is None
    (other / "state.npz").write_bytes(b"nothing")
    assert get_reader(str(other)) is None
    np.savez(other / "state.npz", facts=np.zeros(3))
    assert get_reader(other) is None


def test_declining_imports_nothing_that_is_slow(tmp_path: Path) -> None:
    code = (
        "import sys; from torchtrack_uq.napari_plugin.reader import get_reader; "
        f"assert get_reader({str(tmp_path)!r}) is None; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"torch", "numpy", "pandas", "napari", "qtpy"}


def test_damage_is_said_when_it_is_read(folder: Path) -> None:
    with zipfile.ZipFile(folder / "state.npz") as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if not name.startswith("selected")}
    with zipfile.ZipFile(folder / "state.npz", "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
    read = get_reader(folder)
    assert read is not None
    with pytest.raises(InputError, match="no result of this version"):
        read(folder)


def test_the_manifest_is_installed_and_names_what_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["napari.manifest"] == {
        "torchtrack-uq": "torchtrack_uq.napari_plugin:napari.yaml"
    }
    manifest = yaml.safe_load((PLUGIN / "napari.yaml").read_text())
    assert manifest["name"] == project["name"]
    commands = {one["id"]: one["python_name"] for one in manifest["contributions"]["commands"]}
    for name in commands.values():
        module, _, attribute = name.partition(":")
        body = ast.parse((PLUGIN / f"{module.rpartition('.')[2]}.py").read_text()).body
        assert attribute in {getattr(item, "name", None) for item in body}
    used = [one["command"] for kind in ("readers", "widgets") for one in manifest["contributions"][kind]]
    assert set(used) == set(commands)
