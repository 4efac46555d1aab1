"""Pure tensor functions on ragged batches: no modules, no files, differentiable."""

from torchtrack_uq.functional.assignments import choices_of, listed_marginals, log_weight
from torchtrack_uq.functional.belief_propagation import belief_propagation
from torchtrack_uq.functional.capacity import cap_daughters, plainest_events
from torchtrack_uq.functional.independent_events import independent_events
from torchtrack_uq.functional.segments import segment_logsumexp, segment_max, segment_sum
from torchtrack_uq.functional.softmax import class_entropy, parental_log_softmax, safe_log, top_probability

__all__ = [
    "belief_propagation",
    "cap_daughters",
    "choices_of",
    "class_entropy",
    "independent_events",
    "listed_marginals",
    "log_weight",
    "parental_log_softmax",
    "plainest_events",
    "safe_log",
    "segment_logsumexp",
    "segment_max",
    "segment_sum",
    "top_probability",
]
