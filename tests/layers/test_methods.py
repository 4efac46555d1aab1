"""Equations 4 to 6 of the paper by hand, and what connects the methods."""

import numpy as np
import pytest
import torch

from tests.support.probabilities import check_probabilities
from tests.support.worked_example import WorkedExample
from torchtrack_uq import (
    Detections,
    DistanceTracker,
    FeaturePerturbation,
    FrequencyPosterior,
    NoiseSizes,
    ParentalSoftmax,
    PerturbedScores,
    UncertaintyLayer,
)
from torchtrack_uq.posterior import map_links

SILENT = FeaturePerturbation(n_copies=3, sizes=NoiseSizes.none())


class TestAWorkedExample(WorkedExample):
    def test_sm_is_equation_5(self) -> None:
        p = UncertaintyLayer("SM")(self.graph())
        e = np.exp
        null_2 = e(-1.5)
        total = e(-0.2) + e(-0.9) + null_2
        assert p.link[0].item() == pytest.approx(e(-0.2) / total)
        assert p.link[1].item() == pytest.approx(e(-0.9) / total)
        assert p.null[2].item() == pytest.approx(null_2 / total)
        without_null = ParentalSoftmax(null_class=False)(self.graph())
        assert without_null.link[3].item() == pytest.approx(e(-0.4) / (e(-1.0) + e(-0.4)))

    def test_entropy_is_equation_6(self) -> None:
        p = UncertaintyLayer("SM")(self.graph())
        column = np.exp([-0.2, -0.9, -1.5])
        column /= column.sum()
        assert p.entropy[2].item() == pytest.approx(-(column * np.log(column)).sum())

    @pytest.mark.parametrize("k", [1, 4, 9])
    def test_as_is_equation_4(self, k: int) -> None:
        best = self.ranked()[:k]
        p_k = np.exp([weight for weight, _ in best])
        p_k /= p_k.sum()
        layer = UncertaintyLayer("AS", k=k)
        layer.posterior.leftover = False
        p = layer(self.graph())
        for link, (i, j) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
            by_hand = sum(share for share, (_, parent) in zip(p_k, best, strict=True) if parent[j] == i)
            assert p.link[link].item() == pytest.approx(by_hand, abs=1e-12)
        both_from_0 = sum(share for share, (_, parent) in zip(p_k, best, strict=True) if parent == (0, 0))
        assert p.divide[0].item() == pytest.approx(both_from_0, abs=1e-12)

    def test_fp_is_equation_5_of_averaged_costs(self) -> None:
        copies = [self.graph(scale) for scale in (0.5, 1.0, 3.0)]
        p = UncertaintyLayer("FP")(PerturbedScores.of(self.graph(), copies))
        column = np.exp([-0.2 * 1.5, -0.9 * 1.5, -1.5])
        np.testing.assert_allclose(p.link[:2].detach(), column[:2] / column.sum())

    def test_fp_a_is_the_frequency_among_maps(self) -> None:
        """Copies with costs w, and with mother 0 unlikely for either: MAPs (0, 1), (0, 1), (1, 1)."""
        bad = self.graph()
        bad = bad.with_scores(bad.score - torch.tensor([5.0, 0, 5, 0]), bad.appear, bad.disappear, bad.divide)
        scores = PerturbedScores.of(self.graph(), [self.graph(), self.graph(), bad])
        p = FrequencyPosterior(eps=0.0)(scores)
        np.testing.assert_allclose(p.link, [2 / 3, 1 / 3, 0, 1], atol=1e-12)
        np.testing.assert_allclose(p.divide[:2], [0, 1 / 3], atol=1e-12)
        np.testing.assert_allclose(p.disappear[:2], [1 / 3, 0], atol=1e-12)
        f, eps = np.array([2 / 3, 1 / 3, 0]), 1 / 6
        tempered = (f + eps) ** (1 / 2.5)
        with_eps = FrequencyPosterior()(scores, temperature=2.5)
        np.testing.assert_allclose(with_eps.link[:2], (tempered / tempered.sum())[:2])
        np.testing.assert_allclose(with_eps.null[2], (tempered / tempered.sum())[2])

    def test_exact_is_equation_3(self) -> None:
        everything = self.ranked()
        z = sum(np.exp(weight) for weight, _ in everything)
        p = UncertaintyLayer("exact")(self.graph())
        assert p.log_z is not None
        assert p.log_z.item() == pytest.approx(np.log(z))
        assert p.link[3].item() == pytest.approx(
            sum(np.exp(x) for x, parent in everything if parent[1] == 1) / z
        )


def test_without_noise_fp_is_sm_and_fp_a_is_the_map(crowd: Detections) -> None:
    tracker = DistanceTracker()
    graph, scores = tracker.candidates(crowd), SILENT(tracker, crowd, progress=False)
    torch.testing.assert_close(UncertaintyLayer("FP")(scores).link, UncertaintyLayer("SM")(graph).link)
    counted = FrequencyPosterior(eps=0.0)(scores)
    assert np.array_equal(counted.link.numpy(), map_links(graph).astype(np.float32))
    # with eps, the MAP stays the likeliest class of every daughter
    softened = FrequencyPosterior()(scores)
    chosen = map_links(graph)
    assert torch.equal(softened.link[chosen], softened.confidence[graph.daughter[chosen]])


@pytest.mark.parametrize("method", ["FP+A", "AS", "exact", "auto"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 30.0])
def test_at_most_two_daughters_are_expected_at_any_temperature(method: str, temperature: float) -> None:
    """One mother, five daughters that have no other candidate: SM promises her all five."""
    cells = Detections.from_points(np.array([0, 1, 1, 1, 1, 1]), np.arange(12.0).reshape(6, 2) / 10)
    tracker = DistanceTracker(search_range=30, scale=3)
    layer = UncertaintyLayer(method, temperature, k=3)
    check_probabilities(layer(layer.scores(tracker, cells, progress=False)))
    assert UncertaintyLayer("SM")(tracker.candidates(cells)).expected_daughters[0] > 4
