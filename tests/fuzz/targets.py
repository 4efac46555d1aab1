"""All readers."""

from tests.fuzz import movie_targets, own_targets, track_targets

TARGETS = [*movie_targets.TARGETS, *track_targets.TARGETS, *own_targets.TARGETS]
