"""The process of the clients: traders over HTTP, a listener on a WebSocket for each account.

Started by `tools.torture.crowd`, which writes words to its standard input: `pause` is answered with
`paused` when no request is under way, `go` lets everybody trade on, `end` ends the process.
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from tools.torture.record import Fact, Filled, RecordWriter, now_ns
from tools.torture.traders import REQUEST_SECONDS_MAX, Trader

RECONNECT_SECONDS: Final = 0.05
HEARTBEAT_SECONDS: Final = 2.0
"""A gateway that is stopped neither answers nor closes: then the connection is given up."""


class Crowd:
    """All clients of a run."""

    def __init__(self, address: str, accounts: int, run: int, path: Path) -> None:
        self.base, self.accounts, self.run = f"http://{address}", accounts, run
        self.record = RecordWriter(path)
        self.going = asyncio.Event()
        self.busy = 0
        self.idle = asyncio.Event()

    async def live(self) -> None:
        """Do as the words on standard input say, until the last one."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS_MAX)
        async with aiohttp.ClientSession(self.base, timeout=timeout) as session:
            numbers = range(1, self.accounts + 1)
            traders = [Trader(session, each, self.run, self.record.note) for each in numbers]
            tasks = [asyncio.create_task(self.keep_trading(each)) for each in traders]
            tasks += [asyncio.create_task(listen(session, each, self.note)) for each in numbers]
            words = asyncio.create_task(self.obey())
            done, _ = await asyncio.wait([words, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                task.result()
        self.record.close()

    def note(self, fact: Fact) -> None:
        """Write a fact down."""
        self.record.note(fact)

    async def keep_trading(self, trader: Trader) -> None:
        """Let a trader act while all may."""
        while True:
            await self.going.wait()
            self.busy += 1
            try:
                await trader.act()
            finally:
                self.busy -= 1
                if self.busy == 0:
                    self.idle.set()

    async def obey(self) -> None:
        """Take words until `end`, or until nobody is there to give any."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while (word := (await reader.readline()).decode().strip()) not in ("", "end"):
            if word == "go":
                self.going.set()
                continue
            assert word == "pause", f"expected go, pause or end, found {word!r}"
            self.going.clear()
            while self.busy:
                self.idle.clear()
                await self.idle.wait()
            print("paused", flush=True)


async def listen(
    session: aiohttp.ClientSession, account: int, note: Callable[[Fact], None]
) -> None:
    """Write down each fill that an account is told, across all connections."""
    while True:
        try:
            async with session.ws_connect(
                "/api/v1/ws", heartbeat=HEARTBEAT_SECONDS, timeout=aiohttp.ClientWSTimeout(1.0)
            ) as socket:
                await socket.send_str(
                    orjson.dumps(
                        {"op": "subscribe", "channel": "orders", "account": account, "id": 1}
                    ).decode()
                )
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        hear(orjson.loads(message.data), note)
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass  # the gateway is away: the next connection goes on
        await asyncio.sleep(RECONNECT_SECONDS)


def hear(message: dict[str, Any], note: Callable[[Fact], None]) -> None:
    """Take what a channel says."""
    fill = message.get("fill")
    if fill is None:
        return
    price = fill["price"].replace(".", "")
    note(
        Filled(
            now_ns(),
            message["order_id"],
            fill["match_id"],
            message["sequence"],
            int(fill["quantity"]),
            int(price),
        )
    )


def main(arguments: list[str]) -> None:
    """HOST:PORT, how many accounts, the number of the run, the file of the record."""
    address, accounts, run, path = arguments
    asyncio.run(Crowd(address, int(accounts), int(run), Path(path)).live())


if __name__ == "__main__":
    main(sys.argv[1:])
