"""Commands on their way, and the replies to those who wait for them.

A request is one command, or several that are answered together. It is concluded when the last
event of each of its commands has come, and answered then or when its time runs out, whatever
comes first. `OrderEntry` sends requests; the service hands in the last events.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from engine.messages import EventFlag
from gateway.bridge import Bridge, Values
from gateway.errors import EngineTimeout, GatewayError, Stopping


class Reply(NamedTuple):
    """What a request is answered with."""

    status: int
    document: dict[str, Any]
    headers: dict[str, str] | None = None

    @classmethod
    def of(cls, error: GatewayError) -> "Reply":
        """The reply that carries an error."""
        return cls(error.status, error.document(), error.headers() or None)


Answer = Callable[[Reply], None]

Conclude = Callable[[list[Any]], Reply]
"""Makes the reply of a request from one event of each of its commands, in their order: what was
noted, else the last one."""


class Request:
    """Commands that are answered together."""

    __slots__ = ("answer", "conclude", "deadline", "events", "members", "missing", "question")

    def __init__(self, answer: Answer, conclude: Conclude, question: str, **members: Any) -> None:
        """`question`: how to find out what became of it after a time-out, for that reply.

        `members`: what the document of a time-out tells besides.
        """
        self.answer: Answer | None = answer
        self.conclude = conclude
        self.question = question
        self.members = members
        self.events: list[Any] = []
        self.missing = 0
        self.deadline = 0.0


class PendingCommands:
    """All commands of this gateway that the engine has not answered."""

    def __init__(self, bridge: Bridge, timeout_s: float) -> None:
        """`timeout_s`: how long a request waits for its answer."""
        self._bridge = bridge
        self._timeout_s = timeout_s
        self._requests: dict[int, tuple[Request, int]] = {}
        "By source sequence: the request, and which of its commands it is."
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._requests)

    def send(self, commands: Sequence[Values], request: Request) -> int:
        """Send the commands of a request, all or none (EngineBusy); the first one's sequence."""
        first = self._bridge.submit_all(commands)
        request.events = [None] * len(commands)
        request.missing = len(commands)
        request.deadline = time.monotonic() + self._timeout_s
        for index in range(len(commands)):
            self._requests[first + index] = request, index
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._timeout_s, self._expire)
        return first

    def note(self, event: Any) -> None:
        """An event that says what a command came to, while others of its events follow."""
        request, index = self._requests[event.source_sequence]
        request.events[index] = event

    def settle(self, event: Any) -> None:
        """The last event of a command; concludes and answers its request if that is complete."""
        assert event.flags & EventFlag.LAST, "only the last event of a command settles it"
        request, index = self._requests.pop(event.source_sequence)
        if request.events[index] is None:
            request.events[index] = event
        request.missing -= 1
        if request.missing > 0:
            return
        reply = request.conclude(request.events)
        if request.answer is not None:
            request.answer(reply)

    def _expire(self) -> None:
        """Answer those that have waited too long; the engine's answer, when it comes, is dropped.

        One timer serves all requests: they time out in the order in which they were sent.
        """
        self._timer = None
        now = time.monotonic()
        for request, _ in self._requests.values():
            if request.answer is None:
                continue
            if request.deadline > now:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(request.deadline - now, self._expire)
                return
            answer, request.answer = request.answer, None
            text = "the engine has not answered yet; the request may still be executed"
            error = EngineTimeout(f"{text}: {request.question}", **request.members)
            answer(Reply.of(error))

    def abandon(self) -> None:
        """The venue stops: answer all who wait."""
        if self._timer is not None:
            self._timer.cancel()
        text = "the venue stops; the request may or may not have been executed"
        for request, _ in self._requests.values():
            if request.answer is not None:
                answer, request.answer = request.answer, None
                answer(Reply.of(Stopping(text)))
