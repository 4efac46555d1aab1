"""The commands that fit, evaluate and use calibration files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from torchtrack_uq import DistanceTracker, InputError, UncertainTracker
from torchtrack_uq.calibration import (
    Calibration,
    CrossValidation,
)
from torchtrack_uq.calibration.objective import TemperatureObjective
from torchtrack_uq.cli import main


class TestCommands:
    def test_a_temperature_that_is_no_gain_is_not_taken_unasked(
        self,
        walks: Path,
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
            str(walks),
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
        self, walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "calibration.json"
        shared = ["--tracker", "distance", "--method", "auto", "--quiet"]
        assert main(["fit", str(walks), "-o", str(file), *shared]) == 0
        printed = capsys.readouterr().out
        assert f"--temperature {file}" in printed
        assert "NLL (reachable daughters)" in printed
        stored = Calibration.load(file)
        assert stored.movies == ["Walks/01"]
        assert stored.n_daughters == 19 * 2 + 20 + 21 * 4
        assert stored.nll_after <= stored.nll_before

        reports = {}
        for temperature in ("1", str(file)):
            report = tmp_path / "report.json"
            picture = tmp_path / "reliability.png"
            command = ["evaluate", str(walks), *shared, "--temperature", temperature]
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

        masks = str(walks.with_name("01_GT") / "TRA")
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

    def test_a_single_judged_frame_has_numbers_without_intervals(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "man_track.txt").write_text("1 0 1 0\n2 0 1 0\n")
        (tmp_path / "points.csv").write_text("frame,x,y,track\n0,1,1,1\n0,30,30,2\n1,2,1,1\n1,31,30,2\n")
        assert main(["evaluate", str(tmp_path), "--tracker", "distance", "--quiet"]) == 0
        printed = capsys.readouterr().out
        assert "one frame only: no interval" in printed
        assert "nan to nan" not in printed
        assert "resampled" not in printed

    def test_fit_with_events(self, walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "calibration.json"
        command = ["fit", str(walks), "-o", str(file), "--tracker", "distance", "--events", "--quiet"]
        assert main(command) == 0
        assert "event scores changed" in capsys.readouterr().out
        assert set(Calibration.load(file).offsets) == {"appear", "disappear", "divide"}

    def test_wrong_method_is_one_sentence(self, walks: Path, tmp_path: Path, capsys) -> None:
        file = Calibration(2.0, "SM", "distance").save(tmp_path / "sm.json")
        command = ["evaluate", str(walks), "--tracker", "distance", "--method", "AS", "--quiet"]
        assert main([*command, "--temperature", str(file)]) == 2
        assert "fitted for method SM" in capsys.readouterr().err
        with pytest.raises(InputError, match="fitted for tracker"):
            UncertainTracker(DistanceTracker(), "SM", Calibration(2.0, "SM", "overlap"))

    def test_bad_folders(self, walks: Path, tmp_path: Path, capsys) -> None:
        out = tmp_path / "c.json"
        assert main(["fit", str(tmp_path), "-o", str(out), "--tracker", "distance", "--quiet"]) == 2
        assert main(["fit", str(walks), str(walks), "-o", str(out), "--tracker", "distance", "--quiet"]) == 2
        assert "twice" in capsys.readouterr().err
        assert main(["fit", str(walks), "-o", str(tmp_path), "--tracker", "distance", "--quiet"]) == 2
        assert main(["fit", str(walks), "-o", str(out), "--tracker", "activity", "--quiet"]) == 2
        assert "Walks/01" in capsys.readouterr().err
        assert not out.exists()

    def test_an_interrupted_fit_leaves_the_last_file(self, walks: Path, tmp_path: Path, monkeypatch) -> None:
        out = Calibration(2.0, "AS", "distance").save(tmp_path / "c.json")
        before = out.read_bytes()

        def interrupted(*args, **kwargs):
            raise KeyboardInterrupt

        monkeypatch.setattr("torchtrack_uq.calibration.temperature_fit.minimize_scalar", interrupted)
        assert main(["fit", str(walks), "-o", str(out), "--tracker", "distance", "--quiet"]) == 130
        assert out.read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["c.json"]

    def test_cells_that_were_not_detected(self, walks: Path, tmp_path: Path, capsys) -> None:
        broken = tmp_path / "Walks"
        shutil.copytree(walks.parent, broken)
        file = broken / "01_GT" / "TRA" / "man_track003.tif"
        mask = tifffile.imread(file)
        mask[mask == 5] = 77
        tifffile.imwrite(file, mask)
        assert main(["evaluate", str(broken / "01"), "--tracker", "distance", "--quiet"]) == 2
        assert "label 77 in frame 3" in capsys.readouterr().err


class TestThePaper:
    def test_fit_evaluate_and_track_are_the_papers_where_it_is_asked_for(
        self, walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file, report = tmp_path / "calibration.json", tmp_path / "report.json"
        shared = ["--tracker", "distance", "--method", "SM", "--quiet"]
        assert main(["fit", str(walks), "-o", str(file), *shared, "--paper"]) == 0
        assert "SM with null_class=False, stride 1" in capsys.readouterr().out
        assert Calibration.load(file).method_options == {"null_class": False}
        # the method's name alone leaves its options to the calibration
        for paper in (["--paper"], []):
            evaluate = [
                "evaluate",
                str(walks),
                *shared,
                *paper,
                "--temperature",
                str(file),
                "--json",
                str(report),
            ]
            assert main(evaluate) == 0
            assert json.loads(report.read_text())["method_options"] == {"null_class": False}
        capsys.readouterr()
        masks = walks.with_name("01_GT") / "TRA"
        track = ["track", "-m", str(masks), *shared, "--paper", "--temperature", str(file), "-o"]
        assert main([*track, str(tmp_path / "out")]) == 0
        assert "(distance, SM with null_class=False, T = " in capsys.readouterr().out

    def test_a_calibration_of_the_other_version_is_refused(
        self, walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = Calibration(1.5, "AS", "distance").save(tmp_path / "c.json")
        shared = ["--tracker", "distance", "--method", "AS", "--paper", "--temperature", str(file)]
        assert main(["evaluate", str(walks), *shared]) == 2
        assert "was fitted for method AS, but is used with AS with leftover=False" in capsys.readouterr().err

    @pytest.mark.parametrize("command", ["evaluate", "fit"])
    def test_methods_that_are_not_in_the_paper_are_refused(
        self, walks: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = ["-o", str(tmp_path / "c.json")] if command == "fit" else []
        assert (
            main([command, str(walks), *output, "--tracker", "distance", "--method", "auto", "--paper"]) == 2
        )
        assert "method auto has no paper version" in capsys.readouterr().err
