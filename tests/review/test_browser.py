"""The page in a browser, as a person uses it: a real server, a real Chromium, and nothing from elsewhere."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from torchtrack_uq import TrackingResult, UncertainTracker
from torchtrack_uq.cli.main import main
from torchtrack_uq.review.decision_log import DecisionLog
from torchtrack_uq.review.server import make_app
from torchtrack_uq.review.session import ReviewSession

NAME = "<script>document.title='taken over'"
"""Of the folder that is reviewed, which the page shows."""
WHO = "<img src=x onerror=document.title=1>"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="chromium or chromedriver is not installed"
)


class Page:
    """What a person does on the page and sees of it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        self.driver.get(address)
        self.wait(lambda: self.n("#family svg") and self.n("#after svg path"))

    def wait(self, until: Callable[[], object]) -> None:
        WebDriverWait(self.driver, 60, poll_frequency=0.05).until(lambda _: until())

    def run(self, script: str) -> object:
        return self.driver.execute_script(script)

    def n(self, selector: str) -> int:
        return int(str(self.run(f"return document.querySelectorAll({json.dumps(selector)}).length")))

    def text(self, name: str) -> str:
        return str(self.run(f"return document.getElementById({json.dumps(name)}).textContent"))

    def press(self, key: str) -> None:
        """A key, and what follows from it."""
        before = self.text("title"), self.text("progress")
        self.driver.find_element(By.TAG_NAME, "body").send_keys(key)
        self.wait(
            lambda: (self.text("title"), self.text("progress")) != before and not self.n("body[aria-busy]")
        )

    def choose(self, name: str, value: str) -> None:
        """A value of a field, as if it was typed or picked."""
        self.run(
            f"const field = document.getElementById('{name}'); field.value = {json.dumps(value)};"
            f"field.dispatchEvent(new Event('change'))"
        )

    def decided(self) -> int:
        return int(self.text("progress").split(" decided")[0])


class Server:
    """`torchtrack-uq review` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        command = "from torchtrack_uq.cli.main import main; main()"
        arguments = ["review", str(self.folder), "--no-browser", "--who", WHO]
        self.process = subprocess.Popen(
            [sys.executable, "-c", command, *arguments], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.address = next(line.split()[1] for line in self.process.stdout if line.startswith("open "))

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def reviewed(tracked_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(tracked_folder, tmp_path_factory.mktemp("browser") / NAME))


@pytest.fixture(scope="module")
def server(reviewed: Path) -> Iterator[Server]:
    server = Server(reviewed)
    yield server
    server.kill()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = str(CHROMIUM)
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1500,950", f"--user-data-dir={profile}"):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(service=Service(DRIVER), options=options)
    yield driver
    driver.quit()


@pytest.fixture
def page(server: Server, browser: webdriver.Chrome) -> Page:
    page = Page(browser)
    page.open(server.address)
    return page


def status(address: str, **headers: str) -> int:
    """How the server answers who is no browser with its cookie."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_person_filters_steps_decides_and_takes_it_back(page: Page) -> None:
    page.choose("reason", "two mothers alike")
    page.choose("last", "9")
    page.wait(lambda: "missed before" not in page.text("queue") and page.text("queue"))
    assert all(
        "two mothers alike" in item.text
        for item in page.driver.find_elements(By.CSS_SELECTOR, "#queue small")
    )
    first = page.text("title")
    page.press("j")
    second = page.text("title")
    page.press("k")
    assert page.text("title") == first != second
    page.press("0")
    assert page.decided() == 1
    page.wait(lambda: page.text("title") != first)
    page.press("u")
    page.wait(lambda: page.text("title") == first)
    assert page.decided() == 0


def test_a_track_alone_is_shown_and_all_again(page: Page) -> None:
    page.run("document.getElementById('only').click()")
    track = page.run("return document.getElementById('track').value")
    page.wait(lambda: f"track {track}" in page.text("queue") and "the first" not in page.text("count"))
    items = page.driver.find_elements(By.CSS_SELECTOR, "#queue small")
    assert items
    assert all(f"track {track}" in item.text for item in items)
    page.run("document.getElementById('clear').click()")
    page.wait(lambda: "the first 200" in page.text("count"))


def test_a_press_in_a_later_frame_opens_the_question_of_that_cell_and_decides_nothing(page: Page) -> None:
    page.choose("first", "3")
    page.choose("last", "3")
    page.wait(lambda: "of frame 3" in page.text("title"))
    decided = page.decided()
    page.choose("other", "4")
    page.wait(lambda: "press the cell" in page.text("before-caption") and page.n("#before svg path"))
    cell = page.run(
        "const path = document.querySelector('#before svg path'); path.dispatchEvent(new MouseEvent('click'));"
        "return path.textContent"
    )
    page.wait(lambda: page.text("title") == f"C{str(cell)[1:]} of frame 4: who is its mother?")
    assert page.decided() == decided


