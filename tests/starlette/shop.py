"""A real FastAPI app with Starlette's sessions that logs visitors in and out.

The browser test uses it as the legacy app.

Settings from the environment: `STARLETTE_SECRET`. Prints the port.
"""

import os
import socket
from html import escape
from urllib.parse import parse_qs

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key=os.environ["STARLETTE_SECRET"])


@app.get("/")
async def home(request: Request):
    user, theme = request.session.get("user"), request.session.get("theme", "light")
    if user is None:
        return HTMLResponse(
            "<p>You are not logged in.</p><form method=post action=login><input name=user><button>Log in</button></form>"
        )
    return HTMLResponse(
        f"<p>Hello, {escape(user)}.</p><p>The theme is {escape(theme)}.</p>"
        "<form method=post action=logout><button>Log out</button></form>"
    )


@app.post("/login")
async def login(request: Request):
    form = parse_qs((await request.body()).decode())
    request.session["user"] = form["user"][0]
    return RedirectResponse(".", status_code=303)


@app.post("/logout")
async def logout(request: Request):
    request.session.clear()
    return RedirectResponse(".", status_code=303)


listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listener.bind(("127.0.0.1", 0))
listener.listen(128)
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
