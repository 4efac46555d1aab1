"""FP: the softmax of scores that are averaged over draws of noise."""

import pytest
import torch

from tests.support.probabilities import check_probabilities
from torchtrack_uq import (
    Detections,
    DistanceTracker,
    EventOffsets,
    FeaturePerturbation,
    InputError,
    ParentalSoftmax,
    PerturbedScores,
    UncertaintyLayer,
)
from torchtrack_uq.layers.mean_softmax import MeanScoresSoftmax


@pytest.fixture
def noisy(crowd: Detections) -> PerturbedScores:
    return FeaturePerturbation(4)(DistanceTracker(search_range=8, scale=4), crowd, progress=False)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("offsets", [None, EventOffsets(appear=0.7, disappear=-0.2, divide=-1.0)])
def test_it_is_the_layer_fp_and_the_softmax_of_the_mean(
    noisy: PerturbedScores, temperature: float, offsets: EventOffsets | None
) -> None:
    by_name = UncertaintyLayer("FP", temperature, events=offsets)(noisy)
    by_object = UncertaintyLayer(MeanScoresSoftmax(), temperature, events=offsets)(noisy)
    by_hand = UncertaintyLayer("SM", temperature, events=offsets)(noisy.mean_graph())
    for other in (by_object, by_hand):
        for column in ("log_link", "log_null", "disappear", "divide"):
            assert torch.equal(getattr(by_name, column), getattr(other, column)), column
    assert by_object.method == by_name.method == "FP"
    check_probabilities(by_object, capacity=False)


def test_probabilities_come_with_the_trackers_own_scores(noisy: PerturbedScores) -> None:
    found = UncertaintyLayer(MeanScoresSoftmax(), 2.0)(noisy)
    assert torch.equal(found.graph.score, noisy.graph.score)
    assert not torch.equal(found.graph.score, noisy.mean_graph().score)


def test_as_a_module_on_one_graph_it_is_the_plain_softmax(noisy: PerturbedScores) -> None:
    mean = noisy.mean_graph()
    assert torch.equal(MeanScoresSoftmax()(mean).link, ParentalSoftmax()(mean).link)


def test_scores_without_noise_are_refused_with_what_makes_them(noisy: PerturbedScores) -> None:
    layer = UncertaintyLayer(MeanScoresSoftmax())
    assert layer.perturbation is not None
    with pytest.raises(
        InputError, match=r"method FP needs scores under noise; make them with `layer\.scores"
    ):
        layer(noisy.graph)
