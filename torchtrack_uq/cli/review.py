"""`torchtrack-uq review`."""

import argparse
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

from torchtrack_uq.errors import InputError
from torchtrack_uq.utils.optional import import_optional


def add_commands(commands: Any) -> None:
    """Add `review` to a parser's commands."""
    review = commands.add_parser(
        "review",
        help="open a page on this machine on which doubts are settled, the most useful looks first",
    )
    review.add_argument(
        "results", type=Path, metavar="OUT", help="folder that `torchtrack-uq track` or `doubt` wrote"
    )
    review.add_argument(
        "-i",
        "--images",
        metavar="IMAGES",
        help="the movie's images (default: where they were when it was tracked)",
    )
    review.add_argument(
        "--who", default="", help="name that stands beside the decisions (default: your login)"
    )
    review.add_argument("--port", type=int, default=0, help="default: one that is free")
    review.add_argument("--no-browser", action="store_true", help="only print the address")
    review.set_defaults(run=_review)


def _review(options: argparse.Namespace) -> None:
    uvicorn = import_optional("uvicorn", "review", "torchtrack-uq review")
    import_optional("starlette", "review", "torchtrack-uq review")
    if not 0 <= options.port < 1 << 16:
        raise InputError(f"--port is {options.port}; expected 0 to 65535")
    import secrets
    import socket
    import webbrowser

    import torch

    from torchtrack_uq.review.server import make_app
    from torchtrack_uq.review.session import ReviewSession
    from torchtrack_uq.review.who import login

    # a decision is many small sums, which take ten times as long where threads wait for each other
    torch.set_num_threads(1)
    session = ReviewSession.open(options.results, images=options.images, who=options.who or login())
    token = secrets.token_urlsafe(24)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", options.port))
        listening.listen()  # before the address is told, so that nobody who opens it is refused
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/?token={token}"
        print(
            f"{len(session.queue)} cells are asked about, the most useful first, sure decisions among them; "
            f"decisions are kept in {options.results / 'decisions.csv'}"
        )
        print(f"open {address}", flush=True)
        results, decisions = (
            shlex.quote(str(path)) for path in (options.results, options.results / "decisions.csv")
        )
        print(f"Ctrl-C ends it; then: torchtrack-uq correct {results} {decisions} -o NEW", flush=True)
        if not options.no_browser:
            webbrowser.open(address)
        config = uvicorn.Config(make_app(session, token), log_level="warning", access_log=False)
        with suppress(KeyboardInterrupt):  # the way to end it, and no failure
            uvicorn.Server(config).run(sockets=[listening])
        n = session.progress.decided
        print(f"\n{n} decision{'' if n == 1 else 's'} in {options.results / 'decisions.csv'}")
        if n:
            print(f"put into the tracks by: torchtrack-uq correct {results} {decisions} -o NEW", flush=True)
