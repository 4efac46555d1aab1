"""Every fault is one, at the place that it names, and the module can still be compiled."""

import ast
from pathlib import Path

import pytest

from tests.mutation.mutants import mutant, places

SOURCE = '''
"""Text."""
LIMIT = 1


def first(values: "list[int]") -> int:
    """Text with 1 < 2."""
    best = 0
    for value in values:
        if not value > best and value != 3:
            continue
        best = max(best, value + 1)
    return best
'''
FAULTS = [
    "0 to 1", "and to or", "not removed", "> to >=", "!= to ==", "3 to 4", "continue to break", "max to min",
    "+ to -", "1 to 2",
]  # fmt: skip


def test_what_is_put_where() -> None:
    found = [mutant(SOURCE, k) for k in range(places(SOURCE))]
    assert sorted({one.what for one in found}) == sorted(set(FAULTS))
    assert {one.what: one.line for one in found}["max to min"] == 12
    assert len({one.source for one in found}) == len(found)
    assert ast.unparse(ast.parse(SOURCE)) not in {one.source for one in found}


@pytest.mark.parametrize("name", ["kernels/frontier.py", "pruned.py", "certificate.py"])
def test_a_faulty_module_of_the_engine_is_a_module(name: str) -> None:
    source = (Path(__file__).parents[2] / "torchtrack_uq" / "assignment" / name).read_text()
    n = places(source)
    assert n > 20
    for k in range(0, n, 7):
        compile(mutant(source, k).source, name, "exec")
    with pytest.raises(IndexError):
        mutant(source, n)
