"""Kraken: a recorded WebSocket feed of order books, checked by the exchange's own CRC32.

Each line of a recording is `<unix time>: <JSON>`; lines of the connection itself begin with its
address. A book message is `[id, part.., "book-<depth>", pair]`: a snapshot (`as`, `bs`) or
updates (`a`, `b`) of levels `[price, volume, time]`, volume 0 for a level that is gone, and `c`,
the CRC32 of the ten best levels a side after the update.

An exchange's book by price does not tell its orders, so one account builds the book: the volume
of a level is an order of its, changed by amendments and ended by cancels. One account is enough
because nothing ever trades: its orders are post-only, and deletions of a message go before its
additions, since a message may add an ask where it also takes the bid away. Should a recording
cross itself all the same, the engine refuses the order, and checksums tell it.
"""

import lzma
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import orjson

from engine.limits import QTY_LOTS_MAX
from engine.marketdata import L2Book, level_changes
from engine.messages import CommandFlag, CommandKind, EventKind, OrderType, Side, TimeInForce
from engine.scale import DECIMALS_MAX, INT64_MAX
from tools.replay.errors import FileFormatError
from tools.replay.plan import (
    EVENT,
    CommandList,
    Plan,
    Result,
    Table,
    asset,
    rejections,
    rich_account,
    shortened,
    stream_faults,
    unlimited,
)

BUILDER: Final = 1
"""Number of the account that builds the books."""

CHECKED_DEPTH: Final = 10
"""Levels of each side that a checksum covers."""

ASSET_DECIMALS: Final = 8

WORTH_MAX: Final = INT64_MAX - 10**DECIMALS_MAX
"""Ticks times lots of one order: risk refuses what overflows int64, rounding up included."""

SNAPSHOT_KEYS: Final = {"as": Side.SELL, "bs": Side.BUY}
UPDATE_KEYS: Final = {"a": Side.SELL, "b": Side.BUY}

Row = tuple[Side, int, int]
"""Side, price and volume of a level, as integers of the last decimal that was sent."""


@dataclass(frozen=True)
class Message:
    """A book message: levels to set and, in an update, the checksum that must follow."""

    pair: str
    depth: int
    rows: list[Row]
    checksum: int | None
    decimals: tuple[int, int]
    "Of prices and volumes, as sent."


@dataclass(frozen=True)
class KrakenPlan(Plan):
    """The commands and, for every checksummed update, when and what to compare."""

    update_ends: npt.NDArray[np.int64]
    "Commands up to and with this update."
    update_instruments: npt.NDArray[np.int64]
    checksums: npt.NDArray[np.int64]
    price_factors: tuple[int, ...]
    "By instrument: what a tick is in units of the last decimal that was sent."


@dataclass(frozen=True)
class KrakenResult(Result):
    """Checksums of the exchange against the books that the events make."""

    updates: int
    checksums_ok: int
    commands: int
    trades: int
    rate_of: ClassVar[str] = "commands"


@dataclass
class _Level:
    """The orders that make up one level."""

    names: list[bytes]
    lots: int


