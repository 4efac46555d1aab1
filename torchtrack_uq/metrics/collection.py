"""All metrics as one torchmetrics collection."""

from torchmetrics import Metric, MetricCollection

from torchtrack_uq.functional.calibration_error import check_bins, check_norm
from torchtrack_uq.metrics.event_calibration import EVENTS, EventCalibrationError
from torchtrack_uq.metrics.registry import METRICS, make_metric


def calibration_metrics(n_bins: int = 15, norm: str = "l1", events: bool = True) -> MetricCollection:
    """All metrics of `summarise`, under the same names but n_daughters, as a collection for training loops.

    Update it with the probabilities and targets of each movie; each movie is judged once for all metrics of
    daughters.

    Args:
        n_bins: Number of bins.
        norm: "l1" (ECE), "l2" or "max", for all calibration errors.
        events: Whether to include the calibration of links, nulls, divisions and disappearances. Without, the
            collection can also be updated with judged daughters.

    Raises:
        InputError: n_bins below 1, or an unknown norm.

    >>> from torchtrack_uq.metrics import example_daughters
    >>> metrics = calibration_metrics(events=False)
    >>> metrics.update(example_daughters())
    >>> metrics.compute()["accuracy"]
    tensor(0.5000, dtype=torch.float64)
    """
    check_bins(n_bins)
    check_norm(norm)
    chosen: dict[str, Metric | MetricCollection] = {name: make_metric(name, n_bins, norm) for name in METRICS}
    if events:
        chosen |= {f"ece_{event}": EventCalibrationError(event, n_bins, norm) for event in EVENTS}
    return MetricCollection(chosen)
