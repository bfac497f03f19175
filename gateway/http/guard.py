"""What stands around every handler: who may ask, how errors and replies become responses.

There are no middlewares, because each costs every order some microseconds; a handler is wrapped
once when it is added to the router.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from gateway.entry import Answer, Reply
from gateway.errors import Forbidden, GatewayError, InternalError
from gateway.reading import found

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"

HOSTS_KNOWN_MAX: Final = 64
"""Host headers that are remembered as harmless."""

_log: Final = logging.getLogger(__name__)


def rendered(document: Any, status: int = 200) -> web.Response:
    """A JSON response."""
    return web.Response(body=orjson.dumps(document), status=status, content_type=JSON)


def replied(reply: Reply) -> web.Response:
    """The response that carries a reply of order entry."""
    return web.Response(
        body=orjson.dumps(reply.document),
        status=reply.status,
        headers=reply.headers,
        content_type=JSON if reply.status < 400 else PROBLEM,
    )


async def awaited(send: Callable[[Answer], None]) -> web.Response:
    """Send commands and wait for their reply. A client that goes away leaves no harm behind."""
    future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def answer(reply: Reply) -> None:
        if not future.done():
            future.set_result(reply)

    send(answer)
    return replied(await future)


class Guard:
    """Wraps handlers; counts the responses of all of them."""

    def __init__(self, statuses: dict[int, int]) -> None:
        """`statuses`: responses by status, counted here."""
        self._statuses = statuses
        self._hosts: set[str] = set()

    def around(self, handler: Handler) -> Handler:
        """The handler with its errors as problem documents."""
        statuses = self._statuses

        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                self._check_site(request)
                response = await handler(request)
            except GatewayError as error:
                response = replied(Reply.of(error))
            except ConnectionError:
                return web.Response(status=400)  # the client has gone, nobody will read this
            except Exception as error:
                _log.exception("%s %s", request.method, request.rel_url)
                response = replied(Reply.of(InternalError(type(error).__name__)))
            statuses[response.status] = statuses.get(response.status, 0) + 1
            return response

        return serve

    def _check_site(self, request: web.Request) -> None:
        """Refuse what a page of another site makes a browser on this machine send.

        There is no authentication yet, so a browser must not become a way around the loopback.
        """
        host = request.headers.get("Host", "")
        if host not in self._hosts:
            if host and not is_loopback(host):
                raise Forbidden(f"the gateway serves this machine only, not {found(host)}", "Host")
            if len(self._hosts) < HOSTS_KNOWN_MAX:
                self._hosts.add(host)
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise Forbidden(f"pages of {found(origin)} may not use the gateway", "Origin")


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine by its loopback interface."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
