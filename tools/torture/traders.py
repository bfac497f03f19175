"""Clients of the venue over HTTP, each trading for one account, and what each insists on.

A trader never gives up on an order: it sends it again, with the same client order id, until the
venue has answered. It writes down every answer and compares it with all that it was told before.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final

import aiohttp

from tools.torture.record import (
    Acknowledged,
    Canceled,
    Fact,
    Failed,
    Refused,
    Wrong,
    now_ns,
)

SYMBOLS: Final = ("IRON/USD", "SALT/USD")
MIDDLE_TICKS: Final = 10_000
SPREAD_TICKS: Final = 8
"""Prices lie so close that about half of all orders trade."""

QUANTITY_MAX: Final = 40
OPEN_MAX: Final = 12
"""A trader with more open orders cancels."""

REQUEST_SECONDS_MAX: Final = 5.0
"""Longer than the gateway lets a request wait; a stopped one never answers."""

RETRY_SECONDS: Final = (0.01, 0.02, 0.05, 0.1)
"""Pauses before an order is sent again; the last one from then on."""

ANSWERED: Final = (200, 201, 409)
TRY_AGAIN: Final = (502, 503, 504)
ENDED: Final = frozenset({"filled", "canceled", "rejected"})


class Trader:
    """One account."""

    def __init__(
        self, session: aiohttp.ClientSession, account: int, run: int, note: Callable[[Fact], None]
    ) -> None:
        """`run` tells the client order ids of this run from those of others."""
        self.session, self.account, self.note = session, account, note
        self.random = Random(f"{run}.{account}")
        self.prefix = f"{run:x}-{account}-"
        self.count = 0
        self.known: dict[str, dict[str, Any]] = {}
        "The newest answers, by client order id, for questions that must be answered the same."
        self.open: dict[str, int] = {}
        "Order ids of what may still rest, by client order id."

    async def act(self) -> None:
        """One thing that a client does."""
        chance = self.random.random()
        if len(self.open) > OPEN_MAX or (self.open and chance < 0.15):
            await self.cancel()
        elif self.known and chance < 0.22:
            await self.send_again()
        elif self.known and chance < 0.32:
            await self.ask()
        else:
            await self.place()

    # --- orders ----------------------------------------------------------------------------------

    async def place(self) -> None:
        """Send a new order until it is answered."""
        self.count += 1
        name = f"{self.prefix}{self.count}"
        random = self.random
        side = random.choice(("buy", "sell"))
        away = random.randrange(-SPREAD_TICKS, SPREAD_TICKS + 1)
        ticks = MIDDLE_TICKS + away
        order = {
            "account": self.account,
            "symbol": random.choice(SYMBOLS),
            "side": side,
            "type": "limit",
            "price": f"{ticks // 100}.{ticks % 100:02}",
            "quantity": str(random.randrange(1, QUANTITY_MAX)),
            "time_in_force": "ioc" if random.random() < 0.1 else "gtc",
            "client_order_id": name,
        }
        status, document, tries = await self.until_answered("POST", "/api/v1/orders", order)
        if status == 409 and document.get("code") == "duplicate_client_order_id":
            if tries == 1:
                self.wrong("answers_changed", f"{name} was never sent before, and is known")
            document = document.get("order") or {}
        elif status != 201:
            self.note(Refused(now_ns(), self.account, name, document.get("code", str(status))))
            return
        if not document:  # it has ended long ago; the auditor knows by its name
            return
        if document["status"] == "rejected":
            self.note(Refused(now_ns(), self.account, name, str(document["reason"])))
            return
        self.learn(name, document, tries)

    def learn(self, name: str, document: dict[str, Any], tries: int) -> None:
        """Write an order down as it was told, and compare it with what was told before."""
        before = self.known.pop(name, None)
        self.known[name] = document
        if len(self.known) > 200:
            del self.known[next(iter(self.known))]
        filled = int(document["filled_quantity"])
        if before is not None:
            self.compare(name, before, document)
        self.note(
            Acknowledged(
                now_ns(),
                self.account,
                name,
                document["order_id"],
                document["symbol"],
                document["side"],
                int(document["quantity"]),
                filled,
                document["status"],
                tries,
            )
        )
        if document["status"] in ENDED:
            self.open.pop(name, None)
        elif before is None:
            self.open[name] = document["order_id"]

    def compare(self, name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """An order stays the order that it was, and what has happened to it has happened."""
        for field in ("order_id", "symbol", "side", "price", "quantity", "created_us"):
            if before[field] != after[field]:
                told = f"{field} was {before[field]}, is {after[field]}"
                self.wrong("answers_changed", f"order {name}: {told}")
        if int(after["filled_quantity"]) < int(before["filled_quantity"]):
            self.wrong("fills_taken_back", f"order {name}: less of it is filled than before")
        if before["status"] in ENDED and after["status"] != before["status"]:
            told = f"it was {before['status']}, is {after['status']}"
            self.wrong("answers_changed", f"order {name}: {told}")

    async def send_again(self) -> None:
        """Send an order that was answered: the first answer must come again."""
        name = self.random.choice(list(self.known))
        before = self.known[name]
        order = {key: before[key] for key in ("account", "symbol", "side", "type", "price")}
        order |= {"quantity": before["quantity"], "client_order_id": name}
        status, document, tries = await self.until_answered("POST", "/api/v1/orders", order)
        shown = document.get("order")
        if status != 409 or document.get("order_id") != before["order_id"]:
            self.wrong("answers_changed", f"order {name} was sent again and got {status}")
        elif shown:
            self.learn(name, shown, tries)

    async def ask(self) -> None:
        """Read an order back."""
        name = self.random.choice(list(self.known))
        path = f"/api/v1/orders/by-client-id/{self.account}/{name}"
        status, document, tries = await self.until_answered("GET", path)
        if status == 200:
            self.learn(name, document, tries)
        elif name in self.open:
            self.wrong("lost_acknowledged", f"order {name} was acknowledged, now it gets {status}")

    async def cancel(self) -> None:
        """Cancel an order, unless it has ended by itself."""
        name = self.random.choice(list(self.open))
        path = f"/api/v1/orders/by-client-id/{self.account}/{name}"
        status, document, tries = await self.until_answered("DELETE", path)
        if status == 409:  # it has ended: perhaps by this very cancel, sent before
            document = document.get("order") or {}
        elif status == 404:
            return await self.ask()
        self.open.pop(name, None)
        if document.get("status") in ENDED:
            self.learn(name, document, tries)
            filled = int(document["filled_quantity"])
            self.note(Canceled(now_ns(), document["order_id"], filled))
        elif document:
            self.wrong("answers_changed", f"order {name} was cancelled and is {document['status']}")
        return None

    def wrong(self, what: str, text: str) -> None:
        """Write down what must not be."""
        self.note(Wrong(now_ns(), what, text))

    # --- requests --------------------------------------------------------------------------------

    async def until_answered(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any], int]:
        """Ask until there is an answer: its status, its document, and how often was asked."""
        tries = 0
        while True:
            tries += 1
            try:
                async with self.session.request(method, path, json=body) as answer:
                    status = answer.status
                    document = await answer.json()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self.note(Failed(now_ns(), type(error).__name__))
            else:
                if status not in TRY_AGAIN:
                    return status, document, tries
                self.note(Failed(now_ns(), str(document.get("code", status))))
            await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS)) - 1])
