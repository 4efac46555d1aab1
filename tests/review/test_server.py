"""The page answers who knows the token on this machine, and nobody else; nothing leaves the folder or the machine."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from torchtrack_uq.review.server import make_app
from torchtrack_uq.review.session import ReviewSession

TOKEN = "a-secret"
PAGE = files("torchtrack_uq.review") / "page"


@pytest.fixture
def client(session: ReviewSession) -> Iterator[TestClient]:
    with TestClient(make_app(session, TOKEN), base_url="http://127.0.0.1:8000") as client:
        assert client.get(f"/?token={TOKEN}").status_code == 200  # gets the cookie
        yield client


@pytest.fixture
def stranger(session: ReviewSession) -> Iterator[TestClient]:
    with TestClient(make_app(session, TOKEN), base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.mark.parametrize(
    "address", ["/", "/page.js", "/api/queue", "/api/progress", "/api/frame/0.png?top=0&left=0&size=9"]
)
@pytest.mark.parametrize("given", ["", "?token=", "?token=wrong", "?token=%E2%98%83"])
def test_without_the_token_nothing_is_answered(stranger: TestClient, address: str, given: str) -> None:
    joined = address + (given.replace("?", "&") if "?" in address else given)
    found = stranger.get(joined)
    assert found.status_code == 403
    assert "token is missing or wrong" in found.text


def test_two_reviews_in_one_browser_do_not_shut_each_other_out(session: ReviewSession) -> None:
    apps = {port: make_app(session, f"secret of {port}") for port in (8000, 8001)}
    jar: dict[str, str] = {}  # browsers send cookies to all ports of a host
    for port, app in apps.items():
        with TestClient(app, base_url=f"http://127.0.0.1:{port}") as client:
            assert client.get(f"/?token=secret of {port}").status_code == 200
            jar |= dict(client.cookies)
    for port, app in apps.items():
        with TestClient(app, base_url=f"http://127.0.0.1:{port}", cookies=jar) as client:
            assert client.get("/api/progress").status_code == 200


@pytest.mark.parametrize(
    "content", ["[" * 9_000, '{"frame": 1, "label": 1, "verdict": "drawn"}', "{", "[]", "\udcff"]
)
def test_bodies_that_mean_nothing_are_refused_and_nothing_is_written(
    client: TestClient, folder: Path, content: str
) -> None:
    found = client.post("/api/decide", content=content.encode("utf-8", "surrogateescape"))
    assert found.status_code in (400, 409)
    assert not (folder / "decisions.csv").exists()


def test_another_host_or_origin_is_refused(client: TestClient, folder: Path) -> None:
    body = {"frame": 1, "label": 1, "verdict": "none"}
    for headers in (
        {"host": "evil.example:8000"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null"},
    ):
        assert client.post("/api/decide", json=body, headers=headers).status_code == 403
    assert not (folder / "decisions.csv").exists()
    assert client.get("/api/progress", headers={"origin": "http://127.0.0.1:8000"}).status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "/../cells.csv",
        "/..%2fcells.csv",
        "/page/../session.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/cells.csv",
        "/docs",
        "/openapi.json",
    ],
)
def test_no_file_of_the_machine_is_served(client: TestClient, address: str) -> None:
    assert client.get(address).status_code == 404


def test_the_page_asks_nobody_else() -> None:
    served = {file.name: file.read_text() for file in PAGE.iterdir()}
    assert {"page.html", "page.css", "page.js"} < set(served)
    for text in served.values():
        others = [one for one in re.findall(r"https?://[^\s\"']+", text) if "www.w3.org/2000/svg" not in one]
        assert not others
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
        assert not re.search(
            r"\son[a-z]+=|<script>|style=\"", text
        )  # what the content security policy forbids


def test_headers_forbid_what_the_page_does_not_need(client: TestClient) -> None:
    headers = client.get("/").headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["cache-control"] == "no-store"


def test_a_person_goes_through_the_queue(client: TestClient, session: ReviewSession) -> None:
    queue = client.get("/api/queue?n=5").json()
    assert len(queue["rows"]) == 5
    row = queue["rows"][0]
    question = client.get(f"/api/question/{row['frame']}/{row['label']}").json()
    box = question["box"]
    asked = f"top={box['top']}&left={box['left']}&size={box['size']}"
    picture = client.get(f"/api/frame/{row['frame']}.png?{asked}")
    assert picture.content.startswith(b"\x89PNG")
    seen = {cell["label"] for cell in client.get(f"/api/outlines/{row['frame']}?{asked}").json()}
    assert row["label"] in seen
    progress = client.post(
        "/api/decide", json={"frame": row["frame"], "label": row["label"], "verdict": "none"}
    ).json()
    assert progress["decided"] == 1
    assert client.post("/api/undo", json={}).json()["decision"]["label"] == row["label"]
    assert client.post("/api/redo", json={}).json()["decided"] == 1
    assert session.progress.decided == 1


def test_filters_keep_what_was_asked_for(client: TestClient) -> None:
    every = client.get("/api/queue?n=1000").json()
    reason = every["reasons"][0]
    some = client.get("/api/queue", params={"n": 1000, "reason": reason, "first": 3, "last": 9}).json()
    assert {row["reason"] for row in some["rows"]} <= {reason}
    assert all(3 <= row["frame"] <= 9 for row in some["rows"])


@pytest.mark.parametrize(
    "body",
    [
        {}, {"frame": 1}, {"frame": "1", "label": 1, "verdict": "none"}, {"frame": 1.5, "label": 1, "verdict": "none"},
        {"frame": True, "label": 1, "verdict": "none"}, {"frame": 1, "label": 1, "verdict": "undo"},
        {"frame": 1, "label": 1, "verdict": "<script>"}, {"frame": 1, "label": 10**30, "verdict": "none"},
        {"frame": 1, "label": 1, "verdict": "none", "mother": 3, "mother_frame": 0},
    ],
)  # fmt: skip
def test_unusable_requests_are_one_sentence_and_change_nothing(
    client: TestClient, folder: Path, body: dict[str, object]
) -> None:
    found = client.post("/api/decide", json=body)
    assert found.status_code in (400, 409)
    assert found.json()["error"]
    assert not (folder / "decisions.csv").exists()


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"x" * 20_000, b'{"frame": 1' + b" " * 20_000])
def test_unusable_bodies_are_refused(client: TestClient, content: bytes) -> None:
    assert client.post("/api/decide", content=content).status_code == 400


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "top=0&left=0&size=0",
        "top=0&left=0&size=1000000",
        "top=x&left=0&size=9",
        "top=0&left=0&size=9&low=9&high=3",
    ],
)
def test_absurd_pictures_are_refused(client: TestClient, asked: str) -> None:
    assert client.get(f"/api/frame/0.png?{asked}").status_code == 400
    assert client.get(f"/api/frame/99999.png?{asked}").status_code == 400


def test_pieces_over_the_border_are_black_there(client: TestClient) -> None:
    import io

    from matplotlib.image import imread

    content = client.get("/api/frame/0.png?top=-50&left=-50&size=40").content
    assert np.asarray(imread(io.BytesIO(content)))[..., 0].max() == 0
