"""A fit in words: what a calibration file says of it."""

from pathlib import Path

import pytest

from torchtrack_uq import DistanceTracker, InputError, UncertaintyLayer
from torchtrack_uq.calibration import (
    Calibration,
    CalibrationWarning,
    describe_fit,
    fit_events,
    fit_temperature,
    score_folders,
)
from torchtrack_uq.calibration.movie_prior import mean_prior, movie_prior
from torchtrack_uq.cli import main
from torchtrack_uq.layers import EventOffsets
from torchtrack_uq.metrics import summarise


class TestDescribeFit:
    @pytest.mark.parametrize("events", [False, True])
    def test_a_fit_in_python_is_as_good_as_one_by_the_command(
        self, walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, events: bool
    ) -> None:
        tracker = DistanceTracker()
        layer = UncertaintyLayer("AS", events=EventOffsets() if events else None)
        movies = list(score_folders([walks], tracker, layer, progress=False))
        fit = fit_temperature(layer, movies)
        prior = movie_prior(tracker)
        assert prior is not None
        if events:
            fit = fit_events(layer, movies, prior=mean_prior([prior.at(movie.graph) for movie in movies]))
        described = describe_fit(layer, tracker, movies, fit)
        assert float(layer.temperature.detach()) == pytest.approx(fit.temperature)
        file = tmp_path / "command.json"
        command = [
            "fit",
            str(walks),
            "-o",
            str(file),
            "--tracker",
            "distance",
            "--method",
            "AS",
            "--max-gap",
            "1",
        ]
        flags = ["--events"] if events else ["--temperature-only", "--not-cautious"]
        assert main([*command, *flags, "--quiet"]) == 0
        assert f"fitted on {fit.n_daughters} daughters" in capsys.readouterr().out
        stored = Calibration.load(file)
        assert described.review is not None
        assert stored.review is not None
        assert described.review.to_json() == stored.review.to_json()
        known = ["temperature", "n_daughters", "nll_after", "ece_after"]
        for name in known if events else [*known, "nll_before", "ece_before"]:
            assert getattr(described, name) == pytest.approx(getattr(stored, name), rel=1e-6), name
        for name in (
            "method",
            "tracker",
            "stride",
            "max_gap",
            "offsets",
            "movies",
            "fingerprint",
            "prior_width",
        ):
            assert getattr(described, name) == getattr(stored, name), name

    def test_the_best_assignments_are_found_anew_under_fitted_events(self, walks: Path) -> None:
        tracker, layer = DistanceTracker(), UncertaintyLayer("AS", events=EventOffsets())
        movies = list(score_folders([walks], tracker, layer, progress=False))
        with pytest.warns(CalibrationWarning, match="no annotated cell disappears"):
            fit = fit_events(layer, movies)
        again = [movie.solve(layer) for movie in movies]
        expected = summarise([movie.judge(layer) for movie in again])["nll_reachable"]
        stale = summarise([movie.judge(layer) for movie in movies])["nll_reachable"]
        assert expected != pytest.approx(stale, abs=1e-6)
        assert describe_fit(layer, tracker, movies, fit).nll_after == pytest.approx(expected)

    def test_refuses_what_does_not_fit_together(self, walks: Path) -> None:
        tracker, layer = DistanceTracker(), UncertaintyLayer("SM")
        movies = list(score_folders([walks], tracker, layer, progress=False))
        fit = fit_temperature(layer, movies)
        with pytest.raises(InputError, match="no annotated movie"):
            describe_fit(layer, tracker, [], fit)
        with pytest.raises(InputError, match="the layer's temperature is 1,"):
            describe_fit(UncertaintyLayer("SM"), tracker, movies, fit)
