"""Perturbed copies of a movie's features, scored by any tracker: what FP and FP+A start from."""

from torch import nn

from torchtrack_uq.errors import InputError
from torchtrack_uq.links.perturbed_scores import PerturbedScores
from torchtrack_uq.movies.detections import Detections
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.perturb import NoiseSizes, PerturbedCopies
from torchtrack_uq.trackers.protocol import PerturbableTracker, Tracker
from torchtrack_uq.utils.progress import with_progress


class FeaturePerturbation(nn.Module):
    """Scores the links of a movie R times, each with other noise on what was measured (paper sec. 2).

    Gaussian noise moves centroids, changes sizes (with inertia tensors) and intensities, and redraws the masks,
    all of it consistently: a cell that moves moves in its mask. Images are not measured again. Anything that a
    tracker estimates from the movie, such as a typical displacement, is estimated without noise.

    FP is `ParentalSoftmax()(perturbed.mean_graph())`; FP+A is `FrequencyPosterior()(perturbed)`.

    Args:
        n_copies: Number of draws R.
        sizes: How strong the noise is; the defaults are measured on real movies, see `NoiseSizes`.
        seed: Draw r of a seed is the same on every run, whatever R is.

    Raises:
        InputError: R below 1.

    >>> import numpy as np
    >>> from torchtrack_uq.trackers import DistanceTracker
    >>> cells = Detections.from_points(np.array([0, 0, 1]), np.array([[0.0, 0], [9, 0], [4, 0]]))
    >>> perturbed = FeaturePerturbation(n_copies=3)(DistanceTracker(search_range=9, scale=2), cells, progress=False)
    >>> perturbed.score.shape
    torch.Size([3, 2])
    """

    def __init__(self, n_copies: int = 20, sizes: NoiseSizes | None = None, seed: int = 0) -> None:
        super().__init__()
        if n_copies < 1:
            raise InputError(f"n_copies must be at least 1, got {n_copies}")
        self.n_copies, self.sizes, self.seed = n_copies, sizes or NoiseSizes(), seed

    def copies(self, detections: Detections, movie: Movie | None = None) -> PerturbedCopies:
        """The R perturbed copies of the cells and, if there is one, of the movie's masks."""
        return PerturbedCopies(detections, movie, self.sizes, self.n_copies, self.seed)

    def forward(
        self, tracker: Tracker, detections: Detections, movie: Movie | None = None, *, progress: bool = True
    ) -> PerturbedScores:
        """Score a movie without noise and R times with.

        Args:
            tracker: Any tracker. A `PerturbableTracker` may score all copies in one batch.
            detections: The movie's cells.
            movie: Its masks and images, for trackers that look at pixels.
            progress: Whether to show a progress bar.
        """
        own = tracker.candidates(detections, movie, progress=progress)
        copies = self.copies(detections, movie)
        if isinstance(tracker, PerturbableTracker):
            graphs = tracker.candidates_of_copies(detections, movie, copies, progress=progress)
        else:
            bar = with_progress(list(range(self.n_copies)), "Scoring perturbed copies", show=progress)
            graphs = [
                tracker.candidates(cells, noisy, progress=False)
                for _, (cells, noisy) in zip(bar, copies, strict=True)
            ]
        return PerturbedScores.of(own, graphs)

    def extra_repr(self) -> str:
        """Options, for `print(module)`."""
        return f"n_copies={self.n_copies}, sizes={self.sizes}, seed={self.seed}"
