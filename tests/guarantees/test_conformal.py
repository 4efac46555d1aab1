"""Conformal sets hold the truth as often as they say."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchtrack_uq import (
    CandidateGraph,
    Detections,
    DistanceTracker,
    InputError,
    LinkProbabilities,
    ParentalSoftmax,
)
from torchtrack_uq.datasets import read_ctc_sequence
from torchtrack_uq.guarantees import (
    ConformalSets,
    class_scores,
    conformal_quantile,
    covered,
    set_sizes,
    true_scores,
)
from torchtrack_uq.truth.targets import LinkTargets


def simulated(
    n: int, seed: int, *, sharpness: float = 1.0, unreachable: float = 0.0
) -> tuple[LinkProbabilities, LinkTargets]:
    """n daughters with 0 to 4 of n mothers as candidates; the truth is drawn from the softmax of the scores."""
    rng = np.random.default_rng(seed)
    cells = Detections.from_points(np.repeat([0, 1], n), np.zeros((2 * n, 2)))
    count = rng.integers(0, 5, n)
    daughter = np.repeat(np.arange(n), count)
    mother = np.concatenate([rng.choice(n, k, replace=False) for k in count])
    score = rng.normal(0, 2, len(daughter))
    truth = np.full(2 * n, -1)
    for j in range(n):
        links = np.flatnonzero(daughter == j)
        weight = np.exp(np.append(score[links], 0.0))
        drawn = rng.choice(len(weight), p=weight / weight.sum())
        if drawn < len(links):
            truth[n + j] = mother[links[drawn]]
        if rng.uniform() < unreachable:
            truth[n + j] = next(i for i in range(n) if i not in mother[links])
    graph = CandidateGraph.from_links(
        cells, mother, daughter + n, torch.tensor(sharpness * score), appear=0.0
    )
    return ParentalSoftmax()(graph), LinkTargets.from_mothers(torch.tensor(truth), graph.frame)


class TestScores:
    @pytest.mark.parametrize("score", ["LAC", "APS"])
    def test_by_loops(self, score: str) -> None:
        p, targets = simulated(60, 0)
        link, null = class_scores(p, score, 5)
        share = np.random.default_rng(5).uniform(size=120)
        truth = []
        for j in range(60, 120):
            links = (p.graph.daughter == j).nonzero().squeeze(1)
            classes = np.append(p.link[links].numpy(), p.null[j].numpy())
            for k, own in enumerate(classes):
                likelier = classes[classes > own].sum()
                expected = 1 - own if score == "LAC" else likelier + share[j] * own
                found = link[links[k]] if k < len(links) else null[j]
                assert float(found) == pytest.approx(expected, abs=1e-12)
            true_link = links[p.graph.mother[links] == targets.mother[j]]
            truth.append(float(link[true_link]) if len(true_link) else float(null[j]))
        assert true_scores(p, targets, score, 5).tolist() == truth

    def test_equals_are_ordered_as_listed_and_null_last(self) -> None:
        cells = Detections.from_points(np.array([0, 0, 1]), np.zeros((3, 2)))
        p = ParentalSoftmax()(CandidateGraph.from_links(cells, [0, 1], [2, 2], [0.0, 0.0]))
        link, null = class_scores(p, "APS", 0)
        share = np.random.default_rng(0).uniform(size=3)[2]
        np.testing.assert_allclose([*link, null[2]], [share / 3, (1 + share) / 3, (2 + share) / 3], rtol=1e-6)

    def test_an_unreachable_truth_scores_inf(self) -> None:
        p, targets = simulated(200, 1, unreachable=0.3)
        scores = true_scores(p, targets)
        assert torch.equal(scores.isinf(), ~targets.reachable(p.graph)[targets.known])
        assert 0.2 < scores.isinf().double().mean() < 0.4

    def test_unknown_score(self) -> None:
        p, _ = simulated(9, 0)
        with pytest.raises(InputError, match="'RAPS' is unknown; expected one of LAC, APS"):
            class_scores(p, "RAPS")
        with pytest.raises(InputError, match="'RAPS' is unknown"):
            ConformalSets(score="RAPS")


class TestQuantile:
    @given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 99))
    def test_is_the_smallest_score_that_enough_are_at_most(self, scores: list[float], percent: int) -> None:
        n = len(scores)
        enough = [s for s in scores if 100 * sum(x <= s for x in scores) >= percent * (n + 1)]
        expected = min(enough, default=math.inf)
        assert conformal_quantile(torch.tensor(scores, dtype=torch.float64), percent / 100) == expected

    @pytest.mark.parametrize("coverage", [0.0, 1.0, 2.0, math.nan])
    def test_no_coverage(self, coverage: float) -> None:
        with pytest.raises(InputError, match="coverage must lie between 0 and 1"):
            conformal_quantile(torch.zeros(3), coverage)
        with pytest.raises(InputError, match="coverage must lie between 0 and 1"):
            ConformalSets(coverage)

    def test_no_scores(self) -> None:
        with pytest.raises(InputError, match="at least one annotated daughter"):
            conformal_quantile(torch.zeros(0), 0.9)
        with pytest.raises(InputError, match="no annotated daughter"):
            ConformalSets().fit([])


class TestSets:
    @pytest.mark.parametrize("score", ["LAC", "APS"])
    @pytest.mark.parametrize("sharpness", [1.0, 5.0])
    def test_coverage_on_new_daughters(self, score: str, sharpness: float) -> None:
        """Also for a tracker that is too sure of itself."""
        fitted = ConformalSets(0.8, score, allow_empty=True).fit([simulated(2000, 0, sharpness=sharpness)])
        p, targets = simulated(2000, 1, sharpness=sharpness)
        sets = fitted.sets(p)
        share = float(covered(*sets, p.graph, targets).double().mean())
        assert share == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 * 2 / 2000))
        assert not sets.null[p.graph.frame == 0].any()

    def test_without_empty_sets_the_likeliest_class_is_in(self) -> None:
        movie = simulated(500, 0, sharpness=3)
        strict = ConformalSets(0.2, allow_empty=True).fit([movie])
        sets, full = strict.sets(movie[0]), ConformalSets(0.2).fit([movie]).sets(movie[0])
        daughters = movie[0].graph.is_daughter
        before, after = (set_sizes(*s, movie[0].graph)[daughters] for s in (sets, full))
        assert before.min() == 0
        assert torch.equal(after, before.clamp(min=1))
        assert bool((full.link >= sets.link).all())
        top = torch.where(full.link, movie[0].link, 0)
        assert float(covered(*full, movie[0].graph, movie[1]).double().mean()) > 0.2
        assert torch.equal(top.max(), movie[0].link.max())

    def test_unreachable_mothers_count_as_missed(self) -> None:
        movie, new = simulated(2000, 0, unreachable=0.1), simulated(2000, 1, unreachable=0.1)
        fitted = ConformalSets(0.8, allow_empty=True).fit([movie])
        share = covered(*fitted.sets(new[0]), new[0].graph, new[1]).double().mean()
        assert float(share) == pytest.approx(0.8, abs=0.05)

    def test_a_coverage_that_cannot_be_met_says_so_and_holds_everything(self) -> None:
        p, targets = simulated(500, 0, unreachable=0.3)
        with pytest.warns(UserWarning, match=r"0.95 cannot be promised, .* true mother who is no candidate"):
            fitted = ConformalSets(0.95).fit([(p, targets)])
        assert not fitted.attainable
        link, null = fitted.sets(p)
        assert link.all()
        assert torch.equal(null, p.graph.is_daughter)
        assert fitted.n_unreachable == int((~targets.reachable(p.graph) & targets.known).sum())

    def test_too_few_annotations_say_how_many_it_takes(self) -> None:
        with pytest.warns(UserWarning, match="10 annotated daughters are too few, it takes at least 19"):
            ConformalSets(0.95).fit([simulated(10, 0)])
        assert ConformalSets(0.95).fit([simulated(19, 0)]).attainable

    def test_survives_json(self) -> None:
        p, targets = simulated(300, 0)
        fitted = ConformalSets(0.9, "APS", seed=3).fit([(p, targets)])
        again = ConformalSets.from_json(fitted.to_json())
        assert vars(again) == vars(fitted)
        assert all(torch.equal(a, b) for a, b in zip(again.sets(p), fitted.sets(p), strict=True))
        with pytest.raises(InputError, match="cannot be read"):
            ConformalSets.from_json({})
        with pytest.raises(InputError, match="not fitted yet"):
            ConformalSets().sets(p)


@pytest.mark.parametrize("score", ["LAC", "APS"])
def test_coverage_over_200_splits_of_a_real_movie(data_folder: Path, score: str) -> None:
    movie = read_ctc_sequence(data_folder / "mouse-epidermis" / "01", progress=False)
    p = ParentalSoftmax()(DistanceTracker().candidates(movie.detections, progress=False))
    scores = true_scores(p, movie.targets(), score)
    n, rng = len(scores) // 2, np.random.default_rng(0)
    shares = []
    for _ in range(200):
        order = torch.from_numpy(rng.permutation(len(scores)))
        quantile = conformal_quantile(scores[order[:n]], 0.9)
        shares.append(float((scores[order[n:]] <= quantile).double().mean()))
    noise = 3 * np.std(shares) / math.sqrt(200)
    assert 0.9 - noise <= np.mean(shares)
    assert np.mean(shares) <= 0.9 + 1 / (n + 1) + noise
