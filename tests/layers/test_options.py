"""What a method says of itself is what it takes to make it again."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.support.small_graph import graph_of
from torchtrack_uq import AssignmentPosterior, InputError, ParentalSoftmax, UncertaintyLayer
from torchtrack_uq.layers import METHODS, FrequencyPosterior, MeanScoresSoftmax, Method, make_method
from torchtrack_uq.layers.make import check_can_be_made_again
from torchtrack_uq.utils.registry import Entry

OTHER = [
    (ParentalSoftmax(null_class=False), {"null_class": False}),
    (MeanScoresSoftmax(null_class=False), {"null_class": False}),
    (FrequencyPosterior(eps=0.0), {"eps": 0.0}),
    (FrequencyPosterior(null_class=False), {"null_class": False}),
    (AssignmentPosterior("AS", 10), {"k": 10}),
    (AssignmentPosterior("AS", leftover=False), {"leftover": False}),
    (
        AssignmentPosterior("AS", 5, null_class=False, tolerance=0.1),
        {"k": 5, "null_class": False, "tolerance": 0.1},
    ),
    (AssignmentPosterior("exact", tolerance=0.0), {"tolerance": 0.0}),
    (AssignmentPosterior("auto", memory_limit=1 << 22), {"memory_limit": 1 << 22}),
]


@pytest.mark.parametrize(("method", "options"), OTHER, ids=lambda value: str(value))
def test_options_are_those_that_are_not_the_default_ones_and_make_it_again(
    method: Method, options: dict[str, Any]
) -> None:
    assert method.options == options
    again = make_method(method.name, **options)
    assert type(again) is type(method)
    assert again.options == options
    assert {k: v for k, v in vars(again).items() if k[0] != "_"} == {
        k: v for k, v in vars(method).items() if k[0] != "_"
    }
    check_can_be_made_again(method)


@pytest.mark.parametrize("name", METHODS)
def test_by_name_alone_there_are_none(name: str) -> None:
    method = make_method(name)
    assert (method.name, method.options) == (name, {})
    check_can_be_made_again(method)


def test_options_of_other_methods_do_not_count() -> None:
    assert AssignmentPosterior("exact", 7, leftover=False).options == {}
    with pytest.raises(InputError, match="null_class=False is for method AS"):
        AssignmentPosterior("auto", null_class=False)


class TestState:
    @pytest.mark.parametrize(("method", "options"), OTHER, ids=lambda value: str(value))
    def test_of_other_options_is_refused_and_of_the_same_loads(
        self, method: Method, options: dict[str, Any]
    ) -> None:
        state = UncertaintyLayer(method, 2.0).state_dict()
        with pytest.raises(
            InputError, match=rf"saved by method .* with {next(iter(options))}=.*, but the layer's"
        ):
            UncertaintyLayer(method.name).load_state_dict(state)
        with pytest.raises(InputError, match=r"but the layer's method is .* with"):
            UncertaintyLayer(method).load_state_dict(UncertaintyLayer(method.name).state_dict())
        same = UncertaintyLayer(make_method(method.name, **options))
        same.load_state_dict(state)
        assert float(same.temperature.detach()) == pytest.approx(2.0)

    def test_of_as_does_not_load_into_exact_whatever_the_options(self) -> None:
        state = UncertaintyLayer(AssignmentPosterior("AS", leftover=False)).state_dict()
        with pytest.raises(InputError, match="saved by method AS with leftover=False"):
            UncertaintyLayer(AssignmentPosterior("exact", leftover=False)).load_state_dict(state)

    def test_that_was_saved_before_there_were_options_loads(self) -> None:
        state = UncertaintyLayer("AS", 2.0).state_dict()
        state["_extra_state"] = {"method": "AS"}
        for layer in (UncertaintyLayer("AS"), UncertaintyLayer("AS", k=7)):
            layer.load_state_dict(state)
            assert float(layer.temperature.detach()) == pytest.approx(2.0)
        with pytest.raises(InputError, match="saved by method AS"):
            UncertaintyLayer("exact").load_state_dict(state)


def test_results_bear_name_and_options() -> None:
    graph = graph_of(torch.zeros(4), torch.zeros(5))
    for method in (ParentalSoftmax(null_class=False), AssignmentPosterior("AS", 3, leftover=False)):
        found = UncertaintyLayer(method)(graph)
        assert (found.method, found.options) == (method.name, method.options)


class Shifted(nn.Module):
    """A softmax of scores with something learnt added."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))

    def forward(self, graph: Any) -> Any:
        shifted = graph.score + self.shift
        return ParentalSoftmax()(graph.with_scores(shifted, graph.appear, graph.disappear, graph.divide))


class TestRegisteringAModule:
    def test_makes_it_a_method_of_that_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        METHODS.add("shifted", Entry("a softmax, shifted", Shifted, options=("shift",)))
        try:
            layer = UncertaintyLayer("shifted")
            assert layer.method == "shifted"
            check_can_be_made_again(layer.posterior)
            with pytest.raises(InputError, match="what is registered as method shifted is not this method"):
                check_can_be_made_again(make_method("shifted", shift=1.0))
        finally:
            METHODS.remove("shifted")

    def test_is_asked_for_where_it_is_not(self) -> None:
        with pytest.raises(InputError, match=r"Shifted is in no registry.*METHODS\.add\('Shifted'"):
            check_can_be_made_again(UncertaintyLayer(Shifted()).posterior)
