"""Metrics of one's own, beside the built-in ones or in their place, mean the same wherever they are computed."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from torchtrack_uq import InputError
from torchtrack_uq.metrics import (
    METRICS,
    DaughterMetric,
    MotherAccuracy,
    calibration_metrics,
    example_daughters,
    summarise,
    summarise_with_intervals,
)
from torchtrack_uq.truth import JudgedDaughters
from torchtrack_uq.utils.registry import Entry


class Overconfidence(DaughterMetric):
    def value(self, judged: JudgedDaughters) -> Tensor:
        return judged.confidence.mean() - judged.correct.double().mean()


class Nats(DaughterMetric):
    def value(self, judged: JudgedDaughters) -> Tensor:
        return 10 * judged.entropy.sum()


class EachDaughter(DaughterMetric):
    def value(self, judged: JudgedDaughters) -> Tensor:
        return judged.confidence


@pytest.fixture
def registered() -> Iterator[None]:
    before = dict(METRICS)
    yield
    for name in set(METRICS) - set(before):
        METRICS.remove(name)
    for name, entry in before.items():
        if METRICS.get(name) is not entry:
            if name in METRICS:
                METRICS.remove(name)
            METRICS.add(name, entry)


@pytest.mark.usefixtures("registered")
def test_a_metric_is_known_to_the_summary_the_collection_and_the_intervals() -> None:
    METRICS.add("zz", Entry("confidence less accuracy", Overconfidence))
    METRICS.add("aa", Entry("entropy, ten times", Nats))
    movies = [example_daughters(), example_daughters().where(torch.tensor([True, False]))]
    found = summarise(movies)
    collection = calibration_metrics(events=False)
    for movie in movies:
        collection.update(movie)
    computed = collection.compute()
    for name in ("zz", "aa", "ece"):
        assert found[name] == pytest.approx(float(computed[name]))
    assert list(found)[-2:] == ["zz", "aa"]
    intervals = summarise_with_intervals(movies, n_resamples=200)
    assert intervals["aa"].upper > intervals["aa"].value > 1  # nats are not cut at 1
    assert min(intervals["zz"].lower, 0.0) <= intervals["zz"].value


@pytest.mark.usefixtures("registered")
def test_what_stands_in_the_place_of_a_built_in_metric_counts_everywhere() -> None:
    METRICS.remove("ece")
    assert "ece" not in summarise(example_daughters())
    METRICS.add("ece", Entry("accuracy under another name", MotherAccuracy))
    assert summarise(example_daughters())["ece"] == 0.5


@pytest.mark.parametrize("name", ["ece", "n_daughters", "ece_link"])
def test_names_that_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="already"):
        METRICS.add(name, Entry("", Overconfidence))


@pytest.mark.usefixtures("registered")
def test_a_metric_with_one_number_a_daughter_is_refused() -> None:
    METRICS.add("each", Entry("", EachDaughter))
    with pytest.raises(InputError, match="expected one number"):
        summarise(example_daughters())
