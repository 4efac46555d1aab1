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
from torchtrack_uq.movies.movie import Movie
from torchtrack_uq.results.boxes import Box, box_around
from torchtrack_uq.review.decision_log import Decision
from torchtrack_uq.review.rest import AIM
from torchtrack_uq.review.session import ReviewSession

COOKIE = "torchtrack_uq_review"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_PAGE = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
_LARGEST_BOX = 2048
_LARGEST_BODY = 10_000
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
            refused = _refusal(request, token)
            if refused is not None:
                return PlainTextResponse(refused, status_code=403, headers=_HEADERS)
            try:
                response = await handler(request)
            except InputError as error:
                response = JSONResponse({"error": str(error)}, status_code=409)
            except (KeyError, ValueError, TypeError) as error:
                response = JSONResponse({"error": f"unusable request: {error}"}, status_code=400)
            response.headers.update(_HEADERS)
            given = request.query_params.get("token")
            if given is not None:
                response.set_cookie(COOKIE, token, httponly=True, samesite="strict")
            return response

        return answer

    routes = [
        Route("/", guarded(_static("page.html"))),
        *(Route(f"/{name}", guarded(_static(name))) for name in _PAGE),
        Route("/api/queue", guarded(views.queue)),
        Route("/api/progress", guarded(views.progress)),
        Route("/api/question/{frame:int}/{label:int}", guarded(views.question)),
        Route("/api/frame/{frame:int}.png", guarded(views.png)),
        Route("/api/outlines/{frame:int}", guarded(views.outlines)),
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
    given = request.query_params.get("token") or request.cookies.get(COOKIE, "")
    if not hmac.compare_digest(given.encode(), token.encode()):
        return "the token is missing or wrong: open the address that `torchtrack-uq review` printed"
    return None


def _static(name: str) -> Handler:
    async def answer(request: Request) -> Response:
        content = (files("torchtrack_uq.review") / "page" / name).read_bytes()
        return Response(content, media_type=_PAGE[name])

    return answer


class _Views:
    """What the page asks for; slow work runs beside the event loop."""

    def __init__(self, session: ReviewSession) -> None:
        self.session = session

    @property
    def _movie(self) -> Movie:
        movie = self.session.start.movie
        if movie is None:
            raise InputError("cells of this movie are points; there are no pixels to show")
        return movie

    async def progress(self, request: Request) -> Response:
        return JSONResponse(self._progress())

    def _progress(self) -> dict[str, Any]:
        found = asdict(self.session.progress)
        cells = self.session.start.detections
        return found | {
            "open": len(self.session.queue),
            "n_frames": cells.n_frames,
            "has_pixels": self.session.start.movie is not None,
            "max_gap": self.session.start.candidates.max_gap,
        }

    async def queue(self, request: Request) -> Response:
        """Rows of the queue, filtered by reason and frames: `offset`, `n`, `reason`, `first`, `last`, `track`."""
        table = self.session.queue
        asked = request.query_params
        reasons = sorted(set(table["reason"]) - {""})
        if asked.get("reason"):
            table = table[table["reason"] == asked["reason"]]
        if asked.get("first"):
            table = table[table["frame"] >= int(asked["first"])]
        if asked.get("last"):
            table = table[table["frame"] <= int(asked["last"])]
        offset, n = max(int(asked.get("offset", 0)), 0), min(int(asked.get("n", 200)), 1000)
        rows = json.loads(table.iloc[offset : offset + n].to_json(orient="records"))
        return JSONResponse({"rows": rows, "n": len(table), "reasons": reasons})

    async def question(self, request: Request) -> Response:
        frame, label = request.path_params["frame"], request.path_params["label"]
        found = await run_in_threadpool(self.session.question, frame, label)
        if not found["struck_out"]:
            cells = self.session.start.detections
            shown = [(frame, label), *((one["frame"], one["label"]) for one in found["candidates"])]
            box = box_around(cells, [int(cells.find(*one)) for one in shown])
            found["box"] = {"top": box.top, "left": box.left, "size": box.size, "plane": box.plane}
        return JSONResponse(found)

    async def png(self, request: Request) -> Response:
        from torchtrack_uq.results.crops import crop_png

        t = self._frame(request)
        low, high = (
            float(request.query_params.get(name, value)) for name, value in (("low", 0.5), ("high", 99.8))
        )
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles are {low} and {high}; expected 0 <= low < high <= 100")
        box = _box(request)
        content = await run_in_threadpool(lambda: crop_png(self._movie, t, box, low=low, high=high))
        return Response(content, media_type="image/png")

    async def outlines(self, request: Request) -> Response:
        from torchtrack_uq.results.crops import outlines

        t, box = self._frame(request), _box(request)
        return JSONResponse(await run_in_threadpool(outlines, self._movie, t, box))

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
        aim = float(request.query_params.get("aim", AIM))
        rest = await run_in_threadpool(self.session.rest, aim)
        return JSONResponse(asdict(rest) | {"share": rest.share, "text": rest.describe()})

    async def skip(self, request: Request) -> Response:
        asked = await _body(request)
        await run_in_threadpool(self.session.skip, _whole(asked["frame"]), _whole(asked["label"]))
        return JSONResponse(self._progress())

    def _frame(self, request: Request) -> int:
        t = int(request.path_params["frame"])
        if not 0 <= t < self._movie.n_frames:
            raise ValueError(f"frame {t} is none of the {self._movie.n_frames}")
        return t


async def _body(request: Request) -> dict[str, Any]:
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > _LARGEST_BODY:
            raise ValueError("the request is too large")
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("expected an object")
    return found


def _box(request: Request) -> Box:
    asked = request.query_params
    size = int(asked["size"])
    if not 1 <= size <= _LARGEST_BOX:
        raise ValueError(f"size is {size}; expected 1 to {_LARGEST_BOX}")
    plane = asked.get("plane")
    return Box(
        int(asked["top"]), int(asked["left"]), size, int(plane) if plane not in (None, "", "null") else None
    )


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected a whole number, got {value!r}")
    return value
