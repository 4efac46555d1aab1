"""What fuzzing found in folders of results, which people open, change and cut in other programs."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from tests.support.exchange import gap_and_division
from torchtrack_uq import InputError, TrackingResult
from torchtrack_uq.results.saved_tracks import SavedTracks
from torchtrack_uq.results.stored_fields import read_archive

Arrays = dict[str, NDArray[Any]]
DIGITS = "9" * 400


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gap_and_division().save(tmp_path_factory.mktemp("results") / "out", progress=False)


def _changed(name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {**arrays, name: change(arrays[name])}


def _with_facts(change: Callable[[dict[str, Any]], object]) -> Callable[[Arrays], Arrays]:
    def changed(arrays: Arrays) -> Arrays:
        facts = json.loads(arrays["facts"].tobytes())
        change(facts)
        return {**arrays, "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)}

    return changed


def _filled(value: float) -> Callable[[NDArray[Any]], NDArray[Any]]:
    return lambda array: np.full_like(array, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_changed("scaled.score", lambda a: a[None]), r"score has shape \(1, 33\); expected \(33,\)"),
        (_changed("scaled.divide", _filled(np.nan)), "divide holds nan"),
        (_changed("selected", lambda a: a[:-1]), r"selected is bool of shape \(32,\)"),
        (_changed("selected", lambda a: a.astype(np.int64)), "selected is int64"),
        (_changed("selected", np.ones_like), "selected mothers; expected one"),
        (_changed("track", lambda a: a.astype(float)), "track is float64"),
        (_changed("false", lambda a: a[:5]), r"false is float64 of shape \(5,\)"),
        (lambda arrays: {**arrays, "decided": np.zeros(5, bool)}, "decided is bool of shape"),
        (lambda arrays: {**arrays, "border_share.appear": np.zeros(12)}, "border_share is of .'appear'.; expected"),
        (_changed("probabilities.log_link", lambda a: a[:1]), r"log_link is float32 of shape \(1,\)"),
        (_changed("probabilities.log_link", _filled(0.5)), "log_link holds 0.5; expected log-probabilities"),
        (_changed("probabilities.log_null", _filled(np.nan)), "log_null holds nan"),
        (_changed("probabilities.disappear", _filled(2)), "disappear holds 2.0; expected probabilities"),
        (_changed("probabilities.covered_mass", lambda a: np.tile(a, 2)), "covered_mass is float64 of shape"),
        (_changed("probabilities.exact", lambda a: a.astype(np.uint8)), "exact is uint8"),
        (_changed("probabilities.cell_error", lambda a: a[:5]), "cell_error is float64 of shape"),
        (_changed("detections.frame", lambda a: a.astype(float)), "detections.frame is float64"),
        (_changed("detections.coords", lambda a: a.astype(complex)), "detections.coords is complex128"),
        (_with_facts(lambda facts: facts["plain"].update(temperature="1")), "temperature is '1'"),
        (_with_facts(lambda facts: facts["plain"].update(temperature=-1)), "expected a positive number"),
        (_with_facts(lambda facts: facts["plain"].update(trackerx="a")), "trackerx is 'a'"),
        (_with_facts(lambda facts: facts["plain"].pop("tracker")), "no tracker is named"),
        (_with_facts(lambda facts: facts.update(plain=[1])), "expected values by name"),
        (_with_facts(lambda facts: facts.update({"probabilities.method": {"value": 3}})), "method is 3"),
        (_with_facts(lambda facts: facts.update({"probabilities.log_z": {"value": [1]}})), None),
    ],
)  # fmt: skip
def test_a_state_whose_arrays_do_not_fit_its_cells_and_links_is_refused(
    results: Path, tmp_path: Path, change: Callable[[Arrays], Arrays], message: str | None
) -> None:
    TrackingResult.load(results)  # as it was written, it is read
    np.savez(tmp_path / "state.npz", **change(read_archive(results / "state.npz")))  # type: ignore[arg-type]
    for mask in results.glob("mask*.tif"):
        (tmp_path / mask.name).write_bytes(mask.read_bytes())
    if message is None:  # an array counts, not what facts say instead of it
        assert TrackingResult.load(tmp_path).probabilities.log_z is not None
        return
    with pytest.raises(InputError, match=rf"state\.npz is no result of this version \(.*{message}"):
        TrackingResult.load(tmp_path)


def test_a_member_of_a_state_that_is_no_array_is_refused(results: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(results / "state.npz") as old, zipfile.ZipFile(tmp_path / "state.npz", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name)[name == "probabilities.exact.npy" :])
    with pytest.raises(InputError, match=r"probabilities\.exact is no array"):
        TrackingResult.load(tmp_path)


@pytest.mark.parametrize(
    ("file", "column", "value", "message"),
    [
        ("cells.csv", "frame", "", "frame of row 3 is empty; expected a whole number"),
        ("cells.csv", "frame", "1.5", "frame of row 3 is '1.5'; expected a whole number"),
        ("links.csv", "frame", DIGITS, "frame of row 3 is '999.*; expected a whole number"),
        ("links.csv", "mother_frame", "0.5", "mother_frame of row 3 is '0.5'; expected a whole number or nothing"),
        ("links.csv", "selected", "maybe", "selected of row 3 is 'maybe'; expected True or False"),
        ("links.csv", "selected", "", "selected of row 3 is empty; expected True or False"),
        ("links.csv", "probability", "nan", "probability of row 3 is .*; expected a probability"),
        ("links.csv", "probability", "1.5", "probability of row 3 is '1.5'; expected a probability"),
        ("links.csv", "score", "a", "score of row 3 is 'a'; expected a number or nothing"),
        ("cells.csv", "y", "inf", "y of row 3 is 'inf'; expected a finite number"),
        ("cells.csv", "p_false", "[]", "p_false of row 3 is '..'; expected a number or nothing"),
    ],
)  # fmt: skip
def test_tables_of_results_with_a_broken_number_are_refused_and_not_rounded(
    results: Path, tmp_path: Path, file: str, column: str, value: str, message: str
) -> None:
    SavedTracks.read(results)
    for name in ("cells.csv", "links.csv"):
        table = pd.read_csv(results / name, dtype=str, keep_default_na=False)
        if name == file:
            table.loc[3, column] = value
        table.to_csv(tmp_path / name, index=False)
    with pytest.raises(InputError, match=message):
        SavedTracks.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("voxel_size_um", [1]), ("voxel_size_um", [1, -1]), ("voxel_size_um", "a"), ("interval_s", 0),
        ("interval_s", True), ("median_diameter_px", []), ("frame_shape", [1.5, 2]), ("n_frames", "5"),
        ("images", "a"), ("masks", {"path": 3}),
    ],
)  # fmt: skip
def test_settings_beside_tables_that_make_no_sense_are_refused(
    results: Path, tmp_path: Path, name: str, value: object
) -> None:
    for file in ("cells.csv", "links.csv"):
        (tmp_path / file).write_bytes((results / file).read_bytes())
    settings = json.loads((results / "settings.json").read_bytes())
    settings["input"][name] = value
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=rf"{name} of the input is .*; expected"):
        SavedTracks.read(tmp_path)
