"""The main of the gateway process: listen, serve, heartbeat, stop.

The supervisor forks it with the venue's memory mapped, and an eventfd on its doorbell. It ends
on SIGTERM or when the venue's stop word is set, and says in its counters entry what went wrong.
"""

import asyncio
import logging
import signal
import socket
import sys
import time
from typing import Final

import uvloop
from aiohttp import web

from engine.durability.history import Recall
from engine.membership import Fence, settle_in
from engine.topology import ProcessPlan
from engine.venue import VenueMemory
from gateway.http.app import build_app
from gateway.service import Service
from ipc.counters import RUNNING, STOPPED, ProcessEntry, note_death, words_of

BEAT_SECONDS: Final = 0.05
"""Time between two heartbeats, at which the stop word is looked at."""

BACKLOG_MAX: Final = 1024
"""Connections that the kernel accepts before the loop takes them."""

SHUTDOWN_SECONDS: Final = 2.0
"""How long running requests may take to end when the venue stops."""


class PortTaken(Exception):
    """The configured address cannot be listened on; the message says why and what to do."""


def serve_gateway(
    venue: VenueMemory,
    plan: ProcessPlan,
    bound: socket.socket | None = None,
    recall: Recall | None = None,
) -> int:
    """Be the gateway until the venue stops; returns the exit code of the process.

    `bound`: where to listen, of a supervisor that keeps the address for the next gateway, so that
    who connects meanwhile has to wait and is not refused. `recall` tells a gateway that starts
    late, or again, what has passed.
    """
    entry = venue.entry(plan.name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settle_in(venue, plan)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(venue, entry, bound, recall))
    except PortTaken as error:
        note_death(entry, str(error))
        print(f"{plan.name}: {error}", file=sys.stderr, flush=True)
        return 1
    except BaseException as error:
        note_death(entry, words_of(error))
        raise
    entry.state = STOPPED
    return 0


def bind(host: str, port: int) -> socket.socket:
    """A socket of that address, on which `listen` can be called; PortTaken when that cannot be."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise _taken(host, port, error) from None
    return made


def _taken(host: str, port: int, error: OSError) -> PortTaken:
    return PortTaken(
        f"cannot listen on {host}:{port}: {error.strerror}; "
        "choose another gateway.http, or port 0 for any free one"
    )


async def _serve(
    venue: VenueMemory,
    entry: ProcessEntry,
    bound: socket.socket | None,
    recall: Recall | None,
) -> None:
    """Serve until the venue stops; raises what the bridge failed with."""
    settings = venue.config.gateway
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def end(error: BaseException | None = None) -> None:
        if not over.done():
            over.set_result(None) if error is None else over.set_exception(error)

    loop.add_signal_handler(signal.SIGTERM, end)
    # It logs, with a traceback, each request that is not HTTP: anybody could fill the disk.
    # Errors of handlers are logged by gateway.http.guard.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    service = Service(venue, recall)
    runner = web.AppRunner(
        build_app(service),
        access_log=None,
        auto_decompress=False,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    try:
        listening = bound or bind(settings.host, settings.port)
        await runner.setup()
        service.start(end)
        try:
            # Two sockets may be bound to an address, but only one can listen.
            listening.listen(BACKLOG_MAX)
        except OSError as error:
            raise _taken(settings.host, settings.port, error) from None
        await web.SockSite(runner, listening, backlog=BACKLOG_MAX).start()
        host, port = listening.getsockname()[:2]
        venue.counters.http.set(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        entry.state = RUNNING
        await _beat(venue, entry, over)
    finally:
        await runner.cleanup()
        service.stop()


async def _beat(venue: VenueMemory, entry: ProcessEntry, over: asyncio.Future[None]) -> None:
    """Write heartbeats until `over` or the venue's stop word is set; raises what `over` holds."""
    fence = Fence(entry, venue.epoch)
    while not over.done():
        fence.check()
        entry.heartbeat.word.value = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        if venue.counters.stop.value != 0:
            return
        await asyncio.wait([over], timeout=BEAT_SECONDS)
    over.result()
