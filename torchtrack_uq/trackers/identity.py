"""Which tracker a temperature was fitted for."""

from torchtrack_uq.trackers.protocol import Tracker


def tracker_identity(tracker: Tracker) -> str:
    """What a tracker is called in calibration files: its `identity` if it has one, else its name.

    A transformer's identity has a digest of its weights, "trackastra:3f9c0a1b2c3d": two models have other scores, and
    need other temperatures, whatever their folders are called. How many frames links may span is no part of it:
    links between consecutive frames score the same for any `max_gap`, or nearly (the distance tracker sees better how
    far cells move), so that a temperature keeps its meaning. Calibrations know theirs, and warn of another.
    """
    return str(getattr(tracker, "identity", tracker.name))
