"""Calibration files, and the commands that write and read them."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from torchtrack_uq import DistanceTracker, InputError, UncertainTracker, UncertaintyLayer
from torchtrack_uq.calibration import (
    Calibration,
    CalibrationWarning,
    CrossValidation,
    describe_fit,
    fit_events,
    fit_temperature,
    score_folders,
)
from torchtrack_uq.calibration.objective import TemperatureObjective
from torchtrack_uq.cli import main
from torchtrack_uq.layers import EventOffsets
from torchtrack_uq.metrics import summarise


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells on random walks as a Cell Tracking Challenge folder, with one division and one cell that enters."""
    root = tmp_path_factory.mktemp("data") / "Walks"
    masks = root / "01_GT" / "TRA"
    masks.mkdir(parents=True)
    rng = np.random.default_rng(0)
    spot = np.stack(np.meshgrid(np.arange(4), np.arange(5)), -1).reshape(-1, 2) * 16.0 + 12
    for t in range(8):
        mask = np.zeros((84, 68), np.uint16)
        for k, (x, y) in enumerate(spot):
            if (k == 0 and t >= 4) or (k == 19 and t < 3):
                continue
            mask[int(y) - 3 : int(y) + 3, int(x) - 3 : int(x) + 3] = k + 1
        if t >= 4:
            x, y = spot[0]
            mask[int(y) - 3 : int(y), int(x) - 3 : int(x) + 3] = 21
            mask[int(y) : int(y) + 3, int(x) - 3 : int(x) + 3] = 22
        tifffile.imwrite(masks / f"man_track{t:03d}.tif", mask)
        spot = np.clip(spot + rng.normal(0, 2.0, spot.shape), 4, 62)
    rows = [(1, 0, 3, 0), *((k, 0, 7, 0) for k in range(2, 20)), (20, 3, 7, 0), (21, 4, 7, 1), (22, 4, 7, 1)]
    (masks / "man_track.txt").write_text("".join(f"{a} {b} {c} {d}\n" for a, b, c, d in rows))
    return root / "01"


class TestFile:
    def test_comes_back_as_it_was(self, tmp_path: Path) -> None:
        one = Calibration(
            1.5, "AS", "distance", stride=2, offsets={"appear": 1.0, "disappear": 0.5, "divide": -2.0}
        )
        read = Calibration.load(one.save(tmp_path / "c.json"))
        assert math.isnan(read.nll_before)
        assert {**read.__dict__, "nll_before": 0, "nll_after": 0} == {
            **one.__dict__,
            "nll_before": 0,
            "nll_after": 0,
        }
        layer = read.layer(k=7)
        assert float(layer.temperature.detach()) == pytest.approx(1.5)
        assert layer.events.values == one.offsets
        assert layer.scaler.fitted

    def test_other_methods_and_trackers_are_refused_other_strides_warned_of(self) -> None:
        one = Calibration(1.5, "AS", "distance", stride=2)
        one.check("AS", "distance", 2)
        with pytest.raises(InputError, match="fitted for method AS"):
            one.check("SM", "distance")
        with pytest.raises(InputError, match="fitted for tracker distance"):
            one.check("AS", "trackastra:0123")
        with pytest.warns(CalibrationWarning, match="stride 2"):
            one.check("AS", "distance", 4)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "cannot be read"),
            ('{"temperature": 2}', "not a calibration file"),
            ('{"format": "torchtrack-uq calibration 1", "method": "AS"}', "lacks an entry"),
            (
                '{"format": "torchtrack-uq calibration 1", "method": "XX", "tracker": "a", "temperature": 1}',
                "XX",
            ),
            (
                '{"format": "torchtrack-uq calibration 1", "method": "AS", "tracker": "a", "temperature": -1}',
                "-1",
            ),
            (
                '{"format": "torchtrack-uq calibration 1", "method": "AS", "tracker": "a", "temperature": "1"}',
                "positive number",
            ),
            (
                '{"format": "torchtrack-uq calibration 1", "method": "AS", "tracker": "a", "temperature": 1, '
                '"nll_before": "x"}',
                "cannot be used",
            ),
            (
                '{"format": "torchtrack-uq calibration 1", "method": "AS", "tracker": "a", "temperature": 1, '
                '"offsets": {"foo": 1}}',
                "appear, disappear and divide",
            ),
        ],
    )
    def test_files_that_are_none(self, tmp_path: Path, content: str, message: str) -> None:
        (tmp_path / "c.json").write_text(content)
        with pytest.raises(InputError, match=message):
            Calibration.load(tmp_path / "c.json")
        with pytest.raises(InputError, match="torchtrack-uq fit"):
            Calibration.load(tmp_path / "missing.json")