@dataclass
class _Builder:
    """Turns levels of one instrument into orders of the book-building account."""

    commands: CommandList
    instrument: int
    symbol: str
    depth: int
    "Levels a side that the exchange keeps."
    levels: dict[tuple[int, int], _Level] = field(default_factory=dict)
    book: L2Book = field(default_factory=L2Book)
    named: int = 0

    def set_level(self, side: Side, price_ticks: int, lots: int) -> None:
        """Make the level hold `lots`, by as few commands as it takes."""
        level = self.levels.get((side, price_ticks))
        before = level.lots if level is not None else 0
        if lots == before:
            return
        self.book.apply(side, price_ticks, lots)
        if level is not None and len(level.names) == 1 and 0 < lots <= _fits(price_ticks):
            level.lots = lots
            self._add(
                CommandKind.AMEND,
                level.names[0],
                side=side,
                price_ticks=price_ticks,
                qty_lots=lots,
            )
            return
        if level is not None:
            del self.levels[side, price_ticks]
            for name in level.names:
                self._add(CommandKind.CANCEL, name)
        if lots:
            names = [*self._orders(side, price_ticks, lots)]
            self.levels[side, price_ticks] = _Level(names, lots)

    def trim(self) -> None:
        """Cancel what lies deeper than the exchange's book goes."""
        for side in Side:
            if self.book.level_count(side) > self.depth:
                everything = self.book.best(side, self.book.level_count(side))
                for price_ticks, _ in everything[self.depth :]:
                    self.set_level(side, price_ticks, 0)

    def _orders(self, side: Side, price_ticks: int, lots: int) -> Iterator[bytes]:
        """Enter a level that is new: as one order, or several where one would not fit."""
        while lots:
            part = min(lots, _fits(price_ticks))
            lots -= part
            self.named += 1
            name = f"{self.symbol}-{self.named}".encode()
            self._add(
                CommandKind.NEW,
                name,
                side=side,
                price_ticks=price_ticks,
                qty_lots=part,
                order_type=OrderType.LIMIT,
                time_in_force=TimeInForce.GTC,
                flags=CommandFlag.POST_ONLY,
            )
            yield name

    def _add(self, kind: CommandKind, name: bytes, **values: int) -> None:
        self.commands.add(
            kind=kind,
            account=BUILDER,
            instrument=self.instrument,
            client_order_id=name,
            **values,
        )


