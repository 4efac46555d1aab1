"""Pure tensor functions on ragged batches: no modules, no files, differentiable."""

from torchtrack_uq.functional.events import independent_events
from torchtrack_uq.functional.segments import segment_logsumexp, segment_max, segment_sum
from torchtrack_uq.functional.softmax import class_entropy, parental_log_softmax, top_probability

__all__ = [
    "class_entropy",
    "independent_events",
    "parental_log_softmax",
    "segment_logsumexp",
    "segment_max",
    "segment_sum",
    "top_probability",
]
