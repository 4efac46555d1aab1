"""Small movies with links over gaps, narrow enough to be summed over as they are, and what must hold of answers."""

import numpy as np

from torchtrack_uq.assignment import AssignmentProblem


def strip(n_frames, per_frame, seed, spread=1.5, gap=True, n_more=0, **events):
    """Cells on a line, linked to those of the next frame and, over a gap, of the one after; `n_more` have no link."""
    generator = np.random.default_rng(seed)
    counts = generator.integers(1, per_frame + 1, n_frames)
    start = np.concatenate([[0], np.cumsum(counts)])
    place = np.concatenate([np.sort(generator.uniform(0, per_frame, k)) for k in counts])
    pairs = []
    for step in (1, 2) if gap else (1,):
        for t in range(n_frames - step):
            mother, daughter = np.meshgrid(
                np.arange(start[t], start[t + 1]), np.arange(start[t + step], start[t + step + 1])
            )
            pairs.append((mother.ravel(), daughter.ravel(), np.full(mother.size, step)))
    mother, daughter, step = (np.concatenate(column) for column in zip(*pairs, strict=True))
    score = 2.0 - (place[mother] - place[daughter]) ** 2 * spread - 3.0 * (step - 1)
    n = len(place) + n_more
    usual = {"appear": -2.0, "disappear": -2.0, "divide": -4.0}
    return AssignmentProblem.build(mother, daughter, score, n, n, **{**usual, **events})


def beyond_bounds(problem, found, exact):
    """(2,) by how much daughters and mothers of some marginals lie beyond the errors that these claim."""
    of_links = np.zeros(problem.n_daughters)
    np.maximum.at(of_links, problem.daughter, np.abs(found.link - exact.link))
    daughters = np.maximum(of_links, np.abs(found.null - exact.null)) - found.daughter_error
    events = np.abs(found.disappear - exact.disappear), np.abs(found.divide - exact.divide)
    mothers = np.maximum(*events) - found.mother_error
    return np.array([daughters.max(initial=0.0), mothers.max(initial=0.0)])