class TestDescribeFit:
    @pytest.mark.parametrize("events", [False, True])
    def test_a_fit_in_python_is_as_good_as_one_by_the_command(
        self, annotated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, events: bool
    ) -> None:
        tracker = DistanceTracker()
        layer = UncertaintyLayer("AS", events=EventOffsets() if events else None)
        movies = list(score_folders([annotated], tracker, layer, progress=False))
        fit = fit_temperature(layer, movies)
        if events:
            with pytest.warns(CalibrationWarning, match="no annotated cell disappears"):
                fit = fit_events(layer, movies)
        described = describe_fit(layer, tracker, movies, fit)
        assert float(layer.temperature.detach()) == pytest.approx(fit.temperature)
        file = tmp_path / "command.json"
        command = ["fit", str(annotated), "-o", str(file), "--tracker", "distance", "--method", "AS"]
        assert main([*command, "--events" if events else "--not-cautious", "--quiet"]) == 0
        assert f"fitted on {fit.n_daughters} daughters" in capsys.readouterr().out
        stored = Calibration.load(file)
        assert described.review is not None
        assert stored.review is not None
        assert described.review.to_json() == stored.review.to_json()
        known = ["temperature", "n_daughters", "nll_after", "ece_after"]
        for name in known if events else [*known, "nll_before", "ece_before"]:
            assert getattr(described, name) == pytest.approx(getattr(stored, name), rel=1e-6), name
        for name in ("method", "tracker", "stride", "offsets", "movies", "fingerprint", "prior_width"):
            assert getattr(described, name) == getattr(stored, name), name

    def test_the_best_assignments_are_found_anew_under_fitted_events(self, annotated: Path) -> None:
        tracker, layer = DistanceTracker(), UncertaintyLayer("AS", events=EventOffsets())
        movies = list(score_folders([annotated], tracker, layer, progress=False))
        with pytest.warns(CalibrationWarning, match="no annotated cell disappears"):
            fit = fit_events(layer, movies)
        again = [movie.solve(layer) for movie in movies]
        expected = summarise([movie.judge(layer) for movie in again])["nll_reachable"]
        stale = summarise([movie.judge(layer) for movie in movies])["nll_reachable"]
        assert expected != pytest.approx(stale, abs=1e-6)
        assert describe_fit(layer, tracker, movies, fit).nll_after == pytest.approx(expected)

    def test_refuses_what_does_not_fit_together(self, annotated: Path) -> None:
        tracker, layer = DistanceTracker(), UncertaintyLayer("SM")
        movies = list(score_folders([annotated], tracker, layer, progress=False))
        fit = fit_temperature(layer, movies)
        with pytest.raises(InputError, match="no annotated movie"):
            describe_fit(layer, tracker, [], fit)
        with pytest.raises(InputError, match="the layer's temperature is 1,"):
            describe_fit(UncertaintyLayer("SM"), tracker, movies, fit)


