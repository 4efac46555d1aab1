"""What a sum over a movie's assignments leaves for drawing histories, so that nobody sums twice."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from torchtrack_uq.assignment import Marginals
from torchtrack_uq.assignment.marginal_result import KeptLinks
from torchtrack_uq.posterior.problems import Floats, MovieProblems


@dataclass(frozen=True, eq=False)
class DrawableSums:
    """Kept links of every problem, and the scores that they are of.

    Attributes:
        kept: Of each problem.
        of: Digest of the problems.
    """

    kept: tuple[KeptLinks, ...]
    of: str

    @classmethod
    def of_sums(
        cls, problems: MovieProblems, score: Floats, found: Sequence[Marginals]
    ) -> "DrawableSums | None":
        """Of sums by elimination at scores (C,); None for those of other methods."""
        kept = [one.kept_links for one in found]
        return None if None in kept else cls(tuple(k for k in kept if k), _digest(problems, score))

    def matching(self, problems: MovieProblems, score: Floats) -> Sequence[KeptLinks | None]:
        """What is kept of each problem if these are the ones that were summed, else None for each."""
        same = len(self.kept) == problems.n_pairs and self.of == _digest(problems, score)
        return self.kept if same else [None] * problems.n_pairs


def _digest(problems: MovieProblems, score: Floats) -> str:
    found = hashlib.blake2b(digest_size=16)
    for values in (problems.mother, problems.daughter, score):
        found.update(values.tobytes())
    return found.hexdigest()
