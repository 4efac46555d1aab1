"""Column normalisation: the mass of having no mother is divided away, as the paper does."""

import torch

from torchtrack_uq.functional import segment_sum
from torchtrack_uq.links.candidates import CandidateGraph
from torchtrack_uq.posterior.choices import Choices
from torchtrack_uq.posterior.summed import Summed


def normalise_columns(graph: CandidateGraph, choices: Choices, summed: Summed) -> Summed:
    """P_ij / sum over mothers k of P_kj; a daughter that is never linked has no mother with probability 1.

    Events of mothers stay as they are. What was proved holds with the mass of having no mother in place, so no bound on
    these probabilities is known.

    Args:
        graph: The candidate links.
        choices: Its choices.
        summed: Probabilities (C,) of all choices.

    Returns:
        The same with other probabilities of links and of appearing, and error bounds that are inf.
    """
    link, _, disappear, divide = choices.split(summed.choice)
    column = segment_sum(link, graph.daughter, graph.n_cells)
    linked = column > 0
    given = link / torch.where(linked, column, 1.0)[graph.daughter]
    unknown = torch.full_like(summed.error_bound, torch.inf)
    return summed._replace(
        choice=torch.cat([given, (~linked).to(link), disappear, divide]),
        error_bound=unknown,
        exact=unknown < 0,
        cell_error=torch.full_like(summed.cell_error, torch.inf).masked_fill(~choices.is_daughter, 0.0),
    )