def _fits(price_ticks: int) -> int:
    """Lots of the largest order at a price.

    Real books hold jokes far from the market, such as 104,203 coins at a million times their
    price; such a level becomes many orders.
    """
    return min(QTY_LOTS_MAX, WORTH_MAX // price_ticks)


def read(path: Path) -> KrakenPlan:
    """The plan of a recording, plain or `.xz`. FileFormatError when it is not one."""
    messages = [*_messages(path)]
    if not messages:
        raise FileFormatError(f"{path}: no book messages; is this a Kraken recording?")
    pairs = [*dict.fromkeys(message.pair for message in messages)]
    assets, instruments, factors = _venue(path, messages, pairs)
    commands = CommandList()
    builders = {
        message.pair: _Builder(commands, pairs.index(message.pair), message.pair, message.depth)
        for message in messages
    }
    ends, where, checksums = [], [], []
    for message in messages:
        builder = builders[message.pair]
        factor = factors[builder.instrument]
        # A stable sort: deletions first, else the order of the message.
        for side, price, lots in sorted(message.rows, key=lambda row: row[2] > 0):
            builder.set_level(side, price // factor, lots)
        builder.trim()
        if message.checksum is not None:
            ends.append(len(commands))
            where.append(builder.instrument)
            checksums.append(message.checksum)
    return KrakenPlan(
        commands=commands.array(),
        assets=assets,
        instruments=instruments,
        accounts=(rich_account(BUILDER, "book builder", assets),),
        update_ends=np.array(ends, np.int64),
        update_instruments=np.array(where, np.int64),
        checksums=np.array(checksums, np.int64),
        price_factors=factors,
    )


def _messages(path: Path) -> Iterator[Message]:
    """All book messages of a recording."""
    try:
        raw = path.read_bytes()
        if path.suffix == ".xz":
            raw = lzma.decompress(raw)
        for number, line in enumerate(raw.splitlines(), start=1):
            stamp, _, body = line.partition(b": ")
            if stamp.startswith(b"wss://") or not line:
                continue
            message = orjson.loads(body)
            if isinstance(message, list) and "book-" in str(message[-2:-1]):
                yield _message(message, f"{path}:{number}")
    except (lzma.LZMAError, orjson.JSONDecodeError) as error:
        raise FileFormatError(f"{path}: not a Kraken recording: {error}") from None


def _message(message: list[Any], where: str) -> Message:
    """One book message as integers; FileFormatError when it is not a book message."""
    rows: list[Row] = []
    decimals = set()
    checksum = None
    try:
        _, *parts, channel, pair = message
        for part in parts:
            checksum = int(part["c"]) if "c" in part else checksum
            for key, side in (SNAPSHOT_KEYS | UPDATE_KEYS).items():
                for price, volume, *_ in part.get(key, ()):
                    decimals.add((_decimals(price), _decimals(volume)))
                    rows.append((side, _digits(price), _digits(volume)))
        depth = int(channel.removeprefix("book-"))
        base, quote = pair.split("/")
        if any(price <= 0 or volume < 0 for _, price, volume in rows):
            raise ValueError(f"{base} for {quote} at no price above 0, or of negative volume")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileFormatError(f"{where}: not a book message: {error}") from None
    if len(decimals) > 1:
        raise FileFormatError(f"{where}: decimals differ within a message: {sorted(decimals)}")
    return Message(pair, depth, rows, checksum, decimals.pop() if decimals else (0, 0))


def _digits(text: str) -> int:
    return int(text.replace(".", ""))


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _venue(
    path: Path, messages: list[Message], pairs: list[str]
) -> tuple[tuple[Table, ...], tuple[Table, ...], tuple[int, ...]]:
    """Assets, instruments and price factors, from the decimals that were sent.

    Prices are sent with more decimals than their tick has; the tick is the largest power of ten
    that divides them all, which leaves room for quantities in the engine's products.
    """
    names = dict.fromkeys(name for pair in pairs for name in pair.split("/"))
    assets = {name: asset(name, ASSET_DECIMALS) for name in names}
    instruments, factors = [], []
    for pair in pairs:
        own = [message for message in messages if message.pair == pair]
        decimals = {message.decimals for message in own if message.rows}
        if len(decimals) != 1:
            raise FileFormatError(f"{path}: {pair}: decimals differ between messages: {decimals}")
        price_decimals, lot_decimals = decimals.pop()
        common = math.gcd(*(price for message in own for _, price, _ in message.rows))
        zeros = len(str(common)) - len(str(common).rstrip("0"))
        zeros = min(zeros, price_decimals)
        base, quote = pair.split("/")
        lot = _step(lot_decimals)
        steps = {"tick": _step(price_decimals - zeros), "lot": lot}
        table: Table = {"symbol": pair, "base": base, "quote": quote}
        instruments.append(table | steps | unlimited(lot, assets[base], assets[quote]))
        factors.append(10**zeros)
    return tuple(assets.values()), tuple(instruments), tuple(factors)


def _step(decimals: int) -> str:
    """The smallest number of so many decimals."""
    return f"0.{'1':0>{decimals}}" if decimals else "1"


def checksum(book: L2Book, price_factor: int) -> int:
    """Kraken's CRC32 of a book: digits of the best asks, then of the best bids."""
    levels = book.best(Side.SELL, CHECKED_DEPTH) + book.best(Side.BUY, CHECKED_DEPTH)
    digits = "".join(f"{price * price_factor}{lots}" for price, lots in levels)
    return zlib.crc32(digits.encode())


def verify(plan: KrakenPlan, slots: npt.NDArray[np.uint8]) -> KrakenResult:
    """Rebuild every book from the events and compare it with each checksum of the exchange."""
    events = slots.view(EVENT)[:, 0]
    faults = stream_faults(len(plan.commands), slots) + rejections(slots)
    books = [L2Book() for _ in plan.instruments]
    instruments, *levels = (changes := level_changes(slots))[1:]
    moves = list(zip(instruments, zip(*levels, strict=True), strict=True))
    # The book after an update is the book after the last event of its last command.
    causes = events["source_sequence"][changes.rows]
    ends = np.searchsorted(causes, plan.update_ends, side="right").tolist()
    wrong, start = [], 0
    for update, end in enumerate(ends):
        for instrument, level in moves[start:end]:
            books[instrument].apply(*level)
        start = end
        instrument, expected = plan.update_instruments[update], plan.checksums[update]
        found = checksum(books[instrument], plan.price_factors[instrument])
        if found != expected:
            symbol = plan.instruments[instrument]["symbol"]
            wrong.append(f"update {update + 1}, {symbol}: checksum {found}, not {expected}")
    updates = len(plan.checksums)
    return KrakenResult(
        ok=not faults and not wrong and updates > 0,
        lines=(*faults, *shortened(wrong)),
        updates=updates,
        checksums_ok=updates - len(wrong),
        commands=len(plan.commands),
        trades=int(np.count_nonzero(events["kind"] == EventKind.TRADE)),
    )
