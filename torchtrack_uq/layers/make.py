"""Methods by name and options, and whether a method is what its name and options would make."""

from collections.abc import Mapping
from typing import Any

from torchtrack_uq.errors import InputError
from torchtrack_uq.layers.method import Method, ModuleMethod
from torchtrack_uq.layers.registry import METHODS


def make_method(name: str, **options: Any) -> Method:
    """Make a method that is known by name.

    Args:
        name: One of `METHODS`; an entry may also make any module that makes `LinkProbabilities` from a graph.
        **options: Of that method, such as `k`; None leaves its default.

    Raises:
        InputError: An unknown name, or an option of another method.

    >>> make_method("AS", k=10)
    AssignmentPosterior(method='AS', k=10)
    """
    made = METHODS.make(name, **options)
    return made if isinstance(made, Method) else ModuleMethod(made, name)


def check_can_be_made_again(method: Method) -> None:
    """Refuse to write down a method by name and options if these would not make it.

    Raises:
        InputError: It is not registered, or what is registered by its name is something else.
    """
    if method.name not in METHODS:
        raise InputError(
            f"method {method.name} is in no registry, so a file that names it could not be read again: register it, "
            f"METHODS.add({method.name!r}, Entry('what it is', ...))"
        )
    made = make_method(method.name, **method.options)
    alike = _kind(made) is _kind(method) and made.options == method.options
    if not (alike and _same_state(made.state_dict(), method.state_dict())):
        raise InputError(
            f"what is registered as method {method.name} is not this method: register this one, under a name of its "
            "own and with its parameters"
        )


def _kind(method: Method) -> type:
    return type(method.module) if isinstance(method, ModuleMethod) else type(method)


def _same_state(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(bool((one[name] == other[name]).all()) for name in one)
