import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchtrack_uq.functional import (
    independent_events,
)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3)), max_size=10))
def test_events_are_the_poisson_binomial_of_independent_links(links: list[tuple[float, int]]) -> None:
    p = torch.tensor([p for p, _ in links], dtype=torch.float64)
    mother = torch.tensor([i for _, i in links], dtype=torch.int64)
    disappear, divide = independent_events(p, mother, 4)
    for i in range(4):
        counts = np.array([1.0])
        for q in p[mother == i].tolist():
            counts = np.convolve(counts, [1 - q, q])
        assert float(disappear[i]) == pytest.approx(counts[0], abs=1e-9)
        assert float(divide[i]) == pytest.approx(counts[2:].sum(), abs=1e-9)
