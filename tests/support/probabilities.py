"""What holds for the link probabilities of every method."""

import torch

from torchtrack_uq import LinkProbabilities


def check_probabilities(p: LinkProbabilities, capacity: bool = True) -> None:
    """Sums over mothers and null are 1, every probability is one, at most two daughters are expected."""
    graph = p.graph
    totals = p.null.double().index_add(0, graph.daughter, p.link.double())
    torch.testing.assert_close(totals, torch.ones_like(totals), atol=1e-6, rtol=0)
    for values in (p.link, p.null, p.disappear, p.divide, p.appear):
        assert ((values >= 0) & (values <= 1 + 1e-6)).all()
    if capacity:
        assert (p.expected_daughters <= 2 + 1e-6).all()
