"""Which tracker a temperature was fitted for."""

import hashlib

from torchtrack_uq.trackers.protocol import Tracker
from torchtrack_uq.trackers.trackastra import TrackastraTracker


def tracker_identity(tracker: Tracker) -> str:
    """A tracker's name and, for a transformer, a digest of its weights: "distance", "trackastra:3f9c0a1b2c3d".

    Two models have other scores, and need other temperatures, whatever their folders are called.
    """
    if not isinstance(tracker, TrackastraTracker):
        return tracker.name
    digest = hashlib.sha256()
    for name, tensor in sorted(tracker.transformer.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return f"{tracker.name}:{digest.hexdigest()[:12]}"
