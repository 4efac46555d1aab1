"""The metrics of `summarise` and `calibration_metrics`, by name. A new one is a class and a line here.

Every entry makes a `DaughterMetric`. Those that take them get the number of bins and the norm of calibration errors.
"""

from typing import TYPE_CHECKING

from torchtrack_uq.utils.registry import Entry, Registry

if TYPE_CHECKING:
    from torchtrack_uq.metrics.daughters import DaughterMetric

_ROOM = "torchtrack_uq.metrics.daughters"
_BINNED = ("n_bins", "norm")

METRICS = Registry(
    "metric",
    {
        "accuracy": Entry("share of right mothers", f"{_ROOM}:MotherAccuracy"),
        "n_unreachable": Entry(
            "daughters whose true mother is no candidate", f"{_ROOM}:UnreachableDaughters"
        ),
        "ece": Entry("expected calibration error", f"{_ROOM}:TopLabelCalibrationError", options=_BINNED),
        "ece_with_mother": Entry(
            "the same over daughters that truly have a mother",
            f"{_ROOM}:TopLabelCalibrationError",
            {"with_mother": True},
            _BINNED,
        ),
        "ece_adaptive": Entry(
            "the same over bins of equal mass",
            f"{_ROOM}:TopLabelCalibrationError",
            {"adaptive": True},
            _BINNED,
        ),
        "nll": Entry("negative log-likelihood of the true mother", f"{_ROOM}:NegativeLogLikelihood"),
        "nll_reachable": Entry(
            "the same where she is a candidate", f"{_ROOM}:NegativeLogLikelihood", {"reachable": True}
        ),
        "brier": Entry("Brier score", f"{_ROOM}:BrierScore"),
        "aurc": Entry("area under the risk-coverage curve, by confidence", f"{_ROOM}:AURC"),
        "ause": Entry("area under the sparsification error, by confidence", f"{_ROOM}:AUSE"),
        "aurc_entropy": Entry("AURC by entropy", f"{_ROOM}:AURC", {"by": "entropy"}),
        "ause_entropy": Entry("AUSE by entropy", f"{_ROOM}:AUSE", {"by": "entropy"}),
    },
    reserved=(
        *("n_daughters", "n_after_gap", "accuracy_after_gap", "ece_link", "ece_null", "ece_division"),
        *("ece_disappearance", "ece_missed", "ece_false", "ece_merged", "ece_split"),
    ),
)
BUILT_IN = dict(METRICS)
"""Those with a shortcut over many resamples, as long as nobody has put another in their place."""


def make_metric(name: str, n_bins: int = 15, norm: str = "l1") -> "DaughterMetric":
    """Make one of `METRICS`.

    Args:
        name: Such as "ece".
        n_bins: Number of bins, for those that have any.
        norm: "l1", "l2" or "max", likewise.

    Raises:
        InputError: An unknown name, n_bins below 1, or an unknown norm.

    >>> make_metric("ece", n_bins=10).n_bins
    10
    """
    options = {"n_bins": n_bins, "norm": norm}
    taken = METRICS[name].options
    metric: DaughterMetric = METRICS.make(
        name, **{option: value for option, value in options.items() if option in taken}
    )
    return metric
