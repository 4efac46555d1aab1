"""The page's server: on this machine only, for who knows the token, with nothing from elsewhere."""

import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from torchtrack_uq.errors import InputError
from torchtrack_uq.results.boxes import box_around
from torchtrack_uq.review.decision_log import Decision
from torchtrack_uq.review.panels import Panels
from torchtrack_uq.review.positions import window_around
from torchtrack_uq.review.queue_filter import QueueFilter, tracks_of_rows
from torchtrack_uq.review.session import ReviewSession
from torchtrack_uq.utils.json_text import parse_json

COOKIE = "torchtrack_uq_review"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_SCRIPTS = ("page.js", "asking.js", "pictures.js", "doubt_map.js", "family.js", "reasons.js", "rest.js")
_PAGE = {"page.html": "text/html", "page.css": "text/css"} | dict.fromkeys(_SCRIPTS, "text/javascript")
_LARGEST_BODY = 10_000
_LEAST_LIKELY, _LEAST_SHOWN = 0.005, 2
"""Less likely mothers than that, but for two, are chosen by a click on them."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Handler = Callable[[Request], Awaitable[Response]]


def make_app(session: ReviewSession, token: str) -> Starlette:
    """The page and its data.

    The first request names the token (`/?token=...`) and gets a cookie that only this origin sends back. A request
    without it, for another host or from another origin is refused: a page elsewhere cannot decide anything.

    Args:
        session: What is reviewed.
        token: Secret of this run, unguessable.
    """
    views = _Views(session)

    def guarded(handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                refused = _refusal(request, token)
                if refused is not None:
                    return PlainTextResponse(refused, status_code=403, headers=_HEADERS)
                response = await handler(request)
            except InputError as error:
                response = JSONResponse({"error": str(error)}, status_code=409)
            except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
                response = JSONResponse({"error": f"unusable request: {error}"}, status_code=400)
            response.headers.update(_HEADERS)
            given = request.query_params.get("token")
            if given is not None:
                response.set_cookie(cookie_of(request), token, httponly=True, samesite="strict")
            return response

        return answer

    routes = [
        Route("/", guarded(_static("page.html"))),
        *(Route(f"/{name}", guarded(_static(name))) for name in _PAGE),
        Route("/api/queue", guarded(views.queue)),
        Route("/api/progress", guarded(views.progress)),
        Route("/api/question/{frame:int}/{label:int}", guarded(views.question)),
        *(Route(path, guarded(handler)) for path, handler in Panels(session).addresses.items()),
        Route("/api/decide", guarded(views.decide), methods=["POST"]),
        Route("/api/undo", guarded(views.undo), methods=["POST"]),
        Route("/api/redo", guarded(views.redo), methods=["POST"]),
        Route("/api/draw", guarded(views.draw), methods=["POST"]),
        Route("/api/refit", guarded(views.refit), methods=["POST"]),
        Route("/api/rest", guarded(views.rest)),
        Route("/api/skip", guarded(views.skip), methods=["POST"]),
    ]
    return Starlette(routes=routes)


def _refusal(request: Request, token: str) -> str | None:
    """Why a request is not answered, or None."""
    host = request.headers.get("host", "").rsplit(":", 1)[0]
    if host not in _LOOPBACK:
        return "this page answers on this machine only"
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        return "another origin may not ask"
    given = request.query_params.get("token") or request.cookies.get(cookie_of(request), "")
    if not hmac.compare_digest(given.encode(), token.encode()):
        return "the token is missing or wrong: open the address that `torchtrack-uq review` printed"
    return None


def cookie_of(request: Request) -> str:
    """Name of the cookie: browsers send cookies to all ports of a host, and two reviews may be open at once."""
    return f"{COOKIE}_{request.headers.get('host', '').rpartition(':')[2]}"


def _static(name: str) -> Handler:
    async def answer(request: Request) -> Response:
        content = (files("torchtrack_uq.review") / "page" / name).read_bytes()
        return Response(content, media_type=_PAGE[name])

    return answer


class _Views:
    """What the page asks for; slow work runs beside the event loop."""

    def __init__(self, session: ReviewSession) -> None:
        self.session = session

    async def progress(self, request: Request) -> Response:
        return JSONResponse(self._progress())

    def _progress(self) -> dict[str, Any]:
        return asdict(self.session.progress) | {"open": len(self.session.queue)}

    async def queue(self, request: Request) -> Response:
        """Rows of the queue from `offset` on, at most `n`, as `reason`, `first`, `last` and `track` filter them."""
        asked, start = request.query_params, self.session.start
        queue = self.session.queue
        table = QueueFilter.of(asked).rows(queue, start)
        offset, n = max(int(asked.get("offset", 0)), 0), min(int(asked.get("n", 200)), 1000)
        page = table.iloc[offset : offset + n]
        rows = json.loads(page.assign(track=tracks_of_rows(page, start)).to_json(orient="records"))
        reasons = sorted(set(queue["reason"].unique()) - {""})
        return JSONResponse({"rows": rows, "n": len(table), "reasons": reasons})

    async def question(self, request: Request) -> Response:
        frame, label = request.path_params["frame"], request.path_params["label"]
        found = await run_in_threadpool(self.session.question, frame, label)
        if not found["struck_out"]:
            cells = self.session.start.detections
            found["candidates"] = [
                one
                for k, one in enumerate(found["candidates"])
                if k < _LEAST_SHOWN
                or one["probability"] >= _LEAST_LIKELY
                or [one["frame"], one["label"]] == found["chosen"]
            ]
            shown = [(frame, label), *((one["frame"], one["label"]) for one in found["candidates"])]
            indices = [int(cells.find(*one)) for one in shown]
            around = window_around if self.session.start.movie is None else box_around
            found["box"] = asdict(around(cells, indices))
            found["track"] = int(self.session.start.tracklets.track[indices[0]])
        return JSONResponse(found)

    async def decide(self, request: Request) -> Response:
        asked = await _body(request)
        decision = Decision(
            _whole(asked["frame"]),
            _whole(asked["label"]),
            str(asked["verdict"]),
            None if asked.get("mother_frame") is None else _whole(asked["mother_frame"]),
            None if asked.get("mother") is None else _whole(asked["mother"]),
        )
        if decision.verdict == "undo":
            raise ValueError("undo has an address of its own")
        await run_in_threadpool(self.session.decide, decision)
        return JSONResponse(self._progress())

    async def undo(self, request: Request) -> Response:
        withdrawn = await run_in_threadpool(self.session.undo)
        return JSONResponse(self._progress() | {"decision": None if withdrawn is None else asdict(withdrawn)})

    async def redo(self, request: Request) -> Response:
        taken = await run_in_threadpool(self.session.redo)
        return JSONResponse(self._progress() | {"decision": None if taken is None else asdict(taken)})

    async def draw(self, request: Request) -> Response:
        drawn = await run_in_threadpool(self.session.draw)
        return JSONResponse({"drawn": None if drawn is None else {"frame": drawn[0], "label": drawn[1]}})

    async def refit(self, request: Request) -> Response:
        change = await run_in_threadpool(self.session.refit)
        return JSONResponse(self._progress() | {"text": change.describe()})

    async def rest(self, request: Request) -> Response:
        """What can be promised about what nobody looked at; `aim` is the share of errors to aim at."""
        aim = request.query_params.get("aim")
        rest = await run_in_threadpool(self.session.rest, None if aim is None else float(aim))
        return JSONResponse(asdict(rest) | {"share": rest.share, "text": rest.describe()})

    async def skip(self, request: Request) -> Response:
        asked = await _body(request)
        await run_in_threadpool(self.session.skip, _whole(asked["frame"]), _whole(asked["label"]))
        return JSONResponse(self._progress())


async def _body(request: Request) -> dict[str, Any]:
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > _LARGEST_BODY:
            raise ValueError("the request is too large")
    found = parse_json(content)
    if not isinstance(found, dict):
        raise ValueError("expected an object")
    return found


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected a whole number, got {value!r}")
    return value
