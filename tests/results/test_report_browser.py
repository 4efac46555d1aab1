"""The report in a browser: what is ticked is kept, and comes out as decisions that `correct` takes."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from torchtrack_uq import TrackingResult, UncertainTracker
from torchtrack_uq.calibration.annotations import COLUMNS, read_decisions
from torchtrack_uq.results.provenance import settings_of
from torchtrack_uq.results.queue import review_queue
from torchtrack_uq.results.report import document

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"
)


@pytest.fixture
def result() -> TrackingResult:
    """Two cells that may have changed places twice, with names that would be markup."""
    places = [[0.0, 0.0], [0.0, 2.0], [1.0, 0.9], [1.0, 1.1], [2.0, 0.0], [2.0, 2.0]]
    names = ["<b>a</b>", 'b",;']
    table = pd.DataFrame(places, columns=["y", "x"]).assign(frame=[3, 3, 4, 4, 5, 5], id=names * 3)
    return UncertainTracker("distance").track_points(table, progress=False)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path / "downloads")})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def tick(browser: Any, element: Any) -> None:
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def wait_for(file: Path) -> Path:
    for _ in range(300):
        if file.exists() and file.stat().st_size:
            return file
        time.sleep(0.1)
    pytest.fail(f"{file} was not downloaded")


def test_answers_are_kept_and_come_out_as_decisions(
    result: TrackingResult, browser: Any, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    page.write_text(document.report_html(result, review_queue(result), settings_of(result)), encoding="utf-8")
    browser.get(page.as_uri())
    questions = browser.find_elements("css selector", "fieldset")
    assert len(questions) >= 2
    for question in questions[:2]:
        tick(browser, question.find_element("css selector", "input[data-verdict=mother]"))
    browser.get(page.as_uri())
    assert browser.find_element("id", "count").text == f"2 of {len(questions)} answered"
    browser.find_element("id", "download").click()
    file = wait_for(tmp_path / "downloads" / "decisions.csv")
    decided = read_decisions(file, result.detections, max_gap=result.candidates.max_gap)
    asked = browser.find_elements("css selector", "fieldset")[:2]
    cells = [
        result.detections.by_name[int(one.get_attribute("data-frame")), one.get_attribute("data-label")]
        for one in asked
    ]
    assert sorted(cells) == decided.known.nonzero()[0].tolist()
    likeliest = [one.find_element("css selector", "input[data-verdict=mother]") for one in asked]
    for cell, one in zip(cells, likeliest, strict=True):
        frame, name = int(one.get_attribute("data-mother-frame")), one.get_attribute("data-mother")
        assert decided.mother[cell] == result.detections.by_name[frame, name]
    tick(browser, asked[0].find_element("css selector", "button.clear"))
    assert browser.find_element("id", "count").text == f"1 of {len(questions)} answered"
    assert list(pd.read_csv(file).columns) == list(COLUMNS)

    errors = [one for one in browser.get_log("browser") if one["level"] in ("SEVERE", "WARNING")]
    assert not errors
    asked_for = {
        line.split('"url":"', 1)[1].split('"', 1)[0]
        for line in (one["message"] for one in browser.get_log("performance"))
        if "Network.requestWillBeSent" in line and '"url":"' in line
    }
    assert any(url.startswith("file:") for url in asked_for)
    assert not [url for url in asked_for if url.startswith(("http", "ws", "ftp", "//"))]
