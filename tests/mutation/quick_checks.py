"""What must notice a fault in the engine, in seconds and without compilation, in the process that has the fault."""

import warnings
from collections import Counter

import numpy as np

PROBLEMS = range(100)


def noticed() -> str:
    """The first answer about a small problem that enumeration contradicts; empty if there is none."""
    from tests.fuzz.solver_cases import wrong_in_case  # only now, with the faulty package in the path

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of numbers beyond float64, of which compiled code says nothing
        for seed in PROBLEMS:
            try:
                wrong = list(wrong_in_case(seed, Counter()))
            except Exception as error:
                wrong = [f"{type(error).__name__}: {error}"]
            if wrong:
                return f"problem {seed}: {wrong[0]}"[:90]
    return ""