class TestCommands:
    def test_a_temperature_that_is_no_gain_is_not_taken_unasked(
        self,
        annotated: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(
            TemperatureObjective, "cross_validation", lambda self: CrossValidation(0.02, 0.01, 7)
        )
        file = tmp_path / "calibration.json"
        command = [
            "fit",
            str(annotated),
            "-o",
            str(file),
            "--tracker",
            "distance",
            "--method",
            "SM",
            "--quiet",
        ]
        assert main(command) == 0
        assert "T = 1 is kept" in capsys.readouterr().err
        kept = Calibration.load(file)
        assert kept.temperature == 1.0
        assert kept.nll_after == kept.nll_before
        assert main([*command, "--not-cautious"]) == 0
        assert Calibration.load(file).temperature > 1.5

    def test_fit_evaluate_track(
        self, annotated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "calibration.json"
        shared = ["--tracker", "distance", "--method", "auto", "--quiet"]
        assert main(["fit", str(annotated), "-o", str(file), *shared]) == 0
        assert f"--temperature {file}" in capsys.readouterr().out
        stored = Calibration.load(file)
        assert stored.movies == ["Walks/01"]
        assert stored.n_daughters == 19 * 2 + 20 + 21 * 4
        assert stored.nll_after <= stored.nll_before

        reports = {}
        for temperature in ("1", str(file)):
            report = tmp_path / "report.json"
            picture = tmp_path / "reliability.png"
            command = ["evaluate", str(annotated), *shared, "--temperature", temperature]
            assert main([*command, "--json", str(report), "--picture", str(picture)]) == 0
            reports[temperature] = json.loads(report.read_text())
            assert picture.stat().st_size > 10_000
        wanted = {"n_daughters", "accuracy", "ece", "ece_with_mother", "nll", "brier", "aurc", "n_bins"}
        wanted |= {"temperature", "sequences"}
        assert wanted <= set(reports["1"])
        assert reports[str(file)]["temperature"] == pytest.approx(stored.temperature)
        assert reports["1"]["nll_reachable"] == pytest.approx(stored.nll_before)
        assert reports[str(file)]["nll_reachable"] == pytest.approx(stored.nll_after, rel=1e-5)
        assert reports["1"]["sequences"]["Walks/01"]["accuracy"] == reports["1"]["accuracy"] > 0.8

        masks = str(annotated.with_name("01_GT") / "TRA")
        out = tmp_path / "out"
        assert main(["track", "-m", masks, "-o", str(out), *shared, "--temperature", str(file)]) == 0
        links = pd.read_csv(out / "links.csv")
        tracker = UncertainTracker("distance", "auto", file)
        again = tracker.track(None, masks, progress=False).links
        np.testing.assert_allclose(links["probability"], again["probability"], atol=1e-6)

        accept = ["--temperature", str(file), "--accept-error", "0.5", "--confidence", "0.9"]
        assert main(["track", "-m", masks, "-o", str(out), "--overwrite", *shared, *accept]) == 0
        assert "are accepted" in capsys.readouterr().out
        assert pd.read_csv(out / "links.csv")["accepted"].dtype == bool
        assert (
            main(["track", "-m", masks, "-o", str(out), "--overwrite", *shared, "--accept-error", "0.1"]) == 2
        )
        assert "torchtrack-uq fit" in capsys.readouterr().err

    def test_fit_with_events(
        self, annotated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "calibration.json"
        command = ["fit", str(annotated), "-o", str(file), "--tracker", "distance", "--events", "--quiet"]
        assert main(command) == 0
        assert "event scores changed" in capsys.readouterr().out
        assert set(Calibration.load(file).offsets) == {"appear", "disappear", "divide"}

    def test_wrong_method_is_one_sentence(self, annotated: Path, tmp_path: Path, capsys) -> None:
        file = Calibration(2.0, "SM", "distance").save(tmp_path / "sm.json")
        command = ["evaluate", str(annotated), "--tracker", "distance", "--method", "AS", "--quiet"]
        assert main([*command, "--temperature", str(file)]) == 2
        assert "fitted for method SM" in capsys.readouterr().err
        with pytest.raises(InputError, match="fitted for tracker"):
            UncertainTracker(DistanceTracker(), "SM", Calibration(2.0, "SM", "overlap"))

    def test_bad_folders(self, annotated: Path, tmp_path: Path, capsys) -> None:
        out = tmp_path / "c.json"
        assert main(["fit", str(tmp_path), "-o", str(out), "--tracker", "distance", "--quiet"]) == 2
        assert (
            main(["fit", str(annotated), str(annotated), "-o", str(out), "--tracker", "distance", "--quiet"])
            == 2
        )
        assert "twice" in capsys.readouterr().err
        assert main(["fit", str(annotated), "-o", str(tmp_path), "--tracker", "distance", "--quiet"]) == 2
        assert main(["fit", str(annotated), "-o", str(out), "--tracker", "activity", "--quiet"]) == 2
        assert "Walks/01" in capsys.readouterr().err
        assert not out.exists()

    def test_an_interrupted_fit_leaves_the_last_file(
        self, annotated: Path, tmp_path: Path, monkeypatch
    ) -> None:
        out = Calibration(2.0, "AS", "distance").save(tmp_path / "c.json")
        before = out.read_bytes()

        def interrupted(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr("torchtrack_uq.calibration.temperature_fit.minimize_scalar", interrupted)
        assert main(["fit", str(annotated), "-o", str(out), "--tracker", "distance", "--quiet"]) == 130
        assert out.read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["c.json"]

    def test_cells_that_were_not_detected(self, annotated: Path, tmp_path: Path, capsys) -> None:
        broken = tmp_path / "Walks"
        shutil.copytree(annotated.parent, broken)
        file = broken / "01_GT" / "TRA" / "man_track003.tif"
        mask = tifffile.imread(file)
        mask[mask == 5] = 77
        tifffile.imwrite(file, mask)
        assert main(["evaluate", str(broken / "01"), "--tracker", "distance", "--quiet"]) == 2
        assert "label 77 in frame 3" in capsys.readouterr().err
