"""Names of the columns of a candidate graph, and the index that stands for "no mother"."""

NO_MOTHER = -1
"""Stands for "no mother" wherever a cell's mother is named by her index."""

EVENT_SCORES = ("appear", "disappear", "divide")
"""Scores (N,) of what may happen to a cell beside its links."""

SCORES = ("score", *EVENT_SCORES)
INDICES = ("mother", "daughter", "frame", "label")
GRAPH_TENSORS = (*SCORES, *INDICES, "coords")
"""Fields of a `CandidateGraph` that are tensors."""

COVARIATES = ("border", "size", "shrinking")
"""Columns of `CandidateGraph.covariates`, where a graph has them; see `torchtrack_uq.links.covariates`."""
