"""Packages that only some uses need: imported where they are used, with the line that installs them."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from torchtrack_uq.errors import InputError


def import_optional(module: str, extra: str, what: str) -> ModuleType:
    """Import a module of an optional dependency.

    Args:
        module: Such as "geff.core_io".
        extra: The extra of this package that installs it.
        what: What needs it, for the message.

    Raises:
        InputError: It is not installed; the message says how to install it.

    >>> import_optional("json", extra="files", what="reading settings").__name__
    'json'
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise InputError(
            f"{what} needs {package}, which cannot be imported ({error}): pip install 'torchtrack-uq[{extra}]'"
        ) from error


def installed_version(package: str) -> str | None:
    """Version of an installed package, which is not imported for it; None where it is not installed.

    >>> installed_version("no such package") is None
    True
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return None
