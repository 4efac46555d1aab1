"""Which tracker a temperature was fitted for."""

import hashlib

from torch import nn

from torchtrack_uq.trackers.protocol import Tracker
from torchtrack_uq.trackers.trackastra import TrackastraTracker


def tracker_identity(tracker: Tracker) -> str:
    """A tracker's name and, for a transformer, a digest of its weights: "distance", "trackastra:3f9c0a1b2c3d".

    Two models have other scores, and need other temperatures, whatever their folders are called.
    """
    if not isinstance(tracker, TrackastraTracker):
        return tracker.name
    return f"{tracker.name}:{weights_digest(tracker.transformer)}"


def weights_digest(model: nn.Module) -> str:
    """Twelve hexadecimal digits of the SHA-256 of a model's weights and their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
