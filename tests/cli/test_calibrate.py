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
from torchtrack_uq.datasets import CorruptionRates, read_annotated, write_corrupted


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
        assert "not calibrated" not in capsys.readouterr().out
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
        assert set(Calibration.load(file).offsets) == {"appear", "disappear", "divide", "miss"}

    def test_a_width_in_place_of_the_prior_leaves_event_scores_to_the_fit(
        self, walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "calibration.json"
        command = ["fit", str(walks), "-o", str(file), "--tracker", "distance", "--quiet"]
        assert main([*command, "--prior-width", "0.3"]) == 0
        fitted = Calibration.load(file)
        assert fitted.offsets is not None
        assert any(fitted.offsets.values())
        assert fitted.prior is None
        assert fitted.prior_width == pytest.approx(0.3)
        capsys.readouterr()
        assert main([*command, "--prior-width", "0.3", "--temperature-only", "--not-cautious"]) == 0
        alone = Calibration.load(file)
        assert (alone.offsets, alone.prior_width) == (None, 0.3)

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
        command = [
            "fit",
            str(walks),
            "-o",
            str(out),
            "--tracker",
            "distance",
            "--temperature-only",
            "--quiet",
        ]
        assert main(command) == 130
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


class TestSegmentation:
    """Masks of one's own beside an annotated sequence."""

    @pytest.fixture
    def corrupted(self, walks: Path, tmp_path: Path) -> Path:
        rates = CorruptionRates(missed=0.08, false=0.05)
        write_corrupted(walks.with_name("01_GT") / "TRA", tmp_path / "masks", rates, progress=False)
        return tmp_path / "masks"

    def test_fit_and_evaluate_judge_every_detection(
        self, walks: Path, corrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shared = ["--tracker", "distance", "--quiet", "--max-gap", "1", "--segmentation", str(corrupted)]
        file, report = tmp_path / "c.json", tmp_path / "report.json"
        assert main(["fit", str(walks), "-o", str(file), *shared]) == 0
        assert main(["evaluate", str(walks), "--temperature", str(file), "--json", str(report), *shared]) == 0
        found = json.loads(report.read_text())
        cells = read_annotated(walks, segmentation=corrupted, progress=False)
        assert (
            Calibration.load(file).n_daughters == found["n_daughters"] == (cells.detections.frame > 0).sum()
        )
        assert found["segmentation"] == [str(corrupted)]
        assert cells.kinds is not None
        assert cells.kinds.false.any()
        assert 0 < found["ece_false"] < 1
        # links span one frame, so nothing can be said of cells that were missed
        assert found["n_after_gap"] == 0
        for name in ("accuracy_after_gap", "ece_missed"):
            assert found[name] is found["sequences"]["Walks/01"][name] is None
        assert found["sequences"]["Walks/01"]["ece_false"] == found["ece_false"]

    def test_perfect_masks_are_judged_as_those_annotated(self, walks: Path, tmp_path: Path) -> None:
        masks = tmp_path / "masks"
        write_corrupted(walks.with_name("01_GT") / "TRA", masks, CorruptionRates(), progress=False)
        reports = []
        for extra in ([], ["--segmentation", str(masks)]):
            file = tmp_path / "report.json"
            command = ["evaluate", str(walks), "--tracker", "overlap", "--quiet", "--json", str(file), *extra]
            assert main(command) == 0
            reports.append({**json.loads(file.read_text()), "segmentation": None})
        assert reports[0] == reports[1]

    def test_a_segmentation_that_does_not_fit_is_one_sentence(
        self, walks: Path, corrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def refused(*segmentation: Path, folder: Path = walks) -> str:
            options = [word for path in segmentation for word in ("--segmentation", str(path))]
            for command in (
                ["evaluate", str(folder), "--tracker", "distance", "--quiet"],
                ["fit", str(folder), "-o", str(tmp_path / "c.json"), "--tracker", "distance", "--quiet"],
                ["train", str(folder), "-o", str(tmp_path / "model")],
            ):
                assert main([*command, *options]) == 2
            found = capsys.readouterr().err.strip().splitlines()
            assert len(found) == 3
            assert len(set(found)) == 1
            return found[0]

        assert "2 segmentation(s) were given for 1 movie(s)" in refused(corrupted, corrupted)
        assert "does not exist" in refused(tmp_path / "nowhere")
        extra = corrupted / "mask0008.tif"
        shutil.copy(corrupted / "mask0000.tif", extra)
        assert "has frames 9 but the annotation" in refused(corrupted)
        extra.unlink()
        small = tmp_path / "small"
        small.mkdir()
        for t in range(8):
            tifffile.imwrite(small / f"{t}.tif", np.zeros((9, 9), np.uint16))
        assert "frames of shape (9, 9)" in refused(small)
        points = tmp_path / "points"
        points.mkdir()
        (points / "man_track.txt").write_text("1 0 1 0\n")
        (points / "points.csv").write_text("frame,x,y,track\n0,1,1,1\n1,2,1,1\n")
        assert "takes no other segmentation" in refused(corrupted, folder=points)
        assert not (tmp_path / "c.json").exists()
        assert not (tmp_path / "model").exists()

    def test_a_real_movie_with_errors(self, data_folder: Path, tmp_path: Path) -> None:
        folder = data_folder / "Fluo-N2DH-SIM+" / "01"
        rates = CorruptionRates(0.05, 0.01, 0.01, 0.01)
        write_corrupted(folder.with_name("01_GT"), tmp_path / "masks", rates, seed=1, progress=False)
        perfect, corrupted = tmp_path / "perfect.json", tmp_path / "corrupted.json"
        shared = ["evaluate", str(folder), "--tracker", "distance", "--max-gap", "1", "--quiet", "--json"]
        assert main([*shared, str(perfect)]) == 0
        assert main([*shared, str(corrupted), "--segmentation", str(tmp_path / "masks")]) == 0
        before, after = json.loads(perfect.read_text()), json.loads(corrupted.read_text())
        assert after["accuracy"] < before["accuracy"] - 0.01
        assert after["nll"] > 1.5 * before["nll"]
        assert after["ece_false"] > 10 * before["ece_false"]
        assert 0.92 * before["n_daughters"] < after["n_daughters"] < 0.99 * before["n_daughters"]

    def test_links_over_gaps_are_judged_by_the_nearest_detected_ancestor(
        self, data_folder: Path, tmp_path: Path
    ) -> None:
        folder = data_folder / "Fluo-N2DH-SIM+" / "01"
        rates = CorruptionRates(0.05, 0.01, 0.01, 0.01)
        write_corrupted(folder.with_name("01_GT"), tmp_path / "masks", rates, seed=1, progress=False)
        report = tmp_path / "report.json"
        command = ["evaluate", str(folder), "--tracker", "distance", "--quiet", "--json", str(report)]
        assert main([*command, "--max-gap", "2", "--segmentation", str(tmp_path / "masks")]) == 0
        found = json.loads(report.read_text())
        assert found["n_after_gap"] > 80
        assert found["accuracy_after_gap"] > 0.8
        assert found["accuracy"] > 0.93
        assert 0 < found["ece_missed"] < 0.03
        assert found["ece_false"] is not None
        assert set(found["intervals"]) >= {"accuracy_after_gap", "ece_missed", "ece_false"}


def test_frames_that_a_segmentation_lacks_are_empty_where_that_is_asked_for(
    walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segmentation = tmp_path / "seg"
    shutil.copytree(walks.with_name(walks.name + "_GT") / "TRA", segmentation)
    (segmentation / "man_track.txt").unlink()
    files = sorted(segmentation.glob("*.tif"))
    files[len(files) // 2].unlink()
    report = tmp_path / "report.json"
    command = [
        "evaluate",
        str(walks),
        "--segmentation",
        str(segmentation),
        "--tracker",
        "distance",
        "--quiet",
    ]
    command += ["--json", str(report)]
    assert main(command) == 2
    assert "by their numbers 4 is missing" in capsys.readouterr().err
    assert main([*command, "--missing-frames", "skip"]) == 2
    assert not report.exists()
    assert main([*command, "--missing-frames", "empty"]) == 0
    assert json.loads(report.read_text())["n_after_gap"] > 0  # linked over the frame that is not there
    fitted = tmp_path / "T.json"
    fit = ["fit", *command[1:-2], "-o", str(fitted)]
    assert main(fit) == 2
    assert not fitted.exists()
    assert main([*fit, "--missing-frames", "empty"]) == 0
    assert json.loads(fitted.read_text())["temperature"] > 0


def test_options_that_a_fit_to_folders_would_ignore_are_refused(
    walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fit", str(walks), "--tracker", "distance", "-o", str(tmp_path / "T.json"), "--quiet"]
    assert main([*command, "--channel", "2"]) == 2
    assert "--channel would do nothing here" in capsys.readouterr().err
