"""Results of other trackers: read, and given the probabilities of their own links."""

from torchtrack_uq.exchange.read_tracks import read_tracks
from torchtrack_uq.exchange.score_tracks import ScoredTracks, score_tracks
from torchtrack_uq.exchange.tracks import TrackTable

__all__ = ["ScoredTracks", "TrackTable", "read_tracks", "score_tracks"]
