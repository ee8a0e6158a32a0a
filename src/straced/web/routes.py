"""The routes of the page. All but the page itself, which holds no figures, ask for what the token bought."""

from __future__ import annotations

import importlib.resources
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import msgspec

from straced.httpd import origin_check
from straced.httpd.message import HttpRequest, Response, text
from straced.model.frame import Key
from straced.web import history as past
from straced.web.access import Access
from straced.web.event_stream import ViewerStream
from straced.web.feed import FrameFeed
from straced.web.latency import latency_of
from straced.web.slow_calls import slow_calls
from straced.web.why_answers import NotAnswered

LANDING = frozenset({"/"})
LONGEST_S = 90 * 86400.0
"""Of a span: as long as history is kept."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_GUARDS = (
    ("Content-Security-Policy", POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
Route = Callable[[HttpRequest], Awaitable[Response]]


class WrongQuery(Exception):
    """A field of the query is missing or not what it should be."""


class WebRoutes:
    """Answers requests.

    Args:
        feed: what there is to tell.
        access: who is let in.
    """

    def __init__(self, feed: FrameFeed, access: Access) -> None:
        self.hosts: Collection[str] = ()
        self._feed = feed
        self._access = access
        self._assets = {"/" if name == "index.html" else f"/{name}": each for name, each in _assets().items()}
        self._routes: dict[str, Route] = {
            "/api/live": self._live,
            "/api/process": self._process,
            "/api/calls": self._calls,
            "/api/host": self._host,
            "/api/minute": self._minute,
            "/api/latency": self._latency,
            "/api/why": self._why,
            "/api/slow": self._slow,
        }

    async def answer(self, request: HttpRequest) -> Response:
        """The answer to any request, with the headers that keep it from being used by others."""
        answer = origin_check.refusal(request, self.hosts, pages=True, landing=LANDING)
        if answer is None:
            answer = await self._answer(request)
        return msgspec.structs.replace(answer, headers=(*answer.headers, *_GUARDS))

    async def _answer(self, request: HttpRequest) -> Response:
        asset = self._assets.get(request.path)
        if asset is not None:
            return asset
        if request.path == "/api/login":
            return self._login(request)
        if not self._access.allows(request):
            return text(401, "open the page by the URL that straced serve told, or that stands in web.url")
        route = self._routes.get(request.path)
        if route is None:
            return text(404, "not found")
        try:
            return await route(request)
        except WrongQuery as error:
            return text(400, str(error))
        except NotAnswered as error:
            return text(error.status, str(error))
        except past.HistoryFailed as error:
            return text(503, f"the history cannot be read at the moment: {error}")

    def _login(self, request: HttpRequest) -> Response:
        if not self._access.has_token(request):
            return text(401, "this is not the token of the service")
        return _json({"key": self._access.key}, self._access.set_cookie)

    async def _live(self, request: HttpRequest) -> Response:
        if self._feed.is_full:
            return text(503, "too many open pages")
        key, files = _key(request) if "pid" in request.query else None, request.query.get("files", "")
        if files not in ("", "1") or (files and key is None):
            raise WrongQuery("files: expected 1, and a process")
        return ViewerStream(self._feed, key, files=bool(files)).answer()

    async def _process(self, request: HttpRequest) -> Response:
        key, (since, until) = _key(request), _span(request)
        return _json(await self._feed.past.ask(lambda history: past.of_process(history, key, since, until)))

    async def _calls(self, request: HttpRequest) -> Response:
        key, (since, until) = _key(request), _span(request)
        return _json(await self._feed.past.ask(lambda history: past.calls_of(history, key, since, until)))

    async def _latency(self, request: HttpRequest) -> Response:
        key, (since, until) = _key(request), _span(request)
        name = _name(request, "call")
        return _json(await self._feed.past.ask(lambda history: latency_of(history, key, name, since, until)))

    async def _slow(self, request: HttpRequest) -> Response:
        key = _key(request) if "pid" in request.query else None
        (since, until), limit_ns = _span(request), self._feed.status().slow_ns
        return _json(await self._feed.past.ask(lambda history: slow_calls(history, key, since, until, limit_ns)))

    async def _why(self, request: HttpRequest) -> Response:
        return Response(body=await self._feed.why.answer(_key(request)), kind="application/json")

    async def _host(self, request: HttpRequest) -> Response:
        since, until = _span(request)
        return _json(await self._feed.past.ask(lambda history: past.of_host(history, since, until)))

    async def _minute(self, request: HttpRequest) -> Response:
        at, status = _number(request, "at"), self._feed.status()
        return _json(await self._feed.past.ask(lambda history: past.minute(history, at, status)))


def _json(value: Any, *headers: tuple[str, str]) -> Response:
    """``null`` is an answer: no history is kept."""
    return Response(body=msgspec.json.encode(value), kind="application/json", headers=headers)


def _key(request: HttpRequest) -> Key:
    return int(_number(request, "pid", whole=True)), int(_number(request, "start", whole=True))


def _span(request: HttpRequest) -> tuple[float, float]:
    since, until = _number(request, "since"), _number(request, "until")
    if not since < until <= since + LONGEST_S:
        raise WrongQuery("since and until do not form a period")
    return since, min(until, time.time() + 1)


def _name(request: HttpRequest, name: str) -> str:
    """The name of a call."""
    word = request.query.get(name, "")
    if not (0 < len(word) < 60 and word.isascii() and word.replace("_", "").isalnum()):
        raise WrongQuery(f"{name}: expected the name of a system call")
    return word


def _number(request: HttpRequest, name: str, *, whole: bool = False) -> float:
    word = request.query.get(name, "")
    parts = word.split(".") if not whole else [word]
    if not (0 < len(word) < 20 and len(parts) <= 2 and all(part.isascii() and part.isdecimal() for part in parts)):
        raise WrongQuery(f"{name}: expected a {'whole ' if whole else ''}number")
    return float(word)


def _assets() -> dict[str, Response]:
    folder = importlib.resources.files("straced.web").joinpath("assets")
    found = {}
    for each in folder.iterdir():
        kind = _KINDS.get(each.name.rpartition(".")[2])
        if kind is not None:
            found[each.name] = Response(body=each.read_bytes(), kind=kind)
    return found
