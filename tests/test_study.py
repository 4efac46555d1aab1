import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
pytest.importorskip("tabulate", reason="the study's pages need the extra bench")

import study
from study_claims import why_above
from study_curve import COARSE, FINE, best_temperature, curve_of
from study_local import local_marginals
from study_noise import holm, mean_change
from study_split import alternating, part_of, second_half

from torchtrack_uq import DistanceTracker
from torchtrack_uq.assignment import AssignmentProblem, marginals
from torchtrack_uq.calibration import ScoredMovie, fit_temperature
from torchtrack_uq.datasets import read_ctc_sequence
from torchtrack_uq.layers import UncertaintyLayer

N_FRAMES, N_CELLS, SIZE = 12, 10, 96  # stride 4 leaves too few frames: one unit a movie


def write_movie(folder: Path, seed: int) -> None:
    """Cells of 5 x 5 pixels on a random walk, in the layout of the Cell Tracking Challenge, without images."""
    rng = np.random.default_rng(seed)
    tra = folder / "01_GT" / "TRA"
    tra.mkdir(parents=True)
    at = rng.uniform(8, SIZE - 8, (N_CELLS, 2))
    end = np.full(N_CELLS + 1, -1)
    begin = np.full(N_CELLS + 1, N_FRAMES)
    for t in range(N_FRAMES):
        mask = np.zeros((SIZE, SIZE), np.uint16)
        at = np.clip(at + rng.normal(0, 2.5, at.shape), 3, SIZE - 4)
        for label, (y, x) in enumerate(at.astype(int), start=1):
            mask[y - 2 : y + 3, x - 2 : x + 3] = label
        tifffile.imwrite(tra / f"man_track{t:03d}.tif", mask)
        for label in np.unique(mask[mask > 0]):
            begin[label], end[label] = min(begin[label], t), t
    rows = [f"{label} {begin[label]} {end[label]} 0" for label in range(1, N_CELLS + 1) if end[label] >= 0]
    (tra / "man_track.txt").write_text("\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("one", "two")):
        write_movie(data / name, seed)
    return data


@pytest.fixture(scope="module")
def scored(movies: Path) -> ScoredMovie:
    annotated = read_ctc_sequence(movies / "one" / "01", progress=False)
    graph = DistanceTracker(scale=1.0).candidates(annotated.detections, progress=False)
    return ScoredMovie("one", graph, annotated.targets())


def test_one_command_makes_tables_figures_and_pages_and_does_nothing_twice(
    movies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [
        str(movies), "-o", str(tmp_path / "out"), "--docs", str(tmp_path / "docs"),
        "--quick", "--workers", "1", "--trackers", "Distance",
    ]  # fmt: skip
    study.main(arguments)
    assert "unit 2/2" in capsys.readouterr().out
    first = {file.name: file.read_bytes() for file in sorted((tmp_path / "out").iterdir()) if file.is_file()}
    table = pd.read_csv(tmp_path / "out" / "study.csv")
    good = table[table["error"].isna()]
    combinations = good.groupby(["movie", "stride", "tracker", "method"])["ts"].apply(set)
    main = combinations[
        combinations.index.get_level_values("method").isin(
            ("SM", "FP", "FP+A", "AS", "auto", "auto + events")
        )
    ]
    assert len(main) == 2 * 6
    for (*_, method), states in main.items():
        assert states == {"none", "in time", "oracle"} | (
            {"other movies"} if method != "auto + events" else set()
        )
    stress = pd.read_csv(tmp_path / "out" / "stress.csv")
    assert (stress["nll_change_lower"] <= stress["nll_change"]).all()
    assert ((good["ece_lower"] <= good["ece"]) & (good["ece"] <= good["ece_upper"])).all()
    assert {"study.csv", "figure_2a_light.png", "figure_2b_dark.png"} <= set(first)
    page = (tmp_path / "docs" / "study.md").read_text()
    assert "Entropy is at least as good" in page
    assert "Stress test: first half" in (tmp_path / "docs" / "calibration.md").read_text()

    monkeypatch.setattr("study_figures.draw_all", lambda *_: None)
    study.main(arguments)
    assert "unit" not in capsys.readouterr().out.partition("\n")[2]
    study.main([*arguments, "--overwrite"])
    for name in ("study.csv", "sparsification.csv", "stress.csv"):
        assert (tmp_path / "out" / name).read_bytes() == first[name]


def test_a_unit_that_fails_is_a_row_and_not_the_end(
    movies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import study_unit

    def broken(name: str) -> None:
        raise ValueError(f"no {name} today")

    monkeypatch.setattr(study_unit, "make_unit_tracker", broken)
    result_file = tmp_path / "first" / "unit.json"
    from study_run import load, run_tasks
    from study_units import find_units

    (unit,) = (one for one in find_units(movies, ["one"], (1,)) if one.tracker == "Distance")
    task = (result_file, study_unit.first_pass, (unit, study_unit.Options(), tmp_path / "x.pickle"), 1.0)
    run_tasks([task], 1, 1.0, "unit")
    assert "no Distance today" in result_file.read_text()
    assert load(result_file) is None  # so it is tried again


@pytest.mark.filterwarnings("ignore:all .* annotated daughters have a mother")
@pytest.mark.parametrize(("method", "step"), [("SM", FINE), ("AS", COARSE), ("auto", COARSE)])
def test_the_curve_has_its_minimum_where_the_fit_finds_it(
    scored: ScoredMovie, method: str, step: int
) -> None:
    layer = UncertaintyLayer(method)
    found = best_temperature([curve_of(layer, scored, step)])
    assert math.log(found) == pytest.approx(math.log(fit_temperature(layer, [scored]).temperature), abs=0.03)


@pytest.mark.filterwarnings("ignore:all .* annotated daughters have a mother")
@pytest.mark.parametrize("method", ["SM", "AS"])
def test_a_fit_on_some_frame_pairs_comes_out_of_the_curve_of_all(scored: ScoredMovie, method: str) -> None:
    layer = UncertaintyLayer(method)
    whole = scored.solve(layer)
    curve, pairs = curve_of(layer, whole, FINE), alternating(scored.graph.n_frames - 1)
    found = best_temperature([curve.only(pairs.numpy())])
    part = part_of(whole, pairs)
    assert math.log(found) == pytest.approx(math.log(fit_temperature(layer, [part]).temperature), abs=0.01)
    layer.scaler.temperature = 1.3
    nats = -part.judge(layer).true_log_p.sum().item()
    assert curve.only(pairs.numpy()).at(math.log(1.3)).sum() == pytest.approx(nats, rel=1e-3)


@pytest.mark.filterwarnings("ignore:all .* annotated daughters have a mother")
def test_pooled_curves_are_the_fit_of_all_movies_together(scored: ScoredMovie) -> None:
    layer = UncertaintyLayer("SM")
    pairs = alternating(scored.graph.n_frames - 1)
    parts = [part_of(scored, pairs), part_of(scored, ~pairs)]
    found = best_temperature([curve_of(layer, part, 1) for part in parts])
    assert math.log(found) == pytest.approx(math.log(fit_temperature(layer, parts).temperature), abs=0.01)


@pytest.mark.parametrize("method", ["AS", "exact"])
def test_the_parts_of_a_split_hold_every_daughter_and_event_once(scored: ScoredMovie, method: str) -> None:
    layer = UncertaintyLayer(method)
    whole = scored.solve(layer)
    for judged in (alternating(scored.graph.n_frames - 1), second_half(scored.graph.n_frames - 1)):
        parts = [part_of(whole, pairs) for pairs in (judged, ~judged)]
        assert len(whole.judge(layer)) == sum(len(part.judge(layer)) for part in parts)
        assert sum(part.targets.mother_known.sum() for part in parts) == whole.targets.mother_known.sum()
        found = torch.cat([part.judge(layer).true_log_p for part in parts]).sort().values
        torch.testing.assert_close(found, whole.judge(layer).true_log_p.sort().values)


@pytest.mark.parametrize("n_pairs", [1, 2, 3, 9, 10, 11, 47, 240])
def test_blocks_alternate_and_the_last_is_judged(n_pairs: int) -> None:
    judged = alternating(n_pairs)
    assert judged[-1]
    assert 1 + int((judged[1:] != judged[:-1]).sum()) == min(n_pairs, 10)
    assert n_pairs / 2 - 12 <= judged.sum() <= n_pairs / 2 + 12


def test_an_interval_over_few_frame_pairs_holds_what_it_promises() -> None:
    rng = np.random.default_rng(0)
    n = np.array([5.0, 20.0, 40.0, 10.0])
    found = [mean_change(rng.normal(0, np.sqrt(n)), n) for _ in range(4000)]
    held = np.mean([one.lower <= 0 <= one.upper for one in found])
    assert 0.94 < held < 0.98  # a little long where frame pairs differ so much in size
    assert 0.01 < np.mean([one.p_worse <= 0.025 for one in found]) < 0.03
    assert math.isnan(mean_change(np.array([3.0]), np.array([1.0])).lower)


def test_holm_rejects_step_by_step() -> None:
    p = np.array([0.9, 0.012, 0.001, 0.02, math.nan])
    assert holm(p).tolist() == [False, True, True, False, False]


def test_local_marginals_are_exact_where_the_neighbourhood_is_everything() -> None:
    rng = np.random.default_rng(0)
    mother, daughter = np.divmod(np.arange(12), 4)
    problem = AssignmentProblem.build(mother, daughter, rng.normal(size=12), 3, 4, -1.0, -1.0, -2.0)
    exact = marginals(problem, 1.5, method="exact", tolerance=0.0)
    link, null = local_marginals(problem, 1.5, least=0.0)
    np.testing.assert_allclose(link, exact.link, atol=1e-9)
    np.testing.assert_allclose(null, exact.null, atol=1e-9)
    near, _ = local_marginals(problem, 1.5, steps=1)
    assert np.abs(near - exact.link).max() > 0.01


def test_reasons_follow_from_the_numbers() -> None:
    base = {
        "recording": "one", "stride": 1, "tracker": "Distance", "method": "SM", "error": "", "temperature": 1.0,
        "n_daughters": 100, "n_unreachable": 0, "accuracy": 0.9, "ece_if_calibrated_upper": 0.03,
    }  # fmt: skip
    cases = {
        "chance": (0.025, 0.0, 0),
        "unreachable": (0.08, 0.08, 5),
        "drift": (0.08, 0.01, 0),
        "shape": (0.08, 0.07, 0),
    }
    rows = []
    for movie, (ece, oracle, unreachable) in cases.items():
        rows.append({**base, "movie": movie, "ts": "in time", "ece": ece, "n_unreachable": unreachable})
        rows.append({**base, "movie": movie, "ts": "oracle", "ece": oracle, "n_unreachable": unreachable})
    found = why_above(pd.DataFrame(rows))
    assert (found["reason"] == found["movie"]).all()
    assert len(found) == len(cases)
