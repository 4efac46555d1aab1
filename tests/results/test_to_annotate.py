"""The list of daughters to annotate, from a result and from its files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from torchtrack_uq import DistanceTracker, InputError, Movie, TrackingResult, UncertainTracker
from torchtrack_uq.cli import main
from torchtrack_uq.guarantees import SampledReview
from torchtrack_uq.results import sample_of_result

ANSWERS = ["verdict", "mother_frame", "mother"]


@pytest.fixture(scope="module")
def result(hela: Movie) -> TrackingResult:
    return UncertainTracker(DistanceTracker(max_gap=2)).track(hela.images, hela.masks, progress=False)


@pytest.fixture(scope="module")
def folder(result: TrackingResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return result.save(tmp_path_factory.mktemp("sample") / "out", progress=False)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_lists_each_daughter_once_with_what_was_decided_and_room_for_an_answer(
    result: TrackingResult,
) -> None:
    table = result.to_annotate(60, seed=1)
    assert list(table.columns) == [
        "frame", "label", *ANSWERS, "weight", "inclusion_probability",
        "cell", "tracked_mother_frame", "tracked_mother", "probability", "y", "x",
    ]  # fmt: skip
    assert len(table) == 60
    assert not table.duplicated(["frame", "label"]).any()
    assert table[ANSWERS].isna().all().all()
    cell = table["cell"].to_numpy()
    assert (table["frame"] > 0).all()
    np.testing.assert_array_equal(table["label"], result.detections.label[cell])
    np.testing.assert_allclose(table["probability"], result.decision_probability[cell], atol=2e-6)
    linked = result.mother[cell] >= 0
    np.testing.assert_array_equal(
        table["tracked_mother"], np.where(linked, result.detections.label[result.mother[cell]], 0)
    )
    assert table.loc[~linked, "tracked_mother_frame"].isna().all()
    frames = table.loc[linked, "tracked_mother_frame"].to_numpy(np.int64)
    np.testing.assert_array_equal(frames, result.detections.frame[result.mother[cell[linked]]])


def test_prefers_the_doubtful_and_weights_make_up_for_it(result: TrackingResult) -> None:
    daughters = result.detections.frame > 0
    p = result.decision_probability[daughters]
    tables = [result.to_annotate(100, seed=seed) for seed in range(20)]
    drawn = np.mean([table["probability"].mean() for table in tables])
    weighted = np.mean([np.average(table["probability"], weights=table["weight"]) for table in tables])
    even = np.mean([result.to_annotate(100, seed=seed, random=1)["probability"].mean() for seed in range(20)])
    assert drawn < p.mean() - 0.01
    assert weighted == pytest.approx(p.mean(), abs=0.005)
    assert even == pytest.approx(p.mean(), abs=0.01)
    assert all(table["weight"].max() <= daughters.sum() / 50 * 1.001 for table in tables)


def test_its_sample_gives_promises(result: TrackingResult) -> None:
    table = result.to_annotate(200, seed=2)
    sample = sample_of_result(result.cells, result.links, 200, seed=2)
    daughters = np.flatnonzero(result.detections.frame > 0)
    np.testing.assert_array_equal(daughters[sample.cell], table["cell"])
    np.testing.assert_allclose(sample.weight, table["weight"])
    review = SampledReview(
        result.decision_probability[daughters],
        result.mother[daughters] >= 0,
        sample,
        np.ones(200, np.bool_),
    )
    accepted = result.with_acceptance(review.threshold(0.1))
    assert accepted.accepted.any()


def test_the_command_line_draws_the_same_from_files(
    result: TrackingResult, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "to_annotate.csv"
    assert run("sample", folder, "-n", 50, "-o", file, "--seed", 3) == 0
    assert "50 of " in capsys.readouterr().out
    expected = result.to_annotate(50, seed=3)
    written = pd.read_csv(file)
    assert list(written.columns) == list(expected.columns)
    assert written[ANSWERS].isna().all().all()
    names = ["frame", "label", "cell", "tracked_mother", "probability", "weight"]
    pd.testing.assert_frame_equal(written[names], expected[names], check_dtype=False, rtol=1e-8)
    assert run("sample", folder, "-n", 50, "-o", file, "--seed", 4) == 2
    assert "may hold somebody's answers" in capsys.readouterr().err
    pd.testing.assert_frame_equal(pd.read_csv(file), written)
    assert run("sample", folder, "-n", 50, "-o", file, "--random", 1, "--overwrite") == 0
    assert pd.read_csv(file)["weight"].nunique() == 1


def test_refuses_what_it_cannot_use(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], result: TrackingResult
) -> None:
    def refused(message: str, *arguments: object) -> None:
        assert run("sample", *arguments) == 2
        assert message in capsys.readouterr().err

    out = tmp_path / "list.csv"
    refused("cells.csv is missing", tmp_path, "-o", out)
    refused("is a folder", folder, "-o", tmp_path)
    refused("cannot draw 1000000 of", folder, "-n", 1000000, "-o", out)
    refused("drawn evenly", folder, "-o", out, "--random", 0)
    (tmp_path / "bad").mkdir()
    for name in ("cells.csv", "links.csv"):
        (tmp_path / "bad" / name).write_text("a,b\n1,2\n")
    refused("has no column frame, label", tmp_path / "bad", "-o", out)
    (tmp_path / "bad" / "cells.csv").write_text("")
    refused("cannot be read as a table", tmp_path / "bad", "-o", out)
    assert not out.exists()
    with pytest.raises(InputError, match="not of one movie"):
        sample_of_result(result.cells.iloc[:-3], result.links, 10)
