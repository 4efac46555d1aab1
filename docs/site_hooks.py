"""What MkDocs does for this site beyond its settings.

It writes the pages of the API and of the command line from the package, and it takes along what pages link to outside
of `docs/` (tables of measurements, notebooks, the model card), so that links work in the repository and on the site. A
page that means a page of the API links to the `__init__.py` of the room, which is there to be read in the repository.
"""

import importlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
OUTSIDE = "files"
"""Where files from outside of docs/ lie in the site."""
ROOMS = (
    "utils",
    "functional",
    "assignment",
    "movies",
    "perturb",
    "links",
    "trackers",
    "truth",
    "posterior",
    "layers",
    "datasets",
    "metrics",
    "guarantees",
    "calibration",
    "training",
    "results",
    "review",
    "napari_plugin",
    "reels",
    "planning",
    "exchange",
    "batch",
)
"""Every room of the package but `cli`, in the order in which they may import each other."""
UTILITIES = ("registry.Entry", "registry.Registry", "device.choose_device", "optional.import_optional")
"""What the API pages show of `utils`, which has no public names of its own."""

WRITTEN = {f"torchtrack_uq/{room}/__init__.py": f"api/{room}.md" for room in ROOMS} | {
    "torchtrack_uq/__init__.py": "api/index.md",
    "torchtrack_uq/cli/__init__.py": "command_line.md",
}
"""Pages that are written here, by the file of the repository that pages link to instead."""

_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s]+)(?=\))")
_ATTRIBUTE = re.compile(r"(?P<before>\b(?:src|srcset|href)=\")(?P<target>[^\"\s]+)(?=\")")
_PICTURE = re.compile(
    r"<picture>\s*<source[^>]*dark[^>]*srcset=\"(?P<dark>[^\"]+)\"[^>]*>"
    r"\s*<img(?P<rest>[^>]*)src=\"(?P<light>[^\"]+)\"(?P<end>[^>]*)>\s*</picture>"
)
_log = logging.getLogger("mkdocs.plugins.torchtrack_uq")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and everything outside of docs/ that a page links to."""
    pages = {"command_line.md": command_line_page(), "api/index.md": api_page("torchtrack_uq")}
    pages |= {f"api/{room}.md": api_page(f"torchtrack_uq.{room}") for room in ROOMS}
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    waiting = [file.src_uri for file in files.documentation_pages() if file.src_uri not in pages]
    while waiting:
        uri = waiting.pop()
        for target in _targets(_origin(uri)):
            if target.is_relative_to(DOCS) or not target.is_file() or _uri(target) in files.src_uris:
                continue
            files.append(
                File.generated(
                    config, _uri(target), abs_src_path=str(target), inclusion=InclusionLevel.NOT_IN_NAV
                )
            )
            if target.suffix == ".md":
                waiting.append(_uri(target))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links that leave docs/ to where `on_files` put their files."""
    if page.file.generated_by and not page.file.src_uri.startswith(f"{OUTSIDE}/"):
        return markdown
    origin = _origin(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        path, hash_, anchor = match["target"].partition("#")
        if not path or ":" in path:
            return match[0]
        target = Path(os.path.normpath(origin.parent / path))
        if _uri(target) not in files.src_uris:
            _log.warning(f"{origin.relative_to(ROOT)} links to {path}, which does not exist")
            return match[0]
        new = os.path.relpath(_uri(target), os.path.dirname(page.file.src_uri) or ".")
        return f"{match['before']}{new}{hash_}{anchor}"

    return _outside_code(markdown, lambda text: _ATTRIBUTE.sub(moved, _LINK.sub(moved, text)))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let pictures follow the page's light and dark colours, whatever the system's are."""

    def inlined(match: re.Match[str]) -> str:
        svg = DOCS / "images" / Path(match["src"]).name
        return svg.read_text() if svg.is_file() else match[0]

    html = _PICTURE.sub(
        r'<img\g<rest>src="\g<light>#only-light"\g<end>><img\g<rest>src="\g<dark>#only-dark"\g<end>>', html
    )
    return re.sub(r"<img [^>]*src=\"(?P<src>[^\"]+\.svg)\"[^>]*>", inlined, html)


def command_line_page() -> str:
    """All commands with their own help."""
    os.environ["COLUMNS"] = "84"  # of argparse
    from torchtrack_uq.cli.main import build_parser

    parser = build_parser()
    commands: dict[str, Any] = next(
        action.choices for action in parser._actions if isinstance(action.choices, dict)
    )
    parts = [
        "# Command line",
        "After `make demo` or `make install` the command is in `.venv/bin`: `source .venv/bin/activate`, once in each "
        "terminal, or write `.venv/bin/torchtrack-uq`. What is below is what `torchtrack-uq COMMAND --help` prints. "
        "Exit status: 0 done, 1 failed, 2 unusable input, 130 interrupted.",
        f"```text\n{parser.format_help()}```",
    ]
    for name, command in commands.items():
        parts += [f"## {name}", f"```text\n{command.format_help()}```"]
    return "\n\n".join(parts) + "\n"


def api_page(module: str) -> str:
    """The public names of a room, from their docstrings."""
    if module == "torchtrack_uq.utils":
        names = UTILITIES
    else:
        names = tuple(name for name in importlib.import_module(module).__all__ if name != "__version__")
    summary = (importlib.import_module(module).__doc__ or "").strip()
    parts = [f"# {module}", summary, *(f"::: {module}.{name}" for name in names)]
    if module == "torchtrack_uq":
        # Each is described where it lives: here only where that is.
        rows = [f"| [`{name}`][{module}.{name}] | `{_home(name)}` |" for name in names]
        parts = [parts[0], summary, "\n".join(["| name | also in |", "|---|---|", *rows]), *parts[2:]]
    return "\n\n".join(parts) + "\n"


def _home(name: str) -> str:
    """The room that a public name of the package comes from."""
    stub = (ROOT / "torchtrack_uq" / "__init__.pyi").read_text()
    found = re.search(rf"^from \.([\w.]+) import {name} as", stub, re.MULTILINE)
    return f"torchtrack_uq.{found[1]}" if found else "torchtrack_uq"


def _origin(uri: str) -> Path:
    """The file of the repository that a page of the site is made from."""
    return ROOT / uri.removeprefix(f"{OUTSIDE}/") if uri.startswith(f"{OUTSIDE}/") else DOCS / uri


def _uri(target: Path) -> str:
    """Where a file of the repository lies in the site."""
    if target.is_relative_to(DOCS):
        return target.relative_to(DOCS).as_posix()
    file = target.relative_to(ROOT).as_posix()
    return WRITTEN.get(file, f"{OUTSIDE}/{file}")


def _targets(origin: Path) -> Iterator[Path]:
    """The files of the repository that a page links to, whether or not they exist."""
    found: list[str] = []

    def note(text: str) -> str:
        found.extend(match["target"] for pattern in (_LINK, _ATTRIBUTE) for match in pattern.finditer(text))
        return text

    _outside_code(origin.read_text(), note)
    for target in found:
        path = target.partition("#")[0]
        if path and ":" not in path:
            yield Path(os.path.normpath(origin.parent / path))


def _outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """Change what stands outside of fenced code blocks."""
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else change(part) for part in parts)
