"""Named things that a user chooses from."""

import subprocess
import sys

import pytest

from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.registry import METHODS
from torchtrack_uq.trackers.registry import TRACKERS
from torchtrack_uq.utils.registry import Entry, Registry


@pytest.fixture
def shapes() -> Registry:
    return Registry(
        "shape",
        {
            "round": Entry("a circle", dict, {"corners": 0}, options=("radius",)),
            "square": Entry("four corners", dict, {"corners": 4}, options=("edge_length", "angle")),
        },
    )


def test_made_with_its_arguments_and_the_options_that_were_given(shapes: Registry) -> None:
    assert shapes.make("square", edge_length=2.0, angle=None) == {"corners": 4, "edge_length": 2.0}
    assert shapes.make("round", radius=None, edge_length=None) == {"corners": 0}
    assert shapes.make("round", radius=0.0) == {"corners": 0, "radius": 0.0}  # false is not None


def test_an_unknown_name_is_refused_with_those_that_there_are(shapes: Registry) -> None:
    for ask in (shapes.make, shapes.__getitem__):
        with pytest.raises(InputError, match=r"shape 'flat' is unknown; expected one of round, square$"):
            ask("flat")
    with pytest.raises(InputError, match="expected one of none at all"):
        Registry("shape")["flat"]


def test_an_option_of_another_entry_is_refused_with_its_owner(shapes: Registry) -> None:
    with pytest.raises(InputError, match=r"shape round takes no edge length; it is for square$"):
        shapes.make("round", edge_length=2.0)
    with pytest.raises(InputError, match=r"shape round takes no colour$"):
        shapes.make("round", colour="red")


def test_a_taken_name_is_refused_and_keeps_its_entry(shapes: Registry) -> None:
    with pytest.raises(InputError, match="there is a shape 'round' already"):
        shapes.add("round", Entry("another", list))
    assert shapes["round"].summary == "a circle"


def test_what_is_added_is_known_until_it_is_removed(shapes: Registry) -> None:
    shapes.add("flat", Entry("no corner at all", list))
    assert shapes.make("flat") == []
    assert list(shapes) == ["round", "square", "flat"]
    assert "flat: no corner at all" in shapes.describe()
    shapes.remove("flat")
    assert "flat" not in shapes
    assert len(shapes) == 2


def test_registries_share_no_entries() -> None:
    entries = {"round": Entry("a circle", dict)}
    one, other = Registry("shape", entries), Registry("shape", entries)
    one.add("flat", Entry("no corner", list))
    assert list(other) == list(entries) == ["round"]


def test_a_path_is_imported_when_the_entry_is_made_and_not_before() -> None:
    code = (
        "import sys\n"
        "from torchtrack_uq.utils.registry import Entry, Registry\n"
        "half = Entry('1/2', 'fractions:Fraction', {'numerator': 1}, options=('denominator',))\n"
        "registry = Registry('number', {'half': half})\n"
        "registry.describe(), registry['half'], list(registry)\n"
        "assert 'fractions' not in sys.modules\n"
        "assert str(registry.make('half', denominator=2)) == '1/2'\n"
        "assert 'fractions' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("registry", [METHODS, TRACKERS], ids=lambda registry: registry.kind)
def test_every_path_in_the_packages_own_registries_leads_to_something(registry: Registry) -> None:
    for name, entry in registry.items():
        assert callable(registry._resolve(entry)), name
        assert entry.summary
