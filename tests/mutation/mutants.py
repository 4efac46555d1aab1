"""All places of a module at which one small fault can be put, and the module with one of them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Add,
    ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.Break: ast.Continue, ast.Continue: ast.Break, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
NAMES = {
    "min": "max",
    "max": "min",
    "minimum": "maximum",
    "maximum": "minimum",
    "argmin": "argmax",
    "argmax": "argmin",
}


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        line: Where it is, from 1.
        what: What was put in place of what.
        source: The module with it.
    """

    line: int
    what: str
    source: str


def places(source: str) -> int:
    """How many faults a module can have.

    >>> places("def f(a):\\n    return a + 1 if a < 2 else min(a, 0)")
    6
    """
    return sum(1 for _ in _faults(ast.parse(source)))


def mutant(source: str, number: int) -> Mutant:
    """The module with fault `number`, from 0; comments and layout are lost.

    >>> mutant("def f(a):\\n    return a + 1", 0)
    Mutant(line=2, what='+ to -', source='def f(a):\\n    return a - 1')
    """
    tree = ast.parse(source)
    for k, (node, field, new, what) in enumerate(_faults(tree)):
        if k == number:
            line = getattr(node, "lineno", 0)
            holder, key = field
            if isinstance(holder, list):
                holder[key] = new
            else:
                setattr(holder, key, new)
            return Mutant(line, what, ast.unparse(ast.fix_missing_locations(tree)))
    raise IndexError(f"there is no fault {number}")


def _faults(tree: ast.Module) -> "Iterator[tuple[ast.AST, tuple[object, object], object, str]]":
    """Every place: the node, what holds it and under which name, what else to put there, and how that is called."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                yield from _within(statement)


def _within(tree: ast.AST) -> "Iterator[tuple[ast.AST, tuple[object, object], object, str]]":
    if isinstance(tree, ast.FunctionDef | ast.ClassDef | ast.Raise | ast.Assert):
        return  # found by themselves; or a message
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns"):
            continue
        for key, child in enumerate(value) if isinstance(value, list) else [(name, value)]:
            if not isinstance(child, ast.AST):
                continue
            place = (value, key) if isinstance(value, list) else (tree, key)
            at = child if hasattr(child, "lineno") else tree
            swap = SWAPS.get(type(child))
            if swap is not None:
                yield at, place, swap(), f"{_sign(child)} to {_sign(swap())}"
            elif isinstance(child, ast.UnaryOp) and isinstance(child.op, ast.Not | ast.USub | ast.Invert):
                yield at, place, child.operand, f"{_sign(child.op)} removed"
            elif isinstance(child, ast.Constant) and type(child.value) in (bool, int, float):
                other = not child.value if isinstance(child.value, bool) else child.value + 1
                yield at, place, ast.Constant(other), f"{child.value} to {other}"
            elif isinstance(child, ast.Name) and child.id in NAMES:
                yield at, place, ast.Name(NAMES[child.id], ast.Load()), f"{child.id} to {NAMES[child.id]}"
            elif isinstance(child, ast.Attribute) and child.attr in NAMES:
                other_name = ast.Attribute(child.value, NAMES[child.attr], ast.Load())
                yield at, place, other_name, f"{child.attr} to {NAMES[child.attr]}"
            yield from _within(child)


def _sign(node: ast.AST) -> str:
    if isinstance(node, ast.cmpop):
        return ast.unparse(ast.Compare(ast.Name("a"), [node], [ast.Name("b")]))[2:-2]
    if isinstance(node, ast.operator):
        return ast.unparse(ast.BinOp(ast.Name("a"), node, ast.Name("b")))[2:-2]
    return type(node).__name__.lower()
