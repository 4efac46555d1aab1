"""How many looks a review takes, and how good its promise about the rest is: `python -m experiments.review_looks`."""
