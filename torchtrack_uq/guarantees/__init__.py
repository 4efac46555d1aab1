"""What can be promised: conformal sets of mothers, and decisions accepted with a stated share of errors."""

from torchtrack_uq.guarantees.acceptance import AcceptanceThreshold, ReviewStatistic
from torchtrack_uq.guarantees.conformal import (
    class_scores,
    conformal_quantile,
    covered,
    set_sizes,
    true_scores,
)
from torchtrack_uq.guarantees.conformal_sets import ConformalSets, MotherSets
from torchtrack_uq.guarantees.risk import certified_step, fewest_decisions, risk_p_value

__all__ = [
    "AcceptanceThreshold",
    "ConformalSets",
    "MotherSets",
    "ReviewStatistic",
    "certified_step",
    "class_scores",
    "conformal_quantile",
    "covered",
    "fewest_decisions",
    "risk_p_value",
    "set_sizes",
    "true_scores",
]
