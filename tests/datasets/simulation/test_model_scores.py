"""Scores that are drawn from the model make posteriors that are right by construction."""

import numpy as np
import pytest
import torch

from torchtrack_uq import UncertaintyLayer
from torchtrack_uq.datasets import CorruptionRates
from torchtrack_uq.datasets.simulation import Conditions, model_scores, simulate
from torchtrack_uq.errors import InputError
from torchtrack_uq.truth import judge, judge_events

HARD = Conditions(
    8, 10, (60.0, 60.0), motion=5.0, divide=0.05, disappear=0.03, appear=0.5, separation=0.0, border="gone"
)
N_MOVIES = 100


def far_from_calibrated(p: torch.Tensor, happened: torch.Tensor, frame: torch.Tensor) -> float:
    """Largest |observed - expected| over its standard error, by bins; frames are independent."""
    edges = torch.quantile(p, torch.linspace(0, 1, 7)[1:-1].to(p))
    found = []
    for bin_ in range(6):
        chosen = torch.bucketize(p, edges) == bin_
        more = torch.bincount(frame[chosen], happened[chosen].double() - p[chosen])
        if float((p[chosen] * (1 - p[chosen])).sum()) > 5:
            found.append(float(more.sum().abs() / (more**2).sum().sqrt()))
    return max(found)


def judged_events(temperature: float, evidence: float) -> dict[str, tuple[torch.Tensor, ...]]:
    """By event, probabilities, what happened, and a number for each frame of each movie."""
    found: dict[str, list[tuple[torch.Tensor, ...]]] = {}
    for seed in range(N_MOVIES):
        movie = simulate(HARD, seed)
        graph = model_scores(movie, HARD, evidence=evidence, seed=seed)
        probabilities = UncertaintyLayer("auto", temperature)(graph)
        judged = judge(probabilities, movie.targets())
        found.setdefault("daughter", []).append((judged.confidence, judged.correct, judged.frame + 8 * seed))
        for name, events in judge_events(probabilities, movie.targets()).items():
            found.setdefault(name, []).append((events.probability, events.happened, events.frame + 8 * seed))
    return {name: tuple(map(torch.cat, zip(*parts, strict=True))) for name, parts in found.items()}


@pytest.mark.parametrize("evidence", [0.0, 1.5])
def test_posteriors_of_such_scores_are_calibrated(evidence: float) -> None:
    found = judged_events(1.0, evidence)
    assert float(found["daughter"][1].double().mean()) < 0.92  # it is hard
    for name in ("daughter", "link", "null", "division", "disappearance"):
        assert far_from_calibrated(*found[name]) < 3.5, name


def test_scores_that_are_too_sure_are_found_out() -> None:
    assert far_from_calibrated(*judged_events(0.5, 0.0)["daughter"]) > 6


def test_a_look_at_pairs_makes_tracking_easier() -> None:
    accuracy = [float(judged_events(1.0, evidence)["daughter"][1].double().mean()) for evidence in (0.0, 3.0)]
    assert accuracy[1] > accuracy[0] + 0.1


@pytest.mark.parametrize(
    "changed",
    [
        {"persistence": 0.5},
        {"flow": 1.0},
        {"separation": 5.0},
        {"apart": 3.0},
        {"border": "open"},
        {"jitter": 1.0},
    ],
)
def test_movies_of_which_the_posterior_would_not_be_exact_are_refused(changed: dict[str, object]) -> None:
    conditions = Conditions(**{"separation": 0.0, "border": "gone", **changed})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=f"because of its {next(iter(changed))}"):
        model_scores(simulate(conditions), conditions)


def test_movies_with_errors_and_evidence_that_is_none_are_refused() -> None:
    with pytest.raises(InputError, match="because of its errors"):
        model_scores(simulate(HARD, 0, CorruptionRates(missed=0.1)), HARD)
    for evidence in (-1.0, np.nan):
        with pytest.raises(InputError, match="expected a finite number"):
            model_scores(simulate(HARD), HARD, evidence=evidence)
