"""Starlette's SessionMiddleware, for reference, in one process.

The sessions and visits are the same as in `contestants/visit.rs`.

Prints `visit size round contestant nanoseconds`, as `contest times` does. Arguments: [ROUNDS [SLICE_MS]].
Starlette signs its cookie but does not encrypt it.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request

# Requests are built in batches. Building them is not timed.
BATCH = 64
USER_ID = 1_000_000_007
NAMES = ["Starlette floor", "Starlette SessionMiddleware"]
OTHERS = "_ga=GA1.1.1035214689.1790000000; theme=dark"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
GARBAGE = "".join(LETTERS[n * 2_654_435_761 % 2**32 >> 26] for n in range(4000))

Values = dict[str, Any]
Scope = dict[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]

SMALL: Values = {"user_id": USER_ID, "csrf": "q3xq2v0Vd8mYb1sO4l5rXwZk2Jc0fTqJ"}
TEXT = "The engine weaves algebraic patterns just as the loom weaves flowers here"
SIZES: dict[str, Values] = {
    "small": SMALL,
    "medium": SMALL
    | {
        "name": "Ada Lovelace-Byron",
        "email": "ada.lovelace@analytical-engine.example",
        "role": "administrator",
        "locale": "en-GB",
        "login_at": 1_790_000_000,
        "return_to": "/projects/42/settings/members",
    },
    "large": SMALL | {f"v{n:02}": TEXT for n in range(28)},
}
PATHS = {
    "bare": "/untouched",
    "untouched": "/untouched",
    "read": "/read",
    "write": "/write",
    "new": "/new",
    "garbage": "/read",
}


async def untouched(request: Request) -> int:
    return 200


async def read(request: Request) -> int:
    return 200 if request.session.get("user_id", 0) >= USER_ID else 401


async def write(request: Request) -> int:
    user_id = request.session.get("user_id", 0)
    request.session["user_id"] = user_id + 1
    return 200 if user_id >= USER_ID else 401


async def new(values: Values, request: Request) -> int:
    request.session.update(values)
    return 200


def app_of(contestant: str, values: Values) -> App:
    if contestant == NAMES[0]:
        return router(dict.fromkeys(PATHS.values(), untouched))
    routes = {"/untouched": untouched, "/read": read, "/write": write, "/new": partial(new, values)}
    return SessionMiddleware(
        router(routes), secret_key="k" * 64, max_age=86_400, same_site="lax", https_only=True
    )


def router(routes: dict[str, Callable[[Request], Awaitable[int]]]) -> App:
    async def app(scope: Scope, receive: Any, send: Any) -> None:
        status = await routes[scope["path"]](Request(scope))
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    return app


def scope_of(path: str, cookies: str) -> Scope:
    headers = [
        (b"host", b"shop.example"),
        (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        (b"accept", b"text/html,application/xhtml+xml"),
    ]
    if cookies:
        headers.append((b"cookie", cookies.encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
    }


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def drop(message: dict[str, Any]) -> None:
    pass


async def answer(app: App, path: str, cookies: str) -> tuple[int, str]:
    """Returns the status and the cookie pair that a browser would send back."""
    messages: list[dict[str, Any]] = []

    async def keep(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope_of(path, cookies), receive, keep)
    headers = dict(messages[0]["headers"])
    return messages[0]["status"], headers.get(b"set-cookie", b"").decode().split(";")[0]


class Visitor:
    """Repeats the same request."""

    def __init__(self, app: App, visit: str, cookies: str) -> None:
        self.app = app
        self.path = PATHS[visit]
        self.cookies = cookies

    async def time(self, slice_ns: int) -> float:
        """Returns nanoseconds per request."""
        spent, count = 0, 0
        while spent < slice_ns:
            scopes = [scope_of(self.path, self.cookies) for _ in range(BATCH)]
            start = time.perf_counter_ns()
            for scope in scopes:
                await self.app(scope, receive, drop)
            spent += time.perf_counter_ns() - start
            count += BATCH
        return spent / count


async def visitor(contestant: str, visit: str, size: str) -> Visitor:
    app = app_of(contestant, SIZES[size])
    _, pair = await answer(app, "/new", "")
    if visit == "garbage":
        pair = f"session={GARBAGE}"
    cookies = "" if visit in ("bare", "new") else f"{OTHERS}; {pair}".removesuffix("; ")
    if contestant != NAMES[0]:
        await check(app, visit, cookies)
    return Visitor(app, visit, cookies)


async def check(app: App, visit: str, cookies: str) -> None:
    """Checks that the middleware works as expected."""
    status, pair = await answer(app, PATHS[visit], cookies)
    assert status == (401 if visit == "garbage" else 200), (visit, status)
    assert bool(pair) == (visit in ("write", "new")), (visit, pair)
    if pair:
        status, _ = await answer(app, "/read", pair)
        assert status == 200, f"{visit}: the written session"


async def cell(rounds: int, slice_ns: int, visit: str, size: str) -> None:
    visitors = [await visitor(name, visit, size) for name in NAMES]
    for number in range(rounds + 1):
        for turn in range(len(NAMES)):
            at = (number + turn) % len(NAMES)
            nanoseconds = await visitors[at].time(slice_ns)
            # the first round warms up
            if number > 0:
                print(visit, size, number, NAMES[at], f"{nanoseconds:.1f}", sep="\t")


async def main(rounds: int = 61, slice_ms: int = 4) -> None:
    for visit in PATHS:
        for size in SIZES:
            if size == "small" or visit not in ("bare", "garbage"):
                await cell(rounds, slice_ms * 1_000_000, visit, size)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
