"""The floor plan: every module has a room, and a room imports only rooms that stand before it."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "torchtrack_uq"
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
    "uncertain_tracker",
    "reels",
    "planning",
    "exchange",
    "batch",
    "cli",
)
"""In the order of the data: from pixels to files, and the command line last."""
LOOSE = {"__init__", "errors", "uncertain_tracker"}
SAME_NAME_ALLOWED = {"ctc", "download", "registry"}
"""Read and written; done and asked for; one a room by design."""
OPTIONAL = {
    "torchtrack_uq.links.networkx_graph",
    "torchtrack_uq.results.track_graph",
    "torchtrack_uq.results.picture",
    "torchtrack_uq.results.close_up",
    "torchtrack_uq.results.labels_apart",
    "torchtrack_uq.results.lineage_picture",
    "torchtrack_uq.results.scale_bar",
    "torchtrack_uq.results.crops",
    "torchtrack_uq.results.report.asked",
    "torchtrack_uq.results.report.document",
    "torchtrack_uq.results.report.frame_panel",
    "torchtrack_uq.results.report.pixels",
    "torchtrack_uq.review.server",
}
"""Modules that import an optional or a heavy dependency on top, so that who may do without imports them when needed."""
PICTURES = {
    "torchtrack_uq.results.picture",
    "torchtrack_uq.results.close_up",
    "torchtrack_uq.results.labels_apart",
    "torchtrack_uq.results.lineage_picture",
    "torchtrack_uq.results.scale_bar",
    "torchtrack_uq.metrics.figures",
    "torchtrack_uq.planning.plan_picture",
}
NO_TORCH = (
    "utils",
    "assignment",
    "movies",
    "trackers.registry",
    "layers.registry",
    "metrics.registry",
    "cli",
)
NO_FILES = ("functional", "links", "posterior", "layers")
LONGEST = 315


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(file.read_text()) for name, file in FILES.items()}


def imported(name: str, node: ast.AST) -> set[str]:
    """Modules of the package that a statement imports; names of a package's face lead to where they are from."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names if alias.name.startswith("torchtrack_uq")}
    if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("torchtrack_uq"):
        return set()
    assert node.level == 0, f"{name} imports relatively"
    modules = {f"{node.module}.{alias.name}" for alias in node.names} & FILES.keys()
    return modules or {str(node.module)}


def imports(name: str, *, registered: bool = True) -> set[str]:
    """All modules of the package that one imports, anywhere in it, those named in registries included."""
    found = set().union(*(imported(name, node) for node in ast.walk(TREES[name])))
    if registered:
        texts = {
            n.value for n in ast.walk(TREES[name]) if isinstance(n, ast.Constant) and isinstance(n.value, str)
        }
        found |= {text.partition(":")[0] for text in texts if text.partition(":")[0] in FILES and ":" in text}
    return found - {name}


def room_of(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def test_every_module_has_a_room() -> None:
    loose = {file.stem for file in PACKAGE.glob("*.py")}
    assert loose == LOOSE
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert folders == set(ROOMS) - LOOSE


@pytest.mark.parametrize("name", [n for n in FILES if room_of(n) not in ("__init__", "errors")])
def test_a_room_imports_only_rooms_before_it(name: str) -> None:
    allowed = {*ROOMS[: ROOMS.index(room_of(name)) + 1], "errors"}
    rooms = {room_of(module) for module in imports(name)} - {"__init__"}
    assert rooms <= allowed, f"{name} imports {rooms - allowed}"


def test_no_circles() -> None:
    """Not even through registries, `TYPE_CHECKING` or inside functions."""
    faces = {name for name, file in FILES.items() if file.name == "__init__.py"}
    graph = {name: imports(name) - faces for name in FILES if name not in faces}
    # a registry names what it makes, and what is made may read the registry
    graph = {name: imports(name, registered=not name.endswith(".registry")) - faces for name in graph}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"files import each other in a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("name", FILES)
def test_imports_stand_on_top_but_for_optional_dependencies_and_the_command_line(name: str) -> None:
    if room_of(name) == "cli":
        return
    for function in ast.walk(TREES[name]):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    assert imported(name, node) & OPTIONAL, f"{name}, line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("name", FILES)
def test_registries_name_what_exists(name: str) -> None:
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
            module, colon, attribute = node.value.partition(":")
            if colon and module.startswith("torchtrack_uq.") and " " not in node.value:
                defined = {
                    getattr(item, "name", None)
                    for item in TREES[module].body
                    if isinstance(item, ast.ClassDef | ast.FunctionDef)
                }
                assert attribute in defined, node.value


def test_names_of_files_are_no_twins_and_hide_nothing() -> None:
    stems = [file.stem for file in FILES.values() if file.stem != "__init__"]
    assert not [stem for stem in stems if stem.startswith("_")]
    assert {stem for stem in stems if stems.count(stem) > 1} <= SAME_NAME_ALLOWED


def test_files_hold_one_idea() -> None:
    long = {name: n for name, file in FILES.items() if (n := len(file.read_text().splitlines())) > LONGEST}
    assert not long


def third_party(name: str) -> set[str]:
    found = set()
    for node in TREES[name].body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


@pytest.mark.parametrize(
    "name", [n for n in FILES if any(f"{n}.".startswith(f"torchtrack_uq.{part}.") for part in NO_TORCH)]
)
def test_solvers_readers_and_the_command_line_know_no_torch(name: str) -> None:
    if name != "torchtrack_uq.utils.device":
        assert not third_party(name) & {"torch", "pytorch_lightning", "torchmetrics"}


@pytest.mark.parametrize(
    "name", [n for n in FILES if any(f"{n}.".startswith(f"torchtrack_uq.{part}.") for part in NO_FILES)]
)
def test_tensor_modules_know_nothing_of_files(name: str) -> None:
    assert not third_party(name) & {"os", "pathlib", "json", "tifffile", "zarr", "geff"}
    assert "torchtrack_uq.utils.files" not in imports(name)


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_assignment_engine_needs_no_torch() -> None:
    assert not modules_after("import torchtrack_uq.assignment") & {"torch", "pandas", "matplotlib"}


def test_only_pictures_need_matplotlib_and_are_imported_when_drawn() -> None:
    """By looking, since torchmetrics imports matplotlib wherever it is installed."""
    assert {name for name in FILES if "matplotlib" in third_party(name)} == PICTURES
    for name in set(FILES) - PICTURES:
        on_top = set().union(*(imported(name, node) for node in TREES[name].body))
        assert not on_top & PICTURES, f"{name} imports {on_top & PICTURES}"


def test_only_the_dock_of_the_napari_plugin_knows_qt() -> None:
    knows = {name.rpartition(".")[2] for name in FILES if third_party(name) & {"napari", "qtpy"}}
    assert knows == {"dock", "rings"}
    assert not modules_after("from torchtrack_uq.napari_plugin import *") & {"napari", "qtpy"}


def test_help_loads_no_torch() -> None:
    """So that it answers at once; how fast is measured in benchmarks/."""
    statement = "from torchtrack_uq.cli.main import build_parser; build_parser().format_help()"
    assert not modules_after(statement) & {"torch", "numba", "pandas", "scipy"}


def test_every_public_name_can_be_imported() -> None:
    import torchtrack_uq

    for name in torchtrack_uq.__all__:
        assert getattr(torchtrack_uq, name) is not None
    for room in [room for room in ROOMS if room not in ("uncertain_tracker", "cli")]:
        module = __import__(f"torchtrack_uq.{room}", fromlist=["__all__"])
        for name in getattr(module, "__all__", []):
            assert getattr(module, name) is not None, f"{room}.{name}"
