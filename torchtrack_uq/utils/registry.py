"""Named things that a user chooses from: trackers, methods, metrics. One line each, imported when first made."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from torchtrack_uq.errors import InputError


@dataclass(frozen=True)
class Entry:
    """One line of a registry.

    Attributes:
        summary: What it is, in a few words, for `--help` and the docs.
        make: What makes it, or where that is, as "package.module:name": then nothing is imported before it is made.
        arguments: What it is made with in any case.
        options: Names of the options that it takes beside those.
    """

    summary: str
    make: str | Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()


def with_options(name: str, options: Mapping[str, Any]) -> str:
    """A name and the options that are not the default ones, in words.

    >>> with_options("AS", {"k": 10, "leftover": False}), with_options("SM", {})
    ('AS with k=10, leftover=False', 'SM')
    """
    listed = ", ".join(f"{option}={value!r}" for option, value in options.items())
    return f"{name} with {listed}" if listed else name


class Registry(Mapping[str, Entry]):
    """Names and what they stand for.

    Args:
        kind: What its entries are, for messages: "tracker", "method".
        entries: By name.
        reserved: Names that mean something else where the registry is used, and cannot be added.

    >>> shapes = Registry("shape", {"round": Entry("a circle", dict, {"corners": 0}, options=("radius",))})
    >>> shapes.make("round", radius=2.0)
    {'corners': 0, 'radius': 2.0}
    """

    def __init__(
        self, kind: str, entries: Mapping[str, Entry] | None = None, reserved: Collection[str] = ()
    ) -> None:
        self.kind, self.reserved = kind, frozenset(reserved)
        self._entries = dict(entries or {})

    def __getitem__(self, name: str) -> Entry:
        if name not in self._entries:
            raise InputError(
                f"{self.kind} {name!r} is unknown; expected one of {', '.join(self._entries) or 'none at all'}"
            )
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, name: str, entry: Entry) -> None:
        """Add an entry.

        Raises:
            InputError: The name is taken.
        """
        if name in self._entries or name in self.reserved:
            raise InputError(f"there is a {self.kind} {name!r} already; choose another name")
        self._entries[name] = entry

    def remove(self, name: str) -> None:
        """Take out what `add` added.

        Raises:
            InputError: There is nothing by that name.
        """
        self[name]  # an unknown name is refused in a sentence
        del self._entries[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The entry, or a default where there is none."""
        return self._entries.get(name, default)

    def make(self, name: str, **options: Any) -> Any:
        """Make one of them.

        Args:
            name: Its name.
            **options: For it; None leaves its own default.

        Raises:
            InputError: An unknown name, or an option that belongs to another entry.
        """
        entry = self[name]
        given = {option: value for option, value in options.items() if value is not None}
        for option in given.keys() - set(entry.options):
            owners = [other for other, one in self._entries.items() if option in one.options]
            belongs = f"; it is for {', '.join(owners)}" if owners else ""
            raise InputError(f"{self.kind} {name} takes no {option.replace('_', ' ')}{belongs}")
        return self._resolve(entry)(**entry.arguments, **given)

    def describe(self) -> str:
        """All names with what they are, in one line."""
        return "; ".join(f"{name}: {entry.summary}" for name, entry in self._entries.items())

    @staticmethod
    def _resolve(entry: Entry) -> Callable[..., Any]:
        if not isinstance(entry.make, str):
            return entry.make
        module, _, name = entry.make.partition(":")
        make: Callable[..., Any] = getattr(import_module(module), name)
        return make
