"""The WebSocket: operations in, replies and channels out, one connection each.

A client sends JSON objects with an `op`: order, list, cancel, amend, cancel_all, session,
subscribe, unsubscribe, ping.
Each gets one reply with the same `op` and `id` and a `status` as in HTTP, in the order in which
the engine answers. One task reads, one writes what the backlog holds; a client that reads too
slowly is closed with 1013 and slows nobody.
"""

import asyncio
import contextlib
import logging
import socket
from typing import Any, Final

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from gateway.channels import ORDERS, Topic
from gateway.entry import Answer, Reply, Session, Target
from gateway.errors import (
    Contradiction,
    GatewayError,
    InternalError,
    UpgradeRequired,
    WrongShape,
)
from gateway.feed import Subscriber
from gateway.reading import OPERATION
from gateway.schema import (
    AmendOperation,
    CancelAllOperation,
    CancelOperation,
    ListOperation,
    PingOperation,
    PlaceOperation,
    SessionOperation,
    SubscribeOperation,
    UnsubscribeOperation,
)
from gateway.service import Service

PING_SECONDS: Final = 20.0
"""A connection that does not answer a ping for half of this is closed."""

CLOSE_SECONDS: Final = 3.0
"""How long a slow client may take to read what it was sent before its connection is cut."""

FINISH_TURNS_MAX: Final = 100
"""Turns of the loop in which a backlog may empty itself when the venue stops."""

SEND_BUFFER_BYTES: Final = 256 * 1024
"""What the kernel holds for one client; more only hides that it is slow."""

_log: Final = logging.getLogger(__name__)

_NAMES: Final[dict[type, str]] = {
    PlaceOperation: "order",
    ListOperation: "list",
    CancelOperation: "cancel",
    AmendOperation: "amend",
    CancelAllOperation: "cancel_all",
    SessionOperation: "session",
    SubscribeOperation: "subscribe",
    UnsubscribeOperation: "unsubscribe",
    PingOperation: "ping",
}


class WebSockets:
    """All connections."""

    def __init__(self, service: Service) -> None:
        """`service` is started before the first connection."""
        self._service = service
        self._connections: set[Connection] = set()

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """GET /api/v1/ws: serves until the connection ends."""
        socket_response = web.WebSocketResponse(
            timeout=CLOSE_SECONDS,
            heartbeat=PING_SECONDS,
            compress=False,
            max_msg_size=self._service.config.gateway.body_bytes_max,
            decode_text=False,
        )
        if not socket_response.can_prepare(request).ok:
            raise UpgradeRequired("expected a WebSocket handshake")
        await socket_response.prepare(request)
        connection = Connection(self._service, request, socket_response)
        self._connections.add(connection)
        self._service.counts.clients += 1
        try:
            await connection.serve()
        finally:
            self._service.counts.clients -= 1
            self._connections.discard(connection)
        return socket_response

    async def close(self) -> None:
        """The venue stops: close all connections."""
        await asyncio.gather(
            *(
                connection.finish(WSCloseCode.GOING_AWAY, b"the venue stops")
                for connection in tuple(self._connections)
            )
        )


