"""Movies that are too long to be held: tracked reel by reel, in memory that hardly grows with their length."""

from torchtrack_uq.assignment.piece import CannotBeCutError
from torchtrack_uq.reels.cutting import Reel, reels_of
from torchtrack_uq.reels.long_movie import CELLS_AT_ONCE, LONG, is_long, track_reels, why_not
from torchtrack_uq.reels.reeled_result import ReeledResult

__all__ = [
    "CELLS_AT_ONCE",
    "LONG",
    "CannotBeCutError",
    "Reel",
    "ReeledResult",
    "is_long",
    "reels_of",
    "track_reels",
    "why_not",
]
