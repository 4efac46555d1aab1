"""A real movie, dense tissue that divides much, against scikit-learn on a padded table."""

import numpy as np
import pytest
import sklearn.metrics
import torch

from torchtrack_uq import DistanceTracker, ParentalSoftmax
from torchtrack_uq.datasets import read_ctc_sequence
from torchtrack_uq.metrics import calibration_metrics, summarise, summarise_with_intervals
from torchtrack_uq.truth.judged import judge, judge_events


def test_epidermis(data_folder):
    movie = read_ctc_sequence(data_folder / "mouse-epidermis" / "01", use_images=False, progress=False)
    graph = DistanceTracker().candidates(movie.detections, progress=False)
    with torch.no_grad():
        probabilities = ParentalSoftmax()(graph)
    targets = movie.targets()
    judged, events = judge(probabilities, targets), judge_events(probabilities, targets)
    found = summarise(judged, events)

    # column k of the table: a daughter's k-th candidate; then null, then "no candidate"
    first = np.searchsorted(graph.daughter.numpy(), np.arange(graph.n_cells))
    slot = np.arange(len(graph.daughter)) - first[graph.daughter.numpy()]
    width = slot.max() + 1
    table = np.zeros((graph.n_cells, width + 2))
    table[graph.daughter.numpy(), slot] = probabilities.link.double().numpy()
    table[:, width] = probabilities.null.double().numpy()
    truth = np.where(movie.mother < 0, width, width + 1)
    true_link = targets.true_link(graph).numpy()
    truth[graph.daughter.numpy()[true_link]] = slot[true_link]
    table, truth = table[movie.has_target], truth[movie.has_target]
    labels = np.arange(width + 2)

    assert found["n_daughters"] == len(truth)
    assert found["n_unreachable"] == (truth == width + 1).sum()
    assert found["accuracy"] == sklearn.metrics.accuracy_score(truth, table.argmax(1))
    reached = truth <= width
    rows = table[reached] / table[reached].sum(1, keepdims=True)  # float32 sums to 1 but for 1e-7
    floored = rows[np.arange(len(rows)), truth[reached]] < 1e-6  # scikit-learn has no floor
    nll = sklearn.metrics.log_loss(truth[reached][~floored], rows[~floored], labels=labels)
    expected = (nll * (~floored).sum() - np.log(1e-6) * floored.sum()) / len(rows)
    assert found["nll_reachable"] == pytest.approx(expected, abs=1e-6)
    brier = sklearn.metrics.brier_score_loss(truth[reached], rows, labels=labels, scale_by_half=False)
    assert summarise(judged.where(judged.reachable))["brier"] == pytest.approx(brier, abs=1e-6)

    metrics = calibration_metrics()
    metrics.update(probabilities, targets)
    for name, number in metrics.compute().items():
        assert float(number) == pytest.approx(found[name], abs=1e-12)
    for name, (value, lower, upper) in summarise_with_intervals(judged, events, n_resamples=50).items():
        assert value == pytest.approx(found[name], abs=1e-12)
        assert lower <= value <= upper
