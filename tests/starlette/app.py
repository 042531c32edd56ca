"""A real Starlette app with sessions, served by a real uvicorn. The tests use it as the legacy app.

Settings from the environment: `STARLETTE_SECRET`, `STARLETTE_MAX_AGE` (seconds, or `none`).
Prints the port.
"""

import json
import os
import socket

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def normal(value):
    """The same text for equal values. Ints and floats differ, and no number is rounded."""
    return json.dumps(value, sort_keys=True)


def answer(value):
    return Response(normal(value), media_type="application/json")


async def show(request: Request):
    return answer(dict(request.session))


async def put(request: Request):
    """Sets one entry."""
    request.session[request.query_params["key"]] = request.query_params["value"]
    return answer("set")


async def write(request: Request):
    """Replaces the whole session with the object in the request body."""
    request.session.clear()
    request.session.update(json.loads(await request.body()))
    return answer(dict(request.session))


async def logout(request: Request):
    request.session.clear()
    return answer("logged out")


async def normalize(request: Request):
    """Returns the normal form of each JSON text in a list."""
    return answer([normal(json.loads(text)) for text in json.loads(await request.body())])


def main():
    max_age = os.environ.get("STARLETTE_MAX_AGE", "1209600")
    sessions = Middleware(
        SessionMiddleware,
        secret_key=os.environ["STARLETTE_SECRET"],
        max_age=None if max_age == "none" else int(max_age),
    )
    routes = [
        Route("/", show),
        Route("/set", put, methods=["POST"]),
        Route("/write", write, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
        Route("/normalize", normalize, methods=["POST"]),
    ]
    # asyncio sends without delay only if it knows that the socket is TCP
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(Starlette(routes=routes, middleware=[sessions]), log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


main()