class Connection:
    """One client."""

    def __init__(self, service: Service, request: web.Request, socket_response: Any) -> None:
        """The handshake is done."""
        self._service = service
        self._statuses = service.counts.operations
        self._socket = socket_response
        self._transport = request.transport
        self._session = Session()
        self._subscriber = Subscriber(service.config.gateway.ws_backlog_max, self._drop)
        self._writer: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None
        self._handlers: dict[type, Any] = {
            PlaceOperation: self._place,
            ListOperation: self._place_list,
            CancelOperation: self._cancel,
            AmendOperation: self._amend,
            CancelAllOperation: self._cancel_all,
            SessionOperation: self._set_session,
            SubscribeOperation: self._subscribe,
            UnsubscribeOperation: self._unsubscribe,
            PingOperation: self._ping,
        }

    async def serve(self) -> None:
        """Read until the connection ends; then nothing of it is left."""
        if self._transport is not None:
            raw: socket.socket = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self._writer = asyncio.create_task(self._write())
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    self._receive(message.data)
                elif message.type is WSMsgType.BINARY:
                    error = WrongShape("expected a text message, found a binary one")
                    self._reply(None, None, Reply.of(error))
        finally:
            self._service.entry.end_session(self._session)
            self._service.feed.remove(self._subscriber)
            self._writer.cancel()
            if self._closer is not None:
                await self._closer

    async def _write(self) -> None:
        """Send what the backlog holds, as fast as the client takes it."""
        subscriber, send = self._subscriber, self._socket.send_frame
        backlog = subscriber.backlog
        try:
            while True:
                await subscriber.filled.wait()
                subscriber.blocked = True  # seen by others only while the next line waits
                while backlog:
                    await send(backlog.popleft(), WSMsgType.TEXT)
                subscriber.blocked = False
                subscriber.filled.clear()
        except ConnectionError:
            pass  # the reader notices, too, and ends the connection

    # --- the end -------------------------------------------------------------------------------

    def _drop(self) -> None:
        """The client reads too slowly: forget its backlog and close, without waiting for it."""
        if self._closer is None:
            self._service.counts.dropped += 1
            self._service.feed.remove(self._subscriber)
            self._closer = asyncio.create_task(
                self.close(WSCloseCode.TRY_AGAIN_LATER, b"too slow: backlog is full")
            )

    async def finish(self, code: int, text: bytes) -> None:
        """Send what is left, as far as the client takes it now, and close."""
        for _ in range(FINISH_TURNS_MAX):
            if not self._subscriber.backlog:
                break
            await asyncio.sleep(0)
        await self.close(code, text)

    async def close(self, code: int, text: bytes) -> None:
        """Close with a code; cut the connection when the client does not take it in time."""
        if self._writer is not None:
            self._writer.cancel()
        self._subscriber.backlog.clear()
        if self._transport is not None:
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transport.abort)
        # Not to be waited for for ever: the close frame stands behind what the client left unread.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._socket.close(code=code, message=text), CLOSE_SECONDS)

    # --- operations ----------------------------------------------------------------------------

    def _receive(self, raw: bytes) -> None:
        """One message: send its command, or reply at once."""
        try:
            operation = OPERATION.read(raw)
        except GatewayError as error:
            self._reply(*_marks_of(raw), Reply.of(error))
            return
        name, mark = _NAMES[type(operation)], operation.id

        def answer(reply: Reply) -> None:
            self._reply(name, mark, reply)

        try:
            self._handlers[type(operation)](operation, answer)
        except GatewayError as error:
            answer(Reply.of(error))
        except Exception as error:
            _log.exception("WebSocket %s", name)
            answer(Reply.of(InternalError(type(error).__name__)))

    def _reply(self, name: str | None, mark: Any, reply: Reply) -> None:
        self._statuses[reply.status] = self._statuses.get(reply.status, 0) + 1
        key = "result" if reply.status < 400 else "error"
        document = {"op": name, "id": mark, "status": reply.status, key: reply.document}
        if self._closer is None:
            self._subscriber.push(orjson.dumps(document))

    def _place(self, operation: PlaceOperation, answer: Answer) -> None:
        self._service.entry.place(operation, answer, self._placing())

    def _place_list(self, operation: ListOperation, answer: Answer) -> None:
        self._service.entry.place_list(operation, answer, self._placing())

    def _placing(self) -> Session | None:
        """The session, if it is to know the orders that are sent now."""
        return self._session if self._session.cancel_on_disconnect else None

    def _cancel(self, operation: CancelOperation, answer: Answer) -> None:
        self._service.entry.cancel(_target_of(operation), answer)

    def _amend(self, operation: AmendOperation, answer: Answer) -> None:
        self._service.entry.amend(_target_of(operation), operation, answer)

    def _cancel_all(self, operation: CancelAllOperation, answer: Answer) -> None:
        account, symbol, side = operation.account, operation.symbol, operation.side
        self._service.entry.cancel_all(account, symbol, side, answer)

    def _set_session(self, operation: SessionOperation, answer: Answer) -> None:
        self._session.cancel_on_disconnect = operation.cancel_on_disconnect
        answer(Reply(200, {"cancel_on_disconnect": operation.cancel_on_disconnect}))

    def _subscribe(self, operation: SubscribeOperation, answer: Answer) -> None:
        topic = self._topic_of(operation)
        answer(Reply(200, _subscription_document(operation)))
        self._service.feed.subscribe(self._subscriber, topic)

    def _unsubscribe(self, operation: UnsubscribeOperation, answer: Answer) -> None:
        self._service.feed.unsubscribe(self._subscriber, self._topic_of(operation))
        answer(Reply(200, _subscription_document(operation)))

    def _ping(self, operation: PingOperation, answer: Answer) -> None:
        answer(Reply(200, {}))

    def _topic_of(self, operation: SubscribeOperation | UnsubscribeOperation) -> Topic:
        """The channel with its account or instrument; a GatewayError when they do not fit."""
        needs, excludes = "symbol", "account"
        if operation.channel == ORDERS:
            needs, excludes = excludes, needs
        if getattr(operation, needs) is None:
            raise Contradiction(f"the channel {operation.channel} needs it", needs)
        if getattr(operation, excludes) is not None:
            raise Contradiction(f"the channel {operation.channel} has none", excludes)
        if operation.symbol is not None:
            return operation.channel, self._service.entry.instrument(operation.symbol).index
        assert operation.account is not None
        self._service.entry.check_account(operation.account)
        return operation.channel, operation.account


def _target_of(operation: CancelOperation | AmendOperation) -> Target:
    return Target(operation.account, operation.order_id, operation.client_order_id)


def _subscription_document(
    operation: SubscribeOperation | UnsubscribeOperation,
) -> dict[str, Any]:
    if operation.channel == ORDERS:
        return {"channel": operation.channel, "account": operation.account}
    return {"channel": operation.channel, "symbol": operation.symbol}


def _marks_of(raw: bytes) -> tuple[str | None, Any]:
    """`op` and `id` of a message that could not be read, as far as it has them."""
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None, None
    if not isinstance(document, dict):
        return None, None
    name, mark = document.get("op"), document.get("id")
    return (
        name if isinstance(name, str) and name in _NAMES.values() else None,
        mark if type(mark) is int or (isinstance(mark, str) and len(mark) <= 64) else None,
    )
