"""Bodies of requests: bounded in size and time, and declared to be what they must be."""

import asyncio
from typing import Final

from aiohttp import web

from gateway.errors import BodyTimeout, BodyTooLarge, UnsupportedMediaType
from gateway.http.guard import JSON
from gateway.reading import found

BODY_SECONDS_MAX: Final = 10
"""How long a body may take to arrive; a client that never ends it must not stay for ever."""


async def body_of(request: web.Request) -> bytes:
    """The body of a request that must be JSON; a GatewayError when it cannot be had."""
    if request.content_type != JSON or (request.charset or "utf-8").lower() != "utf-8":
        sent = request.headers.get("Content-Type", "")
        raise UnsupportedMediaType(
            f"expected Content-Type: {JSON} in UTF-8, found {found(sent)}", "Content-Type"
        )
    if "Content-Encoding" in request.headers:
        raise UnsupportedMediaType("expected a body without encoding", "Content-Encoding")
    most = request.client_max_size
    if (request.content_length or 0) > most:
        raise _too_large(most)
    try:
        if request.content.is_eof():  # it came with the header: nothing to wait for
            return await request.read()
        async with asyncio.timeout(BODY_SECONDS_MAX):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(most) from None
    except TimeoutError:
        raise BodyTimeout(f"the body was not complete after {BODY_SECONDS_MAX} s") from None


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"expected at most {most} bytes")
