"""What can be promised: conformal sets of mothers, and decisions accepted with a stated share of errors."""

from torchtrack_uq.guarantees.acceptance import AcceptanceThreshold, ReviewStatistic
from torchtrack_uq.guarantees.annotation_sample import AnnotationSample, inclusion_of, usefulness
from torchtrack_uq.guarantees.conformal import (
    class_scores,
    conformal_quantile,
    covered,
    set_sizes,
    true_scores,
    weighted_quantile,
)
from torchtrack_uq.guarantees.conformal_sets import ConformalSets, MotherSets
from torchtrack_uq.guarantees.risk import certified_step, fewest_decisions, risk_p_value
from torchtrack_uq.guarantees.sampled_review import SampledReview, SampleEstimate, sample_mean
from torchtrack_uq.guarantees.unseen_errors import Looks
from torchtrack_uq.guarantees.weighted_risk import weighted_p_value, weighted_step

__all__ = [
    "AcceptanceThreshold",
    "AnnotationSample",
    "ConformalSets",
    "Looks",
    "MotherSets",
    "ReviewStatistic",
    "SampleEstimate",
    "SampledReview",
    "certified_step",
    "class_scores",
    "conformal_quantile",
    "covered",
    "fewest_decisions",
    "inclusion_of",
    "risk_p_value",
    "sample_mean",
    "set_sizes",
    "true_scores",
    "usefulness",
    "weighted_p_value",
    "weighted_quantile",
    "weighted_step",
]
