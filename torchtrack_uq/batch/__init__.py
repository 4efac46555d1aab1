"""Many movies in one go: a table of them in, a folder of results each, whatever happens to single ones."""

from torchtrack_uq.batch.movies import BatchMovie, read_movies
from torchtrack_uq.batch.run_one import Outcome, run_movie
from torchtrack_uq.batch.schedule import run_here, run_on_cluster

__all__ = ["BatchMovie", "Outcome", "read_movies", "run_here", "run_movie", "run_on_cluster"]
