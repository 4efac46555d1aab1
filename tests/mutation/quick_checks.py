"""What must notice a fault in the engine, in seconds and without compilation, in the process that has the fault."""

import warnings
from collections import Counter
from functools import partial

import numpy as np

PROBLEMS = range(100)
MOVIES = range(4)


def noticed() -> str:
    """The first answer about a small problem or movie that enumeration contradicts; empty if there is none."""
    # only now, with the faulty package in the path
    from tests.fuzz.solver_cases import wrong_in_case
    from tests.mutation.movie_checks import wrong_in_movies

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of numbers beyond float64, of which compiled code says nothing
        checks = [("problem", seed, partial(wrong_in_case, seed, Counter())) for seed in PROBLEMS]
        checks += [("movie", seed, partial(wrong_in_movies, seed)) for seed in MOVIES]
        for what, seed, check in checks:
            try:
                wrong = list(check())
            except Exception as error:
                wrong = [f"{type(error).__name__}: {error}"]
            if wrong:
                return f"{what} {seed}: {wrong[0]}"[:90]
    return ""
