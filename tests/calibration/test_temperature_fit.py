"""Temperatures, fitted three ways, on simulated and on real movies."""

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from tests.support.simulated import simulated_movie
from torchtrack_uq import (
    AssignmentPosterior,
    CandidateGraph,
    Detections,
    DistanceTracker,
    InputError,
    UncertaintyLayer,
)
from torchtrack_uq.calibration import CalibrationWarning, ScoredMovie, TemperatureObjective, fit_temperature
from torchtrack_uq.calibration.lightning import TemperatureModule
from torchtrack_uq.datasets import read_ctc_sequence
from torchtrack_uq.layers import FeaturePerturbation
from torchtrack_uq.metrics import summarise
from torchtrack_uq.truth.targets import LinkTargets


def lightning_fit(layer, movies, start=1.0, optimizer="lbfgs", steps=12, **options):
    layer.scaler.temperature = start
    module = TemperatureModule(layer, movies, optimizer=optimizer, **options)
    trainer = pl.Trainer(
        max_epochs=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*")
        trainer.fit(module)
    return module.fit_result.temperature


@pytest.fixture(scope="module")
def epidermis(data_folder: Path):
    """Three frames of real, dense, dividing tissue, without and with noise on the features."""
    annotated = read_ctc_sequence(data_folder / "mouse-epidermis" / "01", progress=False).frames(0, 3)
    tracker = DistanceTracker()
    plain = tracker.candidates(annotated.detections, progress=False)
    noisy = FeaturePerturbation(n_copies=5)(tracker, annotated.detections, progress=False)
    return plain, noisy, annotated.targets()


def nll_of_scipy(layer, movie) -> float:
    """Line search over the plain mean of -log P(truth), written without the package's objective."""
    solved = layer.solve(movie.scores)
    reachable = movie.targets.reachable(movie.graph)
    mother = movie.targets.mother

    def nll(log_t: float) -> float:
        layer.scaler.temperature = math.exp(log_t)
        with torch.no_grad():
            p = layer(movie.scores, solved)
        of_link = {
            (int(i), int(j)): k
            for k, (i, j) in enumerate(zip(movie.graph.mother, movie.graph.daughter, strict=True))
        }
        total = [
            p.log_link[of_link[int(mother[j]), int(j)]] if mother[j] >= 0 else p.log_null[j]
            for j in reachable.nonzero().squeeze(1)
        ]
        return -float(torch.stack(total).double().mean())

    return math.exp(minimize_scalar(nll, bounds=(-1.0, 3.0), method="bounded", options={"xatol": 1e-5}).x)


class TestThreeFitsAgree:
    @pytest.mark.parametrize("method", ["SM", "AS", pytest.param("auto", marks=pytest.mark.nightly)])
    def test_on_a_real_movie(self, epidermis, method: str) -> None:
        plain, _, targets = epidermis
        movie = ScoredMovie("epidermis", plain, targets)
        layer = UncertaintyLayer(method)
        own = fit_temperature(layer, [movie], prior_width=None).temperature
        assert math.log(own) == pytest.approx(math.log(nll_of_scipy(layer, movie)), abs=1e-3)
        assert math.log(lightning_fit(layer, [movie], prior_width=None)) == pytest.approx(
            math.log(own), abs=1e-3
        )

    @pytest.mark.parametrize("method", ["FP", "FP+A"])
    def test_under_noise(self, epidermis, method: str) -> None:
        _, noisy, targets = epidermis
        movie = ScoredMovie("epidermis", noisy, targets)
        layer = UncertaintyLayer(method)
        own = fit_temperature(layer, [movie], prior_width=None).temperature
        assert math.log(own) == pytest.approx(math.log(nll_of_scipy(layer, movie)), abs=1e-3)
        assert math.log(lightning_fit(layer, [movie], prior_width=None)) == pytest.approx(
            math.log(own), abs=1e-3
        )

    @pytest.mark.parametrize("method", ["exact", "bp"])
    def test_where_the_derivative_is_numerical(self, method: str) -> None:
        movie = simulated_movie(60, 0, scale=2.0)
        layer = UncertaintyLayer(method)
        own = fit_temperature(layer, [movie]).temperature
        assert math.log(lightning_fit(layer, [movie])) == pytest.approx(math.log(own), abs=1e-3)

    @pytest.mark.parametrize(("optimizer", "steps"), [("lbfgs", 12), ("adam", 150)])
    @pytest.mark.parametrize("start", [0.01, 1.0, 100.0])
    def test_from_anywhere(self, optimizer: str, steps: int, start: float) -> None:
        movie = simulated_movie(60, 1, scale=2.0)
        layer = UncertaintyLayer("SM")
        own = fit_temperature(layer, [movie]).temperature
        found = lightning_fit(layer, [movie], start, optimizer, steps)
        assert math.log(found) == pytest.approx(math.log(own), abs=1e-3)


class TestTemperature:
    @pytest.mark.parametrize("method", ["SM", "AS", "exact"])
    def test_five_times_the_scores_need_five_times_the_temperature(self, method: str) -> None:
        layer = UncertaintyLayer(method)
        once, five = (
            fit_temperature(
                layer, [simulated_movie(2, k, scale) for k in range(30)], prior_width=None
            ).temperature
            for scale in (1.0, 5.0)
        )
        assert five / once == pytest.approx(5.0, rel=2e-3)

    def test_the_whole_chain_is_calibrated_when_it_should_be(self) -> None:
        """Truth drawn from the model: the ECE of exact marginals falls with more data, and TS repairs a factor 3."""
        layer = UncertaintyLayer("exact")
        few, many = (
            np.mean([summarise(simulated_movie(n, 10 + k).judge(layer).detach())["ece"] for k in range(4)])
            for n in (20, 1000)
        )
        assert many < 0.02 < few
        sharp = UncertaintyLayer("exact")
        train, test = simulated_movie(600, 20, scale=3.0), simulated_movie(1000, 21, scale=3.0)
        before = summarise(test.judge(sharp).detach())
        assert before["ece"] > 0.1
        assert fit_temperature(sharp, [train]).temperature == pytest.approx(3.0, rel=0.1)
        after = summarise(test.judge(sharp).detach())
        assert after["ece"] < 0.025
        assert after["nll"] < before["nll"]

    def test_a_prior_holds_back_few_annotations(self) -> None:
        movie = simulated_movie(4, 3, scale=3.0)
        layer = UncertaintyLayer("SM")
        free = abs(math.log(fit_temperature(layer, [movie], prior_width=None).temperature))
        held = [abs(math.log(fit_temperature(layer, [movie], prior_width=w).temperature)) for w in (1.0, 0.1)]
        assert free > held[0] > held[1]

    def test_movies_count_by_their_daughters(self) -> None:
        a, b = simulated_movie(30, 4), simulated_movie(30, 5, scale=4.0)
        layer = UncertaintyLayer("SM")
        single = [fit_temperature(layer, [m]).temperature for m in (a, b)]
        assert single[0] < fit_temperature(layer, [a, b]).temperature < single[1]


class TestBadAnnotation:
    def example(self):
        return simulated_movie(10, 6)

    def test_nothing_annotated(self) -> None:
        movie = self.example()
        none = movie.only(torch.zeros(movie.graph.n_cells, dtype=torch.bool))
        with pytest.raises(InputError, match="no annotated daughter"):
            fit_temperature(UncertaintyLayer("SM"), [none])
        with pytest.raises(InputError, match="no annotated movie"):
            fit_temperature(UncertaintyLayer("SM"), [])

    def test_no_true_mother_is_a_candidate(self) -> None:
        movie = self.example()
        graph = movie.graph
        score = torch.where(movie.targets.true_link(graph), -torch.inf, graph.score)
        barred = graph.with_scores(score, graph.appear, graph.disappear, graph.divide)
        linked = movie.targets.only(movie.targets.mother >= 0)
        with pytest.raises(InputError, match="search farther"):
            fit_temperature(UncertaintyLayer("SM"), [ScoredMovie("barred", barred, linked)])
        with pytest.warns(CalibrationWarning, match="no mother"):
            left = TemperatureObjective(
                UncertaintyLayer("SM"), [ScoredMovie("barred", barred, movie.targets)]
            )
        assert left.n_unreachable == linked.n_judged

    def test_only_daughters_with_mothers(self) -> None:
        movie = self.example()
        with pytest.warns(CalibrationWarning, match="have a mother"):
            fit_temperature(UncertaintyLayer("SM"), [movie.only(movie.targets.mother >= 0)])

    @pytest.mark.parametrize(
        ("right", "bound", "why"), [(True, 0.01, "hardly ever wrong"), (False, 100.0, "say nothing")]
    )
    def test_scores_that_are_always_right_or_wrong(self, right: bool, bound: float, why: str) -> None:
        movie = self.example()
        graph = movie.graph
        likeliest = UncertaintyLayer("SM")(graph)
        mother = torch.full((graph.n_cells,), -1)
        order = torch.argsort(likeliest.link.detach(), descending=not right, stable=True)
        for k in order.tolist():  # the last one written is the best, or the worst
            mother[graph.daughter[k]] = graph.mother[k]
        null = likeliest.null.detach()
        keep = (null < 0.2) & (mother >= 0)
        targets = LinkTargets.from_mothers(mother, graph.frame).only(keep)
        layer = UncertaintyLayer("SM")
        with pytest.warns(CalibrationWarning) as caught:
            found = fit_temperature(layer, [ScoredMovie("extreme", graph, targets)], prior_width=None)
        assert any(why in str(warning.message) for warning in caught)
        assert found.at_bound
        assert found.temperature == pytest.approx(bound, rel=1e-2)

    def test_an_interrupted_fit_leaves_the_layer_as_it_was(self, monkeypatch) -> None:
        layer = UncertaintyLayer("SM", 1.7)
        real = TemperatureObjective.value
        calls = []

        def interrupted(self, log_temperature):
            calls.append(log_temperature)
            if len(calls) == 5:
                raise KeyboardInterrupt
            return real(self, log_temperature)

        monkeypatch.setattr(TemperatureObjective, "value", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit_temperature(layer, [self.example()])
        assert float(layer.temperature.detach()) == pytest.approx(1.7)
        assert not layer.scaler.fitted

    def test_an_interrupt_at_the_very_end_does_so_too(self, monkeypatch) -> None:
        def interrupted(self):
            raise KeyboardInterrupt

        monkeypatch.setattr(TemperatureObjective, "cross_validation", interrupted)
        layer = UncertaintyLayer("SM", 1.7)
        with pytest.raises(KeyboardInterrupt):
            fit_temperature(layer, [self.example()])
        assert float(layer.temperature.detach()) == pytest.approx(1.7)
        assert not layer.scaler.fitted

    @pytest.mark.parametrize("fit", [lightning_fit, lambda *args: fit_temperature(*args).temperature])
    def test_a_movie_without_a_usable_daughter_changes_nothing(self, fit) -> None:
        movie, other = self.example(), simulated_movie(5, 7)
        none = other.only(torch.zeros(other.graph.n_cells, dtype=torch.bool))
        alone = fit(UncertaintyLayer("SM"), [movie])
        assert fit(UncertaintyLayer("SM"), [none, movie, none]) == pytest.approx(alone)

    def test_options(self) -> None:
        with pytest.raises(InputError, match="prior_width"):
            fit_temperature(UncertaintyLayer("SM"), [self.example()], prior_width=0.0)
        with pytest.raises(InputError, match="optimizer"):
            TemperatureModule(UncertaintyLayer("SM"), [self.example()], optimizer="sgd")
        movie = self.example()
        three = LinkTargets.from_mothers(torch.tensor([-1, -1, 0]), torch.tensor([0, 0, 1]))
        with pytest.raises(InputError, match="targets of 3"):
            ScoredMovie("other", movie.graph, three)


def test_temperatures_at_which_exact_gives_up_are_no_candidates() -> None:
    movie = simulated_movie(60, 7, scale=2.0)
    layer = UncertaintyLayer(AssignmentPosterior("exact", memory_limit=1 << 16))
    layer.scaler.temperature = 100.0
    crowded = simulated_movie(1, 8)
    assert fit_temperature(layer, [movie, crowded]).temperature < 10
    hopeless = UncertaintyLayer(AssignmentPosterior("exact", memory_limit=1))
    with pytest.raises(InputError, match="fit method auto"):
        fit_temperature(hopeless, [movie])


class TestFitTemperature:
    """What the fit without Lightning finds, and how it leaves the layer."""

    def links(self, n_right: int, score: float, n: int = 20) -> ScoredMovie:
        """n daughters with a candidate each, all of one score; n_right of them are hers, the others appeared."""
        cells = Detections.from_points(np.repeat([0, 1], n), np.zeros((2 * n, 2)))
        graph = CandidateGraph.from_links(cells, np.arange(n), np.arange(n, 2 * n), np.full(n, score))
        mother = torch.full((2 * n,), -1)
        mother[n : n + n_right] = torch.arange(n_right)
        return ScoredMovie(f"{n_right} of {n}", graph, LinkTargets.from_mothers(mother, graph.frame))

    @settings(max_examples=25)
    @given(st.integers(11, 19), st.floats(1.0, 20.0))
    def test_it_is_the_temperature_at_which_links_are_right_as_often_as_they_say(
        self, n_right: int, score: float
    ) -> None:
        layer, movie = UncertaintyLayer("SM"), self.links(n_right, score)
        found = fit_temperature(layer, [movie], prior_width=None)
        assert found.temperature == pytest.approx(score / math.log(n_right / (20 - n_right)), rel=2e-3)
        assert float(layer(movie.graph).link[0].detach()) == pytest.approx(n_right / 20, abs=1e-3)
        share = n_right / 20
        entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
        assert found.nll_after == pytest.approx(entropy, abs=1e-5)
        assert found.nll_after <= found.nll_before
        assert (found.n_daughters, found.n_unreachable, found.at_bound) == (20, 0, False)

    @pytest.mark.parametrize("start", [0.02, 1.0, 60.0])
    def test_where_the_layer_starts_does_not_matter_and_it_ends_fitted(self, start: float) -> None:
        layer = UncertaintyLayer("SM", start)
        found = fit_temperature(layer, [self.links(16, 6.0)])
        assert found.temperature == fit_temperature(UncertaintyLayer("SM"), [self.links(16, 6.0)]).temperature
        assert float(layer.temperature.detach()) == pytest.approx(found.temperature)
        assert bool(layer.scaler.fitted)

    def test_the_order_of_movies_does_not_matter(self) -> None:
        movies = [self.links(18, 6.0), self.links(12, 3.0), self.links(15, 9.0)]
        one, other = (fit_temperature(UncertaintyLayer("SM"), m).temperature for m in (movies, movies[::-1]))
        assert one == pytest.approx(other, rel=1e-4)
