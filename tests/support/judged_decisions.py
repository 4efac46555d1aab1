"""Judged decisions: probabilities, and whether each was right."""

import torch
from hypothesis import settings
from hypothesis import strategies as st

decisions = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 1 / 3, 0.5, 0.6, 0.85, 0.999, 1.0]), st.booleans()),
    min_size=1,
    max_size=40,
)
few = settings(max_examples=25)


def tensors(drawn):
    p, correct = zip(*drawn, strict=True)
    return torch.tensor(p, dtype=torch.float64), torch.tensor(correct)


def random_decisions(seed, n=500):
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(n, generator=generator, dtype=torch.float64)
    return p, torch.rand(n, generator=generator) < p**2
