"""What the page draws: pieces of frames with the cells in them, the map of doubts, the family of a cell."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from torchtrack_uq.errors import InputError
from torchtrack_uq.results.boxes import Box
from torchtrack_uq.review.doubt_map import doubt_map
from torchtrack_uq.review.family import family
from torchtrack_uq.review.kept_frames import KeptFrames
from torchtrack_uq.review.positions import Window, circles
from torchtrack_uq.review.queue_filter import QueueFilter
from torchtrack_uq.review.session import ReviewSession

_LARGEST_BOX = 2048


class Panels:
    """Answers to what is drawn; frames are named by the user's own numbers, as everywhere on the page.

    Args:
        session: What is reviewed.
    """

    def __init__(self, session: ReviewSession) -> None:
        self.session = session
        movie = session.start.movie
        self._movie = None if movie is None else KeptFrames.of_movie(movie)

    @property
    def addresses(self) -> dict[str, Callable[[Request], Awaitable[Response]]]:
        """Who answers what."""
        return {
            "/api/about": self.about,
            "/api/frame/{frame:int}.png": self.png,
            "/api/outlines/{frame:int}": self.outlines,
            "/api/map": self.map,
            "/api/family/{frame:int}/{label:int}": self.family,
        }

    async def about(self, request: Request) -> Response:
        """What does not change during a session."""
        start, log = self.session.start, self.session.log
        naming = start.detections.naming
        return JSONResponse(
            {
                "movie": log.file.parent.resolve().name,
                "who": log.who,
                "n_cells": len(start.detections),
                "n_tracks": len(start.tracklets.table),
                "has_pixels": start.movie is not None,
                "has_images": start.movie is not None and start.movie.images is not None,
                "first_frame": naming.first_frame,
                "last_frame": naming.last(start.detections.n_frames),
                "frame_step": naming.frame_step,
                "max_gap": start.candidates.max_gap,
            }
        )

    async def png(self, request: Request) -> Response:
        """A piece of a frame: `top`, `left`, `size`, `plane`; percentile `low` is black, `high` white."""
        from torchtrack_uq.results.crops import crop_png

        movie, t = self._movie, self._frame(request)
        if movie is None:
            raise InputError("cells of this movie are points; there are no pixels to show")
        low, high = (
            float(request.query_params.get(name, value)) for name, value in (("low", 0.5), ("high", 99.8))
        )
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles are {low} and {high}; expected 0 <= low < high <= 100")
        box = _box(request)
        content = await run_in_threadpool(lambda: crop_png(movie, t, box, low=low, high=high))
        return Response(content, media_type="image/png")

    async def outlines(self, request: Request) -> Response:
        """Lines around the cells in a piece of a frame; circles around those that are points."""
        from torchtrack_uq.results.crops import outlines

        t = self._frame(request)
        if self._movie is None:
            cells = self.session.start.detections
            found = await run_in_threadpool(circles, cells, t, _window(request))
        else:
            found = await run_in_threadpool(outlines, self._movie, t, _box(request))
        return JSONResponse(found)

    async def map(self, request: Request) -> Response:
        """Doubts of the queue as filtered over the field, and of all cells over time."""
        asked = QueueFilter.of(request.query_params)
        return JSONResponse(await run_in_threadpool(self._map, asked))

    def _map(self, asked: QueueFilter) -> dict[str, Any]:
        result, queue = self.session.current, self.session.queue
        return doubt_map(result, asked.rows(queue, self.session.start))

    async def family(self, request: Request) -> Response:
        """The lineage tree around a cell, as it is now."""
        result = self.session.current
        frame, label = request.path_params["frame"], request.path_params["label"]
        cell = int(result.detections.find(frame, label))
        return JSONResponse(await run_in_threadpool(family, result, cell))

    def _frame(self, request: Request) -> int:
        """Our number of a frame that is named by the user's."""
        cells = self.session.start.detections
        number = int(request.path_params["frame"])
        t, rest = divmod(number - cells.naming.first_frame, cells.naming.frame_step)
        if rest or not 0 <= t < cells.n_frames:
            raise ValueError(f"frame {number} is none of the {cells.n_frames}")
        return t


def _box(request: Request) -> Box:
    asked = request.query_params
    top, left, size = (int(asked[name]) for name in ("top", "left", "size"))
    if not 1 <= size <= _LARGEST_BOX:
        raise ValueError(f"size is {size}; expected 1 to {_LARGEST_BOX}")
    plane = asked.get("plane")
    return Box(top, left, size, int(plane) if plane not in (None, "", "null") else None)


def _window(request: Request) -> Window:
    asked = request.query_params
    top, left, size = (float(asked[name]) for name in ("top", "left", "size"))
    if not (math.isfinite(top) and math.isfinite(left) and math.isfinite(size) and size > 0):
        raise ValueError(f"the piece is {top}, {left}, {size}; expected numbers and a size above 0")
    plane = asked.get("plane")
    return Window(top, left, size, float(plane) if plane not in (None, "", "null") else None)
