"""The dock widget in napari, without a display: what is pressed and clicked is decided, shown and written.

Without OpenGL napari draws nothing, but layers, dims, camera, keys and clicks are there. `test_in_a_window` needs both:
`xvfb-run -a python -m pytest tests/napari_plugin`.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from torchtrack_uq import InputError, TrackingResult, UncertainTracker
from torchtrack_uq.cli import main
from torchtrack_uq.review.decision_log import Decision, DecisionLog

pytestmark = pytest.mark.filterwarnings("ignore")  # napari and what it brings may use what is deprecated
HAS_DISPLAY = bool(os.environ.get("DISPLAY"))
if not HAS_DISPLAY:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="module", autouse=True)
def app() -> Any:
    why = "napari and Qt are not installed: pip install -e '.[napari]' pyside6"
    pytest.importorskip("napari", reason=why)
    try:
        from qtpy.QtWidgets import QApplication
    except ImportError:  # qtpy's own, where there is no Qt
        pytest.skip(why)
    from npe2 import PluginManager

    PluginManager.instance().discover()  # as a napari that starts does: from what is installed
    return QApplication.instance() or QApplication([])


@pytest.fixture
def viewer() -> Any:
    from napari.components import ViewerModel

    return ViewerModel()


def wait(app: Any, dock: Any) -> None:
    end = time.monotonic() + 60
    app.processEvents()
    while dock.busy:
        assert time.monotonic() < end, dock.status.text()
        app.processEvents()
        time.sleep(0.002)
    app.processEvents()


@pytest.fixture
def open_dock(app: Any, viewer: Any) -> Iterator[Callable[[Path | None], Any]]:
    docks = []

    def make(folder: Path | None) -> Any:
        from torchtrack_uq.napari_plugin.dock import ReviewDoubts

        if folder is not None:
            viewer.open(folder, plugin="torchtrack-uq")
        dock = ReviewDoubts(viewer)
        dock.show()
        docks.append(dock)
        wait(app, dock)
        return dock

    yield make
    for dock in docks:
        wait(app, dock)
        dock.close()
        dock.deleteLater()
    app.processEvents()


def asked(dock: Any) -> tuple[int, int]:
    return dock.controller.question["frame"], dock.controller.question["label"]


def standing(folder: Path) -> dict[tuple[int, int], Decision]:
    return DecisionLog(folder / "decisions.csv").standing()


def press(app: Any, dock: Any, key: str) -> None:
    """On the keyboard, while the picture has the focus: what napari does with it."""
    layer = dock.viewer.layers.selection.active
    found = {str(name): action for name, action in layer.keymap.items()}
    found[key](layer)
    wait(app, dock)


def click(app: Any, dock: Any, position: np.ndarray) -> None:
    from napari.utils.interactions import mouse_press_callbacks, mouse_release_callbacks

    event = SimpleNamespace(
        button=1, modifiers=[], pos=(5, 5), type="mouse_press", position=tuple(position.astype(float)),
        view_direction=None, dims_displayed=[len(position) - 2, len(position) - 1],
    )  # fmt: skip
    mouse_press_callbacks(dock.viewer, event)
    mouse_release_callbacks(dock.viewer, SimpleNamespace(**vars(event) | {"type": "mouse_release"}))
    wait(app, dock)


def test_napari_finds_the_manifest_valid() -> None:
    from npe2 import PluginManager, PluginManifest

    PluginManifest.from_distribution("torchtrack-uq").validate_imports()
    assert "torchtrack-uq" in {found.name for found in PluginManager.instance().iter_manifests()}


def test_a_folder_opened_before_or_after_is_reviewed(
    app: Any, viewer: Any, open_dock: Callable[..., Any], folder: Path
) -> None:
    dock = open_dock(None)
    assert "Open a folder" in dock.title.text()
    assert not dock.actions["U"].isEnabled()
    viewer.open(folder, plugin="torchtrack-uq")
    wait(app, dock)
    assert [type(layer).__name__ for layer in viewer.layers] == [
        "Image",
        "Labels",
        "Tracks",
        "Points",
        "Points",
    ]
    assert dock.queue.count() == len(dock.controller.rows) > 10
    assert str(folder) in dock.folder.text()
    other = open_dock(None)
    assert other.opened is dock.opened


def test_a_question_moves_the_view_to_frame_and_place(
    app: Any, viewer: Any, open_dock: Callable[..., Any], folder: Path
) -> None:
    dock = open_dock(folder)
    for row in (3, 0, 7):
        dock.queue.itemClicked.emit(dock.queue.item(row))
        wait(app, dock)
        spot = dock.controller.spot
        assert dock.queue.currentRow() == row
        assert viewer.dims.current_step[0] == spot.frame == dock.controller.rows[row].frame
        assert viewer.camera.center[-2:] == pytest.approx(spot.place)
        assert len(viewer.layers["question"].data) == len(spot.marks)
        assert dock.answers.count() == len(dock.controller.answers)
    frame = viewer.dims.current_step[0]
    press(app, dock, ",")
    assert viewer.dims.current_step[0] == frame - 1
    press(app, dock, ".")
    assert viewer.dims.current_step[0] == frame


def test_keys_on_the_picture_decide_and_the_file_has_it_at_once(
    app: Any, open_dock: Callable[..., Any], folder: Path
) -> None:
    from torchtrack_uq.napari_plugin.controller import KEYS

    dock = open_dock(folder)
    keymap = {str(key) for key in dock.viewer.layers.selection.active.keymap}
    assert set(KEYS) <= keymap
    first = asked(dock)
    press(app, dock, "0")
    assert standing(folder) == {first: Decision(*first, "none")}
    assert "1 decided" in dock.progress.text()
    press(app, dock, "U")
    assert not standing(folder)
    assert asked(dock) == first
    press(app, dock, "R")
    assert first in standing(folder)
    press(app, dock, "A")
    assert "at random" in dock.why.text()
    press(app, dock, "Enter")
    assert "95 % confidence" in dock.rest.text()


def test_keys_in_the_widget_do_the_same(app: Any, open_dock: Callable[..., Any], folder: Path) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    dock = open_dock(folder)
    first = asked(dock)
    for key, verdict in ((Qt.Key.Key_B, "bad"), (Qt.Key.Key_U, None), (Qt.Key.Key_Return, "any")):
        QTest.keyClick(dock, key)
        wait(app, dock)
        found = standing(folder).get(first)
        assert (found is None) == (verdict is None)
        assert verdict in (None, "any") or found == Decision(*first, "bad")
    before = (folder / "decisions.csv").read_bytes()
    QTest.keyClick(dock, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)  # napari's, not ours
    wait(app, dock)
    assert (folder / "decisions.csv").read_bytes() == before


def test_a_click_on_an_earlier_cell_makes_it_the_mother(
    app: Any, viewer: Any, open_dock: Callable[..., Any], folder: Path
) -> None:
    dock = open_dock(folder)
    frame, label = asked(dock)
    cells = dock.opened.result.detections
    click(app, dock, np.array([frame, *cells.coords[cells.in_frame(frame)][0].round()]))
    assert "is of a frame before" in dock.status.text()
    assert not standing(folder)
    empty = np.argwhere(np.asarray(viewer.layers["cells by track"].data[frame - 1]) == 0)[0]
    click(app, dock, np.array([frame - 1, *empty]))
    assert not standing(folder)
    mother = dock.controller.question["candidates"][-1]
    press(app, dock, ",")
    click(app, dock, np.array([mother["frame"], *np.round(mother["place"])]))
    assert standing(folder) == {
        (frame, label): Decision(frame, label, "mother", mother["frame"], mother["label"])
    }


def test_points_of_a_table_are_clicked_too(app: Any, open_dock: Callable[..., Any], tmp_path: Path) -> None:
    place = [(20.0, 20.0), (20.0, 28.0), (60.0, 60.0)]
    rows = [
        {"frame": 10 + 2 * t, "id": k + 1, "y": y, "x": x + 4 * (t % 2)}  # halfway between two
        for t in range(4)
        for k, (y, x) in enumerate(place)
    ]
    result = UncertainTracker("distance").track_points(
        pd.DataFrame(rows), voxel_size=(0.5, 0.5), progress=False
    )
    folder = result.save(tmp_path / "points", progress=False)
    dock = open_dock(folder)
    frame, label = asked(dock)
    mother = dock.controller.question["candidates"][-1]
    cell = result.detections.by_name[mother["frame"], mother["label"]]
    t = int(result.detections.frame[cell])
    dock.viewer.dims.set_current_step(0, t)
    click(app, dock, np.array([t, *(result.detections.coords[cell] * 0.5)]))
    assert standing(folder) == {
        (frame, label): Decision(frame, label, "mother", mother["frame"], mother["label"])
    }


def test_what_goes_wrong_is_shown(
    app: Any, open_dock: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = open_dock(None)
    dock.open(folder.parent / "nowhere")
    wait(app, dock)
    assert "state.npz is missing" in dock.status.text()
    dock.open(folder)
    wait(app, dock)
    assert not dock.status.text()
    for error, text in (
        (InputError("that cannot be"), "that cannot be"),
        (OSError("disk full"), "OSError: disk full"),
    ):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        with monkeypatch.context() as broken:
            broken.setattr(dock.controller.session.log, "append", fail)
            press(app, dock, "0")
        assert text in dock.status.text()
        assert not standing(folder)
    press(app, dock, "0")
    assert not dock.status.text()
    assert len(standing(folder)) == 1


def test_meanwhile_no_other_key_counts(app: Any, open_dock: Callable[..., Any], folder: Path) -> None:
    dock = open_dock(folder)
    for _ in range(3):
        dock.press("0")
    assert dock.busy
    assert dock.status.text() == "Working …"
    wait(app, dock)
    assert len(standing(folder)) == 1


def test_a_hidden_review_takes_no_keys(
    app: Any, viewer: Any, open_dock: Callable[..., Any], folder: Path
) -> None:
    dock = open_dock(folder)
    assert "question" in viewer.layers
    dock.hide()
    assert "question" not in viewer.layers
    dock.show()
    assert "question" in viewer.layers


def test_correct_takes_the_decisions(
    app: Any, open_dock: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    dock = open_dock(folder)
    for key in ("0", "1", "Enter"):
        press(app, dock, key)
    assert main(["correct", str(folder), str(folder / "decisions.csv"), "-o", str(tmp_path / "new")]) == 0
    new = TrackingResult.load(tmp_path / "new")
    for (frame, label), decision in standing(folder).items():
        given = (
            -1
            if decision.mother is None
            else int(new.detections.find(decision.mother_frame, decision.mother))
        )
        assert new.mother[int(new.detections.find(frame, label))] == given


@pytest.mark.skipif(not HAS_DISPLAY, reason="needs a display with OpenGL: xvfb-run -a python -m pytest")
def test_in_a_window(app: Any, folder: Path) -> None:
    import napari
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    viewer = napari.Viewer(show=False)
    try:
        viewer.open(folder, plugin="torchtrack-uq")
        inside, dock = viewer.window.add_plugin_dock_widget("torchtrack-uq", "Review doubts")
        wait(app, dock)
        viewer.window._qt_window.show()
        app.processEvents()
        first, canvas = asked(dock), viewer.window._qt_viewer.canvas.native
        QTest.keyClick(canvas, Qt.Key.Key_Return)
        wait(app, dock)
        assert first in standing(folder)
        QTest.keyClick(canvas, Qt.Key.Key_U)
        wait(app, dock)
        assert not standing(folder)
        assert viewer.screenshot(canvas_only=False, flash=False).std() > 10
        viewer.window.remove_dock_widget(inside)
        assert "question" not in viewer.layers
    finally:
        viewer.close()
