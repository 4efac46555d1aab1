"""Event scores that depend on the border and on sizes, fitted, kept in files and used."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from tests.support.simulated import EVENTS, simulated_movie
from torchtrack_uq import EventModel, EventOffsets, InputError, UncertainTracker, UncertaintyLayer
from torchtrack_uq.assignment import sample
from torchtrack_uq.calibration import Calibration, ScoredMovie, fit_events
from torchtrack_uq.calibration.lightning_events import EventModule
from torchtrack_uq.cli import main
from torchtrack_uq.posterior.map_links import map_links
from torchtrack_uq.truth.targets import LinkTargets

COEFFICIENTS = {
    "appear_at_border": 3.0,
    "disappear_at_border": 1.0,
    "border_width": 0.8,
    "divide_size": 1.5,
    "divide_shrinking": -1.0,
}


def drawn_with(model: EventOffsets, n_groups: int = 1500, seed: int = 0) -> ScoredMovie:
    """A movie whose truth is one draw from the posterior that the model makes of its scores."""
    movie = simulated_movie(n_groups, seed)
    rng = np.random.default_rng(seed)
    n = movie.graph.n_cells
    columns = [rng.uniform(0, 3, n), rng.normal(0, 0.7, n), rng.normal(0, 0.7, n)]
    covariates = torch.tensor(np.stack(columns, 1).astype(np.float32))
    graph = replace(movie.graph, covariates=covariates)
    with torch.no_grad():
        problem = model(graph).problem(1)
    parent = sample(problem, 1, seed=seed)[0]
    mother = torch.full((n,), -1)
    mother[graph.is_daughter] = torch.from_numpy(parent)
    return ScoredMovie("drawn", graph, LinkTargets.from_mothers(mother, graph.frame))


def test_known_coefficients_are_found_again() -> None:
    movie = drawn_with(EventModel(appear=-1.0, divide=-0.5, **COEFFICIENTS))
    layer = UncertaintyLayer("auto", events=EventModel())
    found = fit_events(layer, [movie], offset_width=None, coefficient_width=None)
    assert found.temperature == pytest.approx(1.0, rel=0.15)
    for name, wanted in COEFFICIENTS.items():
        assert found.coefficients[name] == pytest.approx(wanted, abs=0.5), name
    constants = fit_events(UncertaintyLayer("auto", events=EventOffsets()), [movie], offset_width=None)
    assert constants.coefficients is None
    assert found.log_likelihood_after > constants.log_likelihood_after + 0.01


def test_a_narrow_prior_leaves_constants() -> None:
    movie = drawn_with(EventModel(**COEFFICIENTS), n_groups=100)
    layers = [UncertaintyLayer("auto", events=events) for events in (EventModel(), EventOffsets())]
    narrow = fit_events(layers[0], [movie], coefficient_width=1e-4)
    plain = fit_events(layers[1], [movie])
    assert narrow.temperature == pytest.approx(plain.temperature, rel=1e-3)
    assert narrow.offsets == pytest.approx(plain.offsets, abs=1e-2)
    assert abs(narrow.coefficients["appear_at_border"]) < 1e-3


def test_what_is_not_there_is_shrunk_to_nothing() -> None:
    movie = drawn_with(EventOffsets(appear=-EVENTS["appear"]), n_groups=60, seed=1)
    wide, narrow = (
        fit_events(
            UncertaintyLayer("auto", events=EventModel()), [movie], coefficient_width=width
        ).coefficients
        for width in (3.0, 0.1)
    )
    for name in ("appear_at_border", "disappear_at_border", "divide_size", "divide_shrinking"):
        assert abs(narrow[name]) < max(abs(wide[name]), 0.05) + 1e-6


def test_an_interrupted_fit_leaves_the_layer_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    movie = drawn_with(EventModel(), n_groups=20)
    layer = UncertaintyLayer("auto", 1.3, events=EventModel(0.1, **COEFFICIENTS))
    before = {name: value.clone() for name, value in layer.events.state_dict().items()}
    calls = iter(range(100))
    real = type(layer).tempered

    def interrupted(self: UncertaintyLayer, graph: object) -> object:
        if next(calls) > 6:
            raise KeyboardInterrupt
        return real(self, graph)

    monkeypatch.setattr(type(layer), "tempered", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_events(layer, [movie])
    assert all(torch.equal(layer.events.state_dict()[name], value) for name, value in before.items())
    assert not layer.scaler.fitted


def test_movies_without_covariates_are_refused() -> None:
    with pytest.raises(InputError, match="needs covariates"):
        fit_events(UncertaintyLayer("auto", events=EventModel()), [simulated_movie(5, 0)])


@pytest.mark.filterwarnings(
    "ignore:.*LeafSpec:FutureWarning", "ignore:.*num_workers", "ignore:.*log_every_n_steps"
)
def test_lightning_finds_the_same() -> None:
    movie = drawn_with(EventModel(**COEFFICIENTS), n_groups=100, seed=2)
    layer, other = (UncertaintyLayer("auto", events=EventModel()) for _ in range(2))
    found = fit_events(layer, [movie])
    module = EventModule(other, [movie])
    trainer = pl.Trainer(
        max_epochs=5, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module)
    assert module.fit_result is not None
    assert module.fit_result.temperature == pytest.approx(found.temperature, rel=1e-2)
    assert module.fit_result.coefficients == pytest.approx(found.coefficients, abs=2e-2)


class TestFile:
    offsets = {"appear": 1.0, "disappear": -1.0, "divide": 0.5}  # noqa: RUF012

    def test_keeps_the_model(self, tmp_path: Path) -> None:
        one = Calibration(1.5, "auto", "distance", offsets=self.offsets, event_model=COEFFICIENTS)
        file = one.save(tmp_path / "c.json")
        events = Calibration.load(file).layer().events
        assert isinstance(events, EventModel)
        assert events.values == self.offsets
        assert events.coefficients == pytest.approx(COEFFICIENTS)
        assert json.loads(file.read_text())["format"].endswith(
            "calibration 3"
        )  # older versions would ignore it

    def test_without_a_model_is_as_before(self, tmp_path: Path) -> None:
        content = json.loads(
            Calibration(1.5, "auto", "distance", offsets=self.offsets).save(tmp_path / "c.json").read_text()
        )
        assert content["format"].endswith("calibration 2")
        assert "event_model" not in content

    @pytest.mark.parametrize(
        "broken",
        [{}, {**COEFFICIENTS, "border_width": 0.0}, {**COEFFICIENTS, "divide_size": math.inf}, [1.0]],
    )
    def test_broken_models_are_refused(self, broken: object) -> None:
        with pytest.raises(InputError, match="event_model must be"):
            Calibration(1.5, "auto", "distance", offsets=self.offsets, event_model=broken)
        with pytest.raises(InputError, match="beside offsets"):
            Calibration(1.5, "auto", "distance", event_model=COEFFICIENTS)


def test_fitted_by_the_command_evaluated_and_tracked_with(walks: Path, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    shared = ["--tracker", "distance", "--max-gap", "2", "--quiet"]
    assert main(["fit", str(walks), "-o", str(file), "--event-model", *shared]) == 0
    fitted = Calibration.load(file)
    assert fitted.event_model is not None
    report = tmp_path / "report.json"
    assert main(["evaluate", str(walks), "--temperature", str(file), "--json", str(report), *shared]) == 0
    assert json.loads(report.read_text())["nll"] > 0
    masks = walks.parent / f"{walks.name}_GT" / "TRA"
    result = UncertainTracker("distance", temperature=file).track(None, masks, progress=False)
    graph = result.candidates
    assert graph.covariates is not None
    assert graph.max_gap == 2
    chosen = map_links(fitted.layer().corrected(graph).detach())
    assert np.array_equal(result.selected, chosen)
    result.save(tmp_path / "out", progress=False)
    assert (tmp_path / "out" / "cells.csv").is_file()
