"""Priors that come with the package, and what they do to a movie that nobody annotated."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.simulated_gaps import movie_with_gaps
from torchtrack_uq import (
    ActivityTracker,
    CandidateGraph,
    Detections,
    DistanceTracker,
    EventOffsets,
    InputError,
    OverlapTracker,
    UncertainTracker,
    UncertaintyLayer,
)
from torchtrack_uq.calibration import GaussianPrior, MoviePrior, fit_events, movie_prior
from torchtrack_uq.calibration.first_look import LOOKS, first_look
from torchtrack_uq.calibration.movie_prior import mean_prior
from torchtrack_uq.cli import main
from torchtrack_uq.datasets.example import hela_example
from torchtrack_uq.posterior import map_links
from torchtrack_uq.trackers import make_tracker


def a_prior(**changed: object) -> MoviePrior:
    names = ("log_temperature", "appear", "disappear", "divide", "miss")
    values = {
        "tracker": "distance",
        "version": "test",
        "movies": ("one",),
        "names": names,
        "coefficients": np.zeros((1 + len(LOOKS), len(names))),
        "covariance": np.eye(len(names)),
        "look_at": (1.0, {"disappear": -1.0}),
        "lowest": np.full(len(LOOKS), -1.0),
        "highest": np.full(len(LOOKS), 1.0),
    }
    return MoviePrior(**{**values, **changed})


class TestGaussianPrior:
    def test_its_penalty_is_minus_the_log_density_up_to_a_constant(self) -> None:
        rng = np.random.default_rng(0)
        root = rng.normal(size=(3, 3))
        prior = GaussianPrior(("a", "b", "c"), rng.normal(size=3), root @ root.T + np.eye(3))
        density = torch.distributions.MultivariateNormal(
            torch.from_numpy(prior.mean), torch.from_numpy(prior.covariance)
        )
        points = torch.from_numpy(rng.normal(size=(2, 3)))
        first, second = (prior.penalty(dict(zip("abc", point, strict=True))) for point in points)
        torch.testing.assert_close(first - second, density.log_prob(points[1]) - density.log_prob(points[0]))

    def test_a_part_of_it_is_its_marginal(self) -> None:
        covariance = np.array([[2.0, 0.9], [0.9, 1.0]])
        part = GaussianPrior(("a", "b"), np.array([1.0, 2.0]), covariance).of(["b", "z"])
        assert (part.names, part.mean.tolist(), part.covariance.tolist()) == (("b",), [2.0], [[1.0]])

    @pytest.mark.parametrize(
        ("mean", "covariance", "message"),
        [
            ([0.0], np.eye(2), "expected"),
            ([0.0, np.nan], np.eye(2), "finite"),
            ([0.0, 0.0], np.array([[1.0, 2.0], [2.0, 1.0]]), "positive definite"),
            ([0.0, 0.0], np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        ],
    )
    def test_what_is_no_gaussian_is_refused(
        self, mean: list[float], covariance: np.ndarray, message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            GaussianPrior(("a", "b"), np.array(mean), covariance)

    def test_it_survives_a_file(self) -> None:
        prior = GaussianPrior(("a",), np.array([0.25]), np.array([[4.0]]))
        again = GaussianPrior.from_json(json.loads(json.dumps(prior.to_json())))
        assert (again.values, again.widths) == ({"a": 0.25}, {"a": 2.0})
        with pytest.raises(InputError, match="needs names"):
            GaussianPrior.from_json({"names": ["a"]})


class TestFirstLook:
    def test_more_missed_cells_look_worse(self, hela_cells: Detections) -> None:
        looks = []
        for missing in (0.0, 0.1):
            kept = np.random.default_rng(0).random(len(hela_cells)) >= missing
            cells = Detections.from_points(
                hela_cells.frame[kept], hela_cells.coords[kept], n_frames=hela_cells.n_frames
            )
            looks.append(first_look(DistanceTracker(max_gap=2).candidates(cells), 1.5, {"disappear": -1.3}))
        missed = LOOKS.index("missed")
        assert float(looks[1][missed]) > float(looks[0][missed]) + 0.5

    def test_stretches_of_a_long_movie_look_like_all_of_it(
        self, hela_cells: Detections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        graph = DistanceTracker(max_gap=2).candidates(hela_cells)
        whole = first_look(graph, 1.5, {"disappear": -1.3})
        monkeypatch.setattr("torchtrack_uq.calibration.first_look.MOST_CELLS", len(hela_cells) // 2)
        stretches = first_look(graph, 1.5, {"disappear": -1.3})
        assert not torch.equal(whole, stretches)
        torch.testing.assert_close(whole, stretches, atol=0.4, rtol=0)

    @pytest.mark.parametrize("most", [1, 3, 30])
    @pytest.mark.parametrize("max_gap", [1, 3])
    def test_few_frames_or_cells_are_enough_for_stretches(
        self, monkeypatch: pytest.MonkeyPatch, most: int, max_gap: int
    ) -> None:
        monkeypatch.setattr("torchtrack_uq.calibration.first_look.MOST_CELLS", most)
        for n_frames in (1, 2, 3, 9):
            frame = np.repeat(np.arange(n_frames), 4)
            frame = frame[frame != 4]  # an empty one
            cells = Detections.from_points(frame, np.random.default_rng(0).random((len(frame), 2)) * 50)
            graph = DistanceTracker(scale=5.0, max_gap=max_gap).candidates(cells)
            assert torch.isfinite(first_look(graph, 1.0, {})).all()

    def test_an_empty_movie_has_a_look(self) -> None:
        cells = Detections.from_points(np.zeros(0, int), np.zeros((0, 2)), n_frames=3)
        graph = CandidateGraph.from_links(cells, [], [], np.zeros(0), max_gap=2)
        assert torch.isfinite(first_look(graph, 1.0, {})).all()


class TestMoviePrior:
    def test_a_look_beyond_all_movies_counts_as_the_farthest(self) -> None:
        graph = movie_with_gaps(20, 2, miss=-2.0).graph
        slopes = np.zeros((1 + len(LOOKS), 5))
        slopes[1:, 0] = 1.0
        narrow = np.full(len(LOOKS), 0.1)
        mean = a_prior(coefficients=slopes, lowest=narrow, highest=narrow).at(graph).values
        assert mean["log_temperature"] == pytest.approx(0.1 * len(LOOKS))

    def test_its_layer_has_the_mean(self) -> None:
        graph = movie_with_gaps(20, 2, miss=-2.0).graph
        coefficients = np.zeros((1 + len(LOOKS), 5))
        coefficients[0] = [math.log(2), -0.5, -1.0, -2.0, 0.5]
        layer = a_prior(coefficients=coefficients).layer(UncertaintyLayer("exact"), graph)
        assert layer.method == "exact"
        assert float(layer.temperature.detach()) == pytest.approx(2.0)
        assert layer.events is not None
        assert layer.events.values == {"appear": -0.5, "disappear": -1.0, "divide": -2.0, "miss": 0.5}

    def test_shapes_that_do_not_fit_are_refused(self) -> None:
        with pytest.raises(InputError, match="coefficients"):
            a_prior(coefficients=np.zeros((2, 5)))
        with pytest.raises(InputError, match="this is no prior"):
            MoviePrior.from_json("distance", {"version": "1"})

    def test_it_survives_a_file(self) -> None:
        prior = a_prior()
        again = MoviePrior.from_json("distance", json.loads(json.dumps(prior.to_json())))
        assert again.to_json() == prior.to_json()

    def test_several_movies_share_the_mean_of_their_means(self) -> None:
        one, other = (GaussianPrior(("a",), np.array([x]), np.eye(1)) for x in (1.0, 3.0))
        assert mean_prior([one, other]).values == {"a": 2.0}
        with pytest.raises(InputError, match="no movie"):
            mean_prior([])


@pytest.mark.parametrize("name", ["distance", "overlap", "activity", "trackastra"])
@pytest.mark.parametrize("max_gap", [1, 2])
def test_every_tracker_that_comes_with_the_package_has_one(name: str, max_gap: int) -> None:
    prior = movie_prior(make_tracker(name, "cpu", max_gap=max_gap))
    assert prior is not None
    assert ("miss" in prior.names) == (max_gap > 1)
    assert len(prior.movies) >= 3
    assert 0.2 < math.exp(prior.coefficients[0, 0]) < 5


@pytest.mark.parametrize(
    "tracker",
    [
        DistanceTracker(appear=-3.0),
        DistanceTracker(divide=-math.inf),
        DistanceTracker(search_range=10.0),
        DistanceTracker(max_gap=2, miss=-3.0),
        OverlapTracker(cutoff=0.5),
        ActivityTracker(smallest=0.02),
    ],
)
def test_event_scores_of_ones_own_have_none(tracker: DistanceTracker) -> None:
    assert movie_prior(tracker) is None


class TestUncertainTracker:
    def test_only_methods_that_sum_and_no_number_take_it(self) -> None:
        assert UncertainTracker("distance").prior is not None
        assert UncertainTracker("distance", "AS").prior is not None
        assert UncertainTracker("distance", "SM").prior is None
        assert UncertainTracker("distance", "FP+A").prior is None
        assert UncertainTracker("distance", temperature=1.0).prior is None
        assert UncertainTracker("distance", "AS", paper=True).prior is None
        assert UncertainTracker(DistanceTracker(divide=-1.0)).prior is None
        assert UncertainTracker("distance", UncertaintyLayer("auto")).prior is None

    def test_probabilities_and_tracks_are_those_of_the_prior_at_the_movie(self) -> None:
        images, masks = hela_example()
        uncertain = UncertainTracker("distance")
        result = uncertain.track(images, masks, progress=False)
        graph = DistanceTracker(max_gap=2).candidates(result.detections)
        assert uncertain.prior is not None
        layer = uncertain.prior.layer(UncertaintyLayer("auto"), graph)
        with torch.no_grad():
            expected = layer(graph)
        torch.testing.assert_close(result.probabilities.link, expected.link)
        assert result.temperature == pytest.approx(float(layer.temperature.detach()))
        torch.testing.assert_close(result.candidates.score, graph.score)  # the tracker's own
        again = uncertain.layer_for(result.candidates)
        np.testing.assert_array_equal(map_links(again.corrected(result.candidates)), result.selected)
        with torch.no_grad():
            torch.testing.assert_close(again(result.candidates).link, result.probabilities.link)
        assert f"T and event scores from other movies: {uncertain.prior.name}" in result.summary()


def test_evaluate_says_which_prior_and_what_it_made_of_each_movie(
    tmp_path: Path, walks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    arguments = ["evaluate", str(walks), "--tracker", "distance", "--json", str(file), "--quiet"]
    assert main(arguments) == 0
    report = json.loads(file.read_text())
    prior = movie_prior(DistanceTracker(max_gap=2))
    assert prior is not None
    assert report["prior"] == prior.name
    assert f"from other movies: {prior.name}" in capsys.readouterr().out
    (sequence,) = report["sequences"].values()
    assert sequence["temperature"] == pytest.approx(report["temperature"])
    assert set(sequence["offsets"]) == {"appear", "disappear", "divide", "miss"}
    assert main([*arguments, "--temperature", "1"]) == 0
    plain = json.loads(file.read_text())
    assert (plain["prior"], plain["temperature"]) == (None, 1.0)
    assert "other movies" not in capsys.readouterr().out


def test_a_fit_says_how_sure_it_is(tmp_path: Path, walks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "calibration.json"
    assert main(["fit", str(walks), "--tracker", "distance", "-o", str(file), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "T lies between" in said
    assert "with three times as many annotated ones" in said
    content = json.loads(file.read_text())
    assert content["prior"].startswith("distance ")
    assert set(content["standard_errors"]) == {"log_temperature", "appear", "disappear", "divide", "miss"}
    assert (
        main(["fit", str(walks), "--tracker", "distance", "-o", str(file), "--quiet", "--temperature-only"])
        == 0
    )
    assert json.loads(file.read_text())["offsets"] is None


def test_the_prior_of_a_fit_matters_less_the_more_is_annotated() -> None:
    movie = movie_with_gaps(300, 9, miss=-2.0)
    known = movie.targets.known.nonzero().squeeze(1)
    coefficients = np.zeros((1 + len(LOOKS), 5))
    coefficients[0] = [1.0, 2.0, 2.0, -2.0, 1.0]
    prior = a_prior(coefficients=coefficients).at(movie.graph)
    fits = {}
    for n, given in ((5, prior), (len(known), prior), (len(known), None)):
        chosen = torch.zeros(movie.graph.n_cells, dtype=torch.bool)
        chosen[known[torch.randperm(len(known), generator=torch.Generator().manual_seed(0))[:n]]] = True
        layer = UncertaintyLayer("auto", events=EventOffsets())
        found = fit_events(layer, [movie.only(chosen)], prior=given)
        fits[n, given is None] = math.log(found.temperature)
        sure = found.certainty.standard_errors["log_temperature"]
        assert sure < (1.0 if n == 5 else 0.2)
    few, many, alone = fits.values()
    assert abs(many - alone) < 0.2 < abs(few - alone)
