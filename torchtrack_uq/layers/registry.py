"""The methods that come with the package, by name. A new one is a file and a line here."""

from typing import TYPE_CHECKING, Any

from torchtrack_uq.utils.registry import Entry, Registry

if TYPE_CHECKING:
    from torchtrack_uq.layers.method import Method

_ASSIGNMENTS = "torchtrack_uq.layers.assignment_posterior:AssignmentPosterior"

METHODS = Registry(
    "method",
    {
        "SM": Entry(
            "softmax over each daughter's mothers, ignores that a mother has two daughters at most",
            "torchtrack_uq.layers.parental_softmax:ParentalSoftmax",
        ),
        "FP": Entry(
            "the same of scores averaged under noise", "torchtrack_uq.layers.mean_softmax:MeanScoresSoftmax"
        ),
        "FP+A": Entry(
            "how often a link is chosen under noise",
            "torchtrack_uq.layers.frequency_posterior:FrequencyPosterior",
        ),
        "AS": Entry("the K best assignments of each frame pair", _ASSIGNMENTS, {"method": "AS"}, ("k",)),
        "exact": Entry("all assignments; refuses what is too ambiguous", _ASSIGNMENTS, {"method": "exact"}),
        "auto": Entry("all assignments where possible, near it elsewhere", _ASSIGNMENTS, {"method": "auto"}),
        "bp": Entry("belief propagation, on the GPU", _ASSIGNMENTS, {"method": "bp"}),
    },
)
"""What `--method` and `UncertaintyLayer` know by name."""


def make_method(name: str, **options: Any) -> "Method":
    """Make a method that is known by name.

    Args:
        name: One of `METHODS`.
        **options: Of that method, such as `k`; None leaves its default.

    Raises:
        InputError: An unknown name, or an option of another method.

    >>> make_method("AS", k=10)
    AssignmentPosterior(method='AS', k=10)
    """
    method: Method = METHODS.make(name, **options)
    return method
