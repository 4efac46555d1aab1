"""The methods that come with the package, by name. A new one is a file and a line here."""

from torchtrack_uq.utils.registry import Entry, Registry

_SUMMING = ("tolerance", "memory_limit")
_ASSIGNMENTS = "torchtrack_uq.layers.assignment_posterior:AssignmentPosterior"

METHODS = Registry(
    "method",
    {
        "SM": Entry(
            "softmax over each daughter's mothers, ignores that a mother has two daughters at most",
            "torchtrack_uq.layers.parental_softmax:ParentalSoftmax",
            options=("null_class",),
        ),
        "FP": Entry(
            "the same of scores averaged under noise",
            "torchtrack_uq.layers.mean_softmax:MeanScoresSoftmax",
            options=("null_class",),
        ),
        "FP+A": Entry(
            "how often a link is chosen under noise",
            "torchtrack_uq.layers.frequency_posterior:FrequencyPosterior",
            options=("eps", "null_class"),
        ),
        "AS": Entry(
            "the K best assignments of each frame pair",
            _ASSIGNMENTS,
            {"method": "AS"},
            ("k", "leftover", "null_class", "tolerance"),
        ),
        "exact": Entry(
            "all assignments; refuses what is too ambiguous", _ASSIGNMENTS, {"method": "exact"}, _SUMMING
        ),
        "auto": Entry(
            "all assignments where possible, near it elsewhere", _ASSIGNMENTS, {"method": "auto"}, _SUMMING
        ),
        "bp": Entry("belief propagation, on the GPU", _ASSIGNMENTS, {"method": "bp"}),
    },
)
"""What `--method` and `UncertaintyLayer` know by name."""
