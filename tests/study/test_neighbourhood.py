import numpy as np

from study.neighbourhood import local_marginals
from torchtrack_uq.assignment import AssignmentProblem, marginals


def test_local_marginals_are_exact_where_the_neighbourhood_is_everything() -> None:
    rng = np.random.default_rng(0)
    mother, daughter = np.divmod(np.arange(12), 4)
    problem = AssignmentProblem.build(mother, daughter, rng.normal(size=12), 3, 4, -1.0, -1.0, -2.0)
    exact = marginals(problem, 1.5, method="exact", tolerance=0.0)
    link, null = local_marginals(problem, 1.5, least=0.0)
    np.testing.assert_allclose(link, exact.link, atol=1e-9)
    np.testing.assert_allclose(null, exact.null, atol=1e-9)
    near, _ = local_marginals(problem, 1.5, steps=1)
    assert np.abs(near - exact.link).max() > 0.01