def test_the_map_leads_to_questions_and_frames(page: Page) -> None:
    label = page.run(
        "const spot = [...document.querySelectorAll('#map .spot')].find((one) => one.textContent.includes('frame 7'));"
        "spot.dispatchEvent(new MouseEvent('click')); return spot.textContent.split(' ')[1]"
    )
    page.wait(lambda: page.text("title") == f"Cell {label} of frame 7: who is its mother?")
    page.run("document.querySelectorAll('#times .bar')[5].dispatchEvent(new MouseEvent('click'))")
    page.wait(lambda: "of frame 5" in page.text("title"))
    assert page.run("return document.getElementById('first').value") == "5"


def test_a_killed_server_has_lost_no_decision_and_correct_takes_them(
    page: Page, server: Server, reviewed: Path, tmp_path: Path
) -> None:
    question = page.text("title")
    page.press("0")
    page.wait(lambda: page.text("title") != question)
    page.press("b")
    server.kill()
    page.driver.find_element(By.TAG_NAME, "body").send_keys("0")
    page.wait(lambda: "the server does not answer" in page.text("error"))
    server.start()
    page.open(server.address)
    assert page.decided() == 2
    assert "1 struck out" in page.text("progress")
    table = pd.read_csv(reviewed / "decisions.csv")
    assert table["verdict"].tolist()[-2:] == ["none", "bad"]
    assert set(table["who"]) == {WHO}
    main(["correct", str(reviewed), str(reviewed / "decisions.csv"), "-o", str(tmp_path / "new")])
    before, after = TrackingResult.load(reviewed), TrackingResult.load(tmp_path / "new")
    assert len(after.detections) == len(before.detections) - 1
    frame, label = table[["frame", "label"]].iloc[-2]
    assert after.mother[int(after.detections.find(frame, label))] == -1


def test_names_are_text_and_no_script_of_theirs_runs(page: Page) -> None:
    assert page.text("movie") == f"{NAME} ({WHO})"
    assert page.run("return document.title") == "Review - torchtrack-uq"
    assert page.n("script") == 1
    assert page.n("h1 img") == 0


def test_no_request_leaves_the_machine(page: Page, server: Server) -> None:
    entries = [json.loads(entry["message"])["message"] for entry in page.driver.get_log("performance")]
    asked = [
        one["params"]["request"]["url"] for one in entries if one["method"] == "Network.requestWillBeSent"
    ]
    own = server.address.split("?")[0]
    assert len([one for one in asked if one.startswith(f"{own}api/")]) > 5
    # earlier tests asked a server on another port of this machine, before it was killed
    assert not [
        one
        for one in asked
        if not one.startswith(("http://127.0.0.1:", "data:", "chrome:", "chrome-untrusted:", "about:"))
    ]
    forbidden = page.driver.execute_async_script(
        "const done = arguments[0];"
        "document.addEventListener('securitypolicyviolation', (event) => done(event.violatedDirective));"
        "fetch('http://127.0.0.2:9/').catch(() => null)"
    )
    assert forbidden == "connect-src"


def test_strangers_and_other_origins_are_refused(server: Server) -> None:
    own, token = server.address.split("?token=")
    assert status(own) == 403
    assert status(f"{own}api/map") == 403
    assert status(f"{own}api/map?token={token}") == 200
    assert status(f"{own}api/map?token={token}", Origin="http://elsewhere.example") == 403
    assert status(f"{own}..%2fcells.csv?token={token}") == 404


def test_points_are_drawn_where_there_are_no_pixels(browser: webdriver.Chrome, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    place = rng.uniform(0, 100, (40, 2))
    rows = [
        {"frame": 480 + 2 * t, "id": k, "y": y + rng.normal(0, 3), "x": x + rng.normal(0, 3)}
        for t in range(5)
        for k, (y, x) in enumerate(place)
    ]
    result = UncertainTracker("distance").track_points(pd.DataFrame(rows), progress=False)
    app = make_app(ReviewSession(result, DecisionLog(tmp_path / "decisions.csv")), "a-secret")
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        page = Page(browser)
        page.wait(lambda: running.started)
        port = running.servers[0].sockets[0].getsockname()[1]
        page.open(f"http://127.0.0.1:{port}/?token=a-secret")
        assert page.n("#before svg path") > 3
        assert page.n("#after svg path.asked") == 1
        assert page.n("img") == 0
        slider = (
            "const one = document.getElementById('other'); return [one.min, one.max, one.step, one.value]"
        )
        first, last, step, shown = page.run(slider)  # type: ignore[misc]
        assert (first, last, step) == ("480", "488", "2")
        assert f"Frame {shown}" in page.text("before-caption")
    finally:
        running.should_exit = True
        thread.join()
