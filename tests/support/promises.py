"""How often a promise that holds with some probability may be broken in trials."""

from scipy.stats import binom


def most_allowed(n_trials: int, delta: float) -> float:
    """A promise kept to the letter is broken more often than this once in a thousand times."""
    return float(binom.ppf(0.999, n_trials, delta)) / n_trials
