"""A calibration file makes the very method that it was fitted for."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.simulated import simulated_movie
from torchtrack_uq import AssignmentPosterior, DistanceTracker, InputError, ParentalSoftmax, UncertaintyLayer
from torchtrack_uq.calibration import Calibration, describe_fit, fit_temperature
from torchtrack_uq.layers import METHODS, FeaturePerturbation
from torchtrack_uq.uncertain_tracker import UncertainTracker
from torchtrack_uq.utils.registry import Entry


def fitted(layer: UncertaintyLayer) -> Calibration:
    movie = simulated_movie(60, 0, scale=1.5)
    return describe_fit(layer, DistanceTracker(), [movie], fit_temperature(layer, [movie]))


OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("AS", {"k": 10}),
    ("AS", {"leftover": False, "null_class": False}),
    ("SM", {"null_class": False}),
    ("FP+A", {"eps": 0.0}),
    ("exact", {"tolerance": 0.01}),
    ("auto", {"memory_limit": 1 << 21}),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_options_round_trip(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    saved = Calibration(1.5, name, "distance", method_options=options).save(tmp_path / "c.json")
    layer = Calibration.load(saved).layer()
    assert (layer.method, layer.options) == (name, options)


@pytest.mark.parametrize(
    "layer",
    [
        UncertaintyLayer("AS", k=3),
        UncertaintyLayer(AssignmentPosterior("AS", 20, leftover=False)),
        UncertaintyLayer(ParentalSoftmax(null_class=False)),
        UncertaintyLayer("AS", paper=True),
    ],
    ids=str,
)
def test_a_fitted_layer_comes_back_with_its_numbers(tmp_path: Path, layer: UncertaintyLayer) -> None:
    calibration = Calibration.load(fitted(layer).save(tmp_path / "c.json"))
    assert calibration.method_options == layer.options
    again, graph = calibration.layer(), simulated_movie(30, 1, scale=1.5).graph
    assert again.options == layer.options
    assert torch.equal(again(graph).link, layer(graph).link)


def test_files_without_options_are_of_the_default_ones(tmp_path: Path) -> None:
    file = Calibration(1.5, "AS", "distance").save(tmp_path / "c.json")
    content = json.loads(file.read_text())
    assert content["format"] == "torchtrack-uq calibration 2"
    del content["method_options"]
    file.write_text(json.dumps({**content, "format": "torchtrack-uq calibration 1"}))
    read = Calibration.load(file)
    assert read.method_options == {}
    assert read.layer().options == {}


def test_options_that_say_the_default_are_none() -> None:
    one = Calibration(1.0, "AS", "distance", method_options={"k": 100, "leftover": False})
    assert one.method_options == {"leftover": False}


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("AS", '{"n": 3}', "method AS takes no n"),
        ("SM", '{"k": 3}', "method SM takes no k; it is for AS"),
        ("AS", '{"k": 0}', "k must be an integer of at least 1"),
        ("AS", '{"k": "many"}', "cannot be used"),
        ("AS", "[1]", "method_options must be options by name"),
    ],
)
def test_unknown_options_are_refused(tmp_path: Path, method: str, options: str, message: str) -> None:
    (tmp_path / "c.json").write_text(
        f'{{"format": "torchtrack-uq calibration 2", "method": "{method}", "tracker": "a", "temperature": 1, '
        f'"method_options": {options}}}'
    )
    with pytest.raises(InputError, match=message):
        Calibration.load(tmp_path / "c.json")


class TestUse:
    calibration = Calibration(1.5, "AS", "distance", method_options={"k": 10})

    def test_with_other_options_is_refused_in_one_sentence(self) -> None:
        self.calibration.check("AS", "distance", options={"k": 10})
        for options in ({}, {"k": 5}, {"k": 10, "leftover": False}):
            with pytest.raises(InputError, match="fitted for method AS with k=10, but is used with AS"):
                self.calibration.check("AS", "distance", options=options)

    def test_by_name_takes_the_options_of_the_calibration(self) -> None:
        assert UncertainTracker(DistanceTracker(), "AS", self.calibration).layer.options == {"k": 10}
        same = AssignmentPosterior("AS", 10)
        assert UncertainTracker(DistanceTracker(), same, self.calibration).layer.options == {"k": 10}

    def test_by_an_object_or_as_the_paper_has_to_match(self) -> None:
        with pytest.raises(InputError, match="is used with AS: a temperature"):
            UncertainTracker(DistanceTracker(), AssignmentPosterior("AS"), self.calibration)
        with pytest.raises(InputError, match="is used with AS with leftover=False, null_class=False"):
            UncertainTracker(DistanceTracker(), "AS", self.calibration, paper=True)
        paper = Calibration(1.5, "SM", "distance", method_options={"null_class": False})
        assert UncertainTracker(DistanceTracker(), "SM", paper, paper=True).layer.options == {
            "null_class": False
        }

    def test_noise_may_be_chosen(self) -> None:
        noise = FeaturePerturbation(3)
        assert Calibration(1.0, "FP", "distance").layer(perturbation=noise).perturbation is noise


class TestAMethodOfOnesOwn:
    class Halved(ParentalSoftmax):
        """Of scores divided by a number."""

        name = "halved"

        def __init__(self, by: float = 2.0) -> None:
            super().__init__()
            self.by = by

        def forward(self, graph: Any) -> Any:
            return super().forward(
                graph.with_scores(graph.score / self.by, graph.appear, graph.disappear, graph.divide)
            )

    def test_that_is_in_no_registry_makes_no_file(self) -> None:
        with pytest.raises(
            InputError, match=r"method halved is in no registry.*register it, METHODS\.add\('halved'"
        ):
            fitted(UncertaintyLayer(self.Halved()))

    def test_round_trips_once_it_is_registered(self, tmp_path: Path) -> None:
        METHODS.add("halved", Entry("a softmax of less", self.Halved, options=("by",)))
        try:
            for layer in (UncertaintyLayer(self.Halved()), UncertaintyLayer(self.Halved(by=3.0))):
                again = Calibration.load(fitted(layer).save(tmp_path / "c.json")).layer()
                assert again.options == layer.options
                graph = simulated_movie(30, 1, scale=1.5).graph
                np.testing.assert_array_equal(again(graph).link.detach(), layer(graph).link.detach())
        finally:
            METHODS.remove("halved")
        with pytest.raises(InputError, match=r"'halved' is unknown.*METHODS\.add"):
            Calibration.load(tmp_path / "c.json")
