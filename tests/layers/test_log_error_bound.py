"""What is proved of log-probabilities, on frames from which links were dropped."""

import pytest
import torch

from tests.support.problems import standard_instance
from torchtrack_uq import AssignmentPosterior, CandidateGraph, UncertaintyLayer

LEAST = 1e-6


@pytest.mark.parametrize(("n", "sigma"), [(30, 0.15), (200, 0.12), (200, 0.15), (3000, 0.1)])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-8])
def test_each_log_probability_above_the_least_is_within_its_cells_bound(
    n: int, sigma: float, tolerance: float
) -> None:
    problem = standard_instance(n, sigma)
    graph = CandidateGraph.from_problem(problem)
    found = AssignmentPosterior("auto", tolerance=tolerance)(graph)
    truth = AssignmentPosterior("exact", tolerance=1e-10)(graph)
    bound = found.log_error_bound(LEAST)
    matters = truth.link.double() > LEAST
    off = (found.log_link - truth.log_link).abs().double()
    assert (off <= bound[graph.daughter] + 1e-5)[matters].all()
    if tolerance == 1e-8:
        assert (bound < 0.011).all()  # and so right to one per cent


def test_what_proves_nothing_is_flagged() -> None:
    graph = CandidateGraph.from_problem(standard_instance(30, 0.15))
    for method in ("SM", "bp"):
        bound = UncertaintyLayer(method)(graph).log_error_bound()
        assert torch.isinf(bound[graph.daughter.unique()]).all()
