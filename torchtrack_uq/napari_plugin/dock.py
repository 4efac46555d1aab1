"""The dock widget "Review doubts": what a `ReviewController` says, in Qt, beside what napari shows."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from napari.layers import Labels, Layer, Points
from napari.qt.threading import create_worker
from napari.utils.notifications import show_warning
from napari.viewer import Viewer
from qtpy.QtCore import Qt
from qtpy.QtGui import QHideEvent, QKeyEvent, QShowEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from torchtrack_uq.errors import InputError
from torchtrack_uq.napari_plugin.controller import KEYS, LISTED, ReviewController
from torchtrack_uq.napari_plugin.opened import METADATA, OpenedResults
from torchtrack_uq.napari_plugin.rings import QuestionRings
from torchtrack_uq.review.decision_log import DecisionLog
from torchtrack_uq.review.earlier_cells import refuse_earlier_cells
from torchtrack_uq.review.session import ReviewSession
from torchtrack_uq.review.who import login

_QT_NAMES = {Qt.Key.Key_Return: "Enter", Qt.Key.Key_Enter: "Enter"}
_ACTIONS = {"Enter": "Accept", "S": "Skip", "U": "Undo", "R": "Redo", "A": "Random look"}
_ALL = "all reasons"
_STILL = 4.0
"""Pixels of the screen that a click may move."""
_log = logging.getLogger(__name__)


class ReviewDoubts(QWidget):
    """Settle doubts about the results that are open in napari; decisions go into `decisions.csv` of their folder.

    Results that are open when it comes up, or are opened later, are taken up by themselves. What takes time runs beside
    the window, which says so meanwhile and takes no other decision.

    Args:
        napari_viewer: That it belongs to.

    Attributes:
        controller: What it shows; None before results are open.
        opened: Results that are reviewed.
        busy: Whether something is being worked out.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.controller: ReviewController | None = None
        self.opened: OpenedResults | None = None
        self.busy = False
        self._next: OpenedResults | None = None
        self._rings = QuestionRings(napari_viewer, {key: self._presser(key) for key in KEYS})
        self._build()
        self.viewer.layers.events.inserted.connect(self._look_for_results)
        self.viewer.mouse_drag_callbacks.append(self._clicked)
        callbacks, callback = self.viewer.mouse_drag_callbacks, self._clicked
        self.destroyed.connect(lambda: callbacks.remove(callback))
        self.show_all()
        self._look_for_results()

    def _build(self) -> None:
        self.folder, self.progress, self.rest, self.title, self.why, self.status = (_text() for _ in range(6))
        self.title.setStyleSheet("font-weight: bold")
        self.reason, self.count, self.queue = QComboBox(), _text(), QListWidget()
        self.reason.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.reason.setToolTip("Show cells that are doubtful for one reason only")
        self.reason.activated.connect(self._filtered)
        self.queue.setStyleSheet("QListWidget::item:selected { background: #0072b2; color: white }")
        self.queue.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys are answers, not steps in the list
        self.queue.itemClicked.connect(lambda item: self._go(self.queue.row(item)))
        opener = _button("Open results…", lambda *_: self._ask_for_folder())
        self.answers = QVBoxLayout()
        self.actions = {key: self._button(f"{name} ({key})", key) for key, name in _ACTIONS.items()}
        self.actions["refit"] = _button("Refit", lambda *_: self._do(ReviewController.refit))
        self.actions["refit"].setToolTip("Temperature and event scores anew, from the random looks so far")
        buttons = list(self.actions.values())
        layout = QVBoxLayout(self)
        for part in (opener, self.folder, self.progress, self.rest, _row(self.reason, self.count)):
            _add(layout, part)
        layout.addWidget(self.queue, stretch=1)
        for part in (self.title, self.why, self.answers, _row(*buttons[:4]), _row(*buttons[4:]), self.status):
            _add(layout, part)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def open(self, folder: Path) -> None:
        """Show a folder that `torchtrack-uq track` wrote, and review it."""
        self._work(lambda: OpenedResults.of(folder), self._add_layers, f"Opening {folder} …")

    def press(self, key: str) -> None:
        """What a key does, as in `ReviewController.press`; "," and "." go a frame back and on."""
        if key in (",", "."):
            self.viewer.dims.set_current_step(0, self.viewer.dims.current_step[0] + (1 if key == "." else -1))
        else:
            self._do(lambda review: review.press(key))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's name)
        """Keys while the widget has the focus; what is no key of the review is napari's."""
        key = _QT_NAMES.get(event.key(), event.text().upper())
        if key in KEYS and not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            self.press(key)
        else:
            super().keyPressEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 (Qt's name)
        """A review that nobody sees takes no keys."""
        if not event.spontaneous():
            self._rings.remove()
        super().hideEvent(event)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 (Qt's name)
        """Seen again, it shows its question."""
        super().showEvent(event)
        if not event.spontaneous():
            self.show_all()

    def show_all(self) -> None:
        """Put into the widget and the viewer what the controller says."""
        review = self.controller
        for part in (self.reason, self.queue, *self.actions.values()):
            part.setEnabled(review is not None)
        if review is None:
            self.title.setText("Open a folder that torchtrack-uq track wrote.")
            return
        self.progress.setText(review.progress)
        self.rest.setText(review.rest)
        some = review.n_rows > LISTED
        self.count.setText(f"the first {LISTED} of {review.n_rows}" if some else f"{review.n_rows} cells")
        self.reason.clear()
        self.reason.addItems([_ALL, *review.reasons])
        self.reason.setCurrentText(review.reason or _ALL)
        self.queue.clear()
        self.queue.addItems([row.text for row in review.rows])
        self.queue.setCurrentRow(review.at)
        self.title.setText(review.title)
        self.why.setText(review.why)
        self._show_answers(review)
        self._say(review.message, error=True)
        if self.opened is not None and self.isVisible():
            self._rings.show(review, self.opened.result.detections.voxel_size)

    def _show_answers(self, review: ReviewController) -> None:
        while self.answers.count():
            old = self.answers.takeAt(0).widget()
            old.hide()
            old.deleteLater()
        for answer in review.answers:
            said = [word for word, so in (("tracker", answer.chosen), ("you", answer.decided)) if so]
            button = self._button(
                f"{answer.key}   {answer.text}" + (f"   ({', '.join(said)})" if said else ""), answer.key
            )
            weight = "bold" if said else "normal"
            button.setStyleSheet(f"text-align: left; padding: 4px; font-weight: {weight}")
            self.answers.addWidget(button)

    def _button(self, text: str, key: str) -> QPushButton:
        return _button(text, self._presser(key))

    def _presser(self, key: str) -> Callable[..., None]:
        return lambda *_: self.press(key)

    def _filtered(self, index: int) -> None:
        reason = self.reason.itemText(index) if index else ""
        self._do(lambda review: review.filter(reason))

    def _go(self, row: int) -> None:
        self._do(lambda review: review.go(row))

    def _say(self, text: str, *, error: bool = False) -> None:
        self.status.setText(text)
        self.status.setStyleSheet("color: #ff8a65; font-weight: bold" if error and text else "")

    def _do(self, action: Callable[[ReviewController], object]) -> None:
        review = self.controller
        if review is not None:
            self._work(lambda: action(review), lambda _: self.show_all(), "Working …")

    def _work(self, action: Callable[[], Any], then: Callable[[Any], None], saying: str) -> None:
        """Do what may take time beside the window, one at a time."""
        if self.busy:
            return  # a key that was pressed meanwhile was meant for a question that is gone
        self.busy = True
        self._say(saying)
        worker = create_worker(action, _start_thread=False, _ignore_errors=True)
        worker.returned.connect(lambda found: self._finish(lambda: then(found)))
        worker.warned.connect(lambda found: show_warning(str(found[0])))
        worker.errored.connect(lambda error: self._finish(lambda: self._failed(error)))
        worker.start()

    def _finish(self, then: Callable[[], None]) -> None:
        self.busy = False
        then()
        if self._next is not None and not self.busy:
            self._start(self._next)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, InputError):
            _log.error("the review failed", exc_info=error)
        self._say(
            str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}", error=True
        )

    def _ask_for_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder that torchtrack-uq track wrote")
        if folder:
            self.open(Path(folder))

    def _add_layers(self, opened: OpenedResults) -> None:
        for layer in opened.layers():
            self.viewer.add_layer(Layer.create(*layer))

    def _look_for_results(self, event: Any = None) -> None:
        layers = list(self.viewer.layers) if event is None else [event.value]
        for layer in reversed(layers):
            found = layer.metadata.get(METADATA)
            if found is not None and found is not self.opened:
                self._start(found)
                return

    def _start(self, opened: OpenedResults) -> None:
        if self.busy:
            self._next = opened
            return
        self._next, self.opened = None, opened
        log = opened.folder / "decisions.csv"

        def begin() -> ReviewController:
            refuse_earlier_cells(opened.folder, log)
            return ReviewController(ReviewSession(opened.result, DecisionLog(log, login())))

        self._work(
            begin,
            self._started,
            "Putting doubts in order …",
        )

    def _started(self, review: ReviewController) -> None:
        self.controller = review
        if self.opened is not None:
            self.folder.setText(f"{self.opened.folder}: decisions go into decisions.csv")
        self.show_all()

    def _clicked(self, viewer: Viewer, event: Any) -> Iterator[None]:
        """A click that is no drag, while no tool is in hand: the cell there is the mother."""
        active = viewer.layers.selection.active
        in_hand = getattr(active, "mode", "pan_zoom") not in ("pan_zoom", "transform")
        if in_hand or event.button != 1 or event.modifiers or not self.isVisible():
            return
        begin = tuple(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if max(abs(a - b) for a, b in zip(begin, event.pos, strict=True)) < _STILL:
            cell = self._cell_at(event)
            if cell is not None:
                self._do(lambda review: review.choose(cell))

    def _cell_at(self, event: Any) -> int | None:
        review = self.controller
        for layer in reversed(self.viewer.layers):
            if review is None or layer.metadata.get(METADATA) is not self.opened or not layer.visible:
                continue
            value = layer.get_value(
                event.position,
                view_direction=event.view_direction,
                dims_displayed=list(event.dims_displayed),
                world=True,
            )
            t = round(float(layer.world_to_data(event.position)[0]))
            if isinstance(layer, Labels) and value:
                return review.cell_of_track(t, int(value[1] if isinstance(value, tuple) else value))
            if isinstance(layer, Points) and layer.name.startswith("cells") and value is not None:
                return int(value)
        return None


def _text() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)  # names are text, never markup
    return label


def _button(text: str, action: Callable[..., None]) -> QPushButton:
    button = QPushButton(text.replace("&", "&&"))
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # so that Enter accepts, whatever was clicked last
    button.clicked.connect(action)
    return button


def _row(*parts: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for part in parts:
        row.addWidget(part)
    return row


def _add(layout: QVBoxLayout, part: Any) -> None:
    if isinstance(part, QWidget):
        layout.addWidget(part)
    else:
        layout.addLayout(part)
