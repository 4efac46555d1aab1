"""A local page on which a person settles doubts: the queue, both frames side by side, decisions kept at once.

`torchtrack-uq review OUT` opens it. A `ReviewSession` is what the page is of, and does as well without it: from a
notebook, or from another viewer.
"""

from torchtrack_uq.review.decision_log import Decision, DecisionLog
from torchtrack_uq.review.session import Progress, ReviewSession

__all__ = ["Decision", "DecisionLog", "Progress", "ReviewSession"]
