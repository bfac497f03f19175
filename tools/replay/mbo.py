"""mbo: a recorded futures session, order by order, checked against the exchange's own fills.

The exchange reports which resting orders each trade filled, in which order and quantity; that is
the oracle. `tools.replay.session` makes commands from the messages. The replay begins with the
snapshot. Where the exchange opened with an auction, orders collect until then and the engine holds
the auction, too (`tools.replay.uncross`); of a file with several auctions the last one counts, and
the replay begins with the orders that came after the last trade before it.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.marketdata import L2Book, level_changes
from engine.messages import EventFlag, EventKind, TradeEvent, slot_dtype
from tools.replay import databento
from tools.replay.auction import Auction
from tools.replay.databento import Message, Recording, hidden_orders
from tools.replay.errors import UnsupportedFileError
from tools.replay.plan import (
    EVENT,
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
from tools.replay.queues import Fill, Levels
from tools.replay.session import OWNER, TAKER, Session, Trade
from tools.replay.uncross import EngineTrade, Uncross

EXACT_SHARE_MIN: Final = Fraction(2716, 2972)
"""Share of trades that must be exact: what the plainest price-time book reaches on the sample of
a CME session. Below it the explanations would carry the result."""

NO_ORDER: Final = -1

QUOTE_DECIMALS: Final = 9
"""As many as Databento's prices have, so that every tick is whole units."""

TRADE: Final = slot_dtype(TradeEvent)


@dataclass(frozen=True)
class MboPlan(Plan):
    """The commands and, for each trade of the exchange, what it filled."""

    messages: int
    trades: tuple[Trade, ...]
    orders: npt.NDArray[np.int64]
    "The exchange's order id that a command enters, by index of the command; else NO_ORDER."
    levels: Levels
    "The book at the end."
    withdrawn: int
    "Orders that were cancelled ahead of the trades of their event."
    auction: Auction | None
    "The auction that opens the session."


@dataclass(frozen=True)
class MboResult(Result):
    """The fills of the exchange against those of the engine."""

    messages: int
    trades_checked: int
    trades_exact: int
    trades_explained: int
    unexplained: int
    auction: dict[str, Any] | None
    "What the engine and the exchange did; see `tools.replay.uncross`."


def read(path: Path) -> MboPlan:
    """The plan of a file; see `tools.replay.databento.read` for the errors."""
    return make_plan(databento.read(path), str(path))


def make_plan(recording: Recording, origin: str) -> MboPlan:
    """The plan of a recording; `origin` names it in errors."""
    events = [*recording.events()]
    begin, uncross = _opening(events)
    opened = begin if uncross is None else uncross + 1
    if opened == len(events):
        raise UnsupportedFileError(f"{origin}: nothing follows the opening to be checked")
    session = Session(hidden_orders(events))
    for event in events[:begin]:
        session.prepare(event)
    opening = None
    if uncross is None:
        session.enter_all()
    else:
        session.collect()
        session.enter_all()
        for event in events[begin:uncross]:
            session.apply(event)
        opening = session.uncross(events[uncross])
    for event in events[opened:]:
        session.apply(event)
    commands = session.commands.array()
    orders = np.full(len(commands), NO_ORDER, np.int64)
    orders[[*session.orders.keys()]] = [*session.orders.values()]
    assets, instrument = _venue(recording)
    return MboPlan(
        commands=commands,
        assets=assets,
        instruments=(instrument,),
        accounts=(rich_account(OWNER, "owner", assets), rich_account(TAKER, "taker", assets)),
        messages=len(recording.messages),
        trades=tuple(session.trades),
        orders=orders,
        levels=session.queues.levels(),
        withdrawn=session.withdrawn,
        auction=opening,
    )


def _opening(events: list[list[Message]]) -> tuple[int, int | None]:
    """How many events the replay begins after, and which one is the auction, if there is one."""
    begin, uncross, settled = 0, None, 0
    for position, event in enumerate(events):
        if any(message.flags & databento.F_SNAPSHOT for message in event):
            begin, uncross, settled = position + 1, None, position + 1
        trades = [message for message in event if message.action == databento.TRADE]
        if any(trade.side is None for trade in trades):
            begin, uncross = settled, position
        if trades:
            settled = position + 1
    return begin, uncross


def _venue(recording: Recording) -> tuple[tuple[Table, ...], Table]:
    """Contracts against points: what a contract is worth in money is of no matter here."""
    assets = (asset("CONTRACT", 0), asset("POINT", QUOTE_DECIMALS))
    instrument: Table = {"symbol": recording.symbol, "base": "CONTRACT", "quote": "POINT"}
    instrument |= {"tick": recording.tick, "lot": "1"}
    return assets, instrument | unlimited("1", *assets)


def verify(plan: MboPlan, slots: npt.NDArray[np.uint8]) -> MboResult:
    """Compare the engine's fills with the exchange's, trade by trade."""
    faults = stream_faults(len(plan.commands), slots)
    if not faults:
        faults += rejections(slots) + _level_faults(plan.levels, slots, "at the end")
    trades = _engine_trades(plan, slots)
    opening, lines = None, []
    if plan.auction is not None:
        uncross = Uncross(plan.auction, trades.pop(plan.auction.uncross, []), slots)
        opening = uncross.report()
        lines += uncross.lines()
        faults += uncross.faults()
        answers = slots.view(EVENT)[:, 0]["source_sequence"]
        before = slots[answers <= plan.auction.session]
        faults += _level_faults(plan.auction.levels, before, "when continuous trading begins")
    exact, explained, unexplained = 0, [], []
    for trade in plan.trades:
        found = tuple(Fill(made.maker, made.lots) for made in trades.pop(trade.command, ()))
        # Without a command nothing shows that the engine would do as the exchange did.
        if found == trade.fills and trade.command >= 0:
            exact += 1
        elif found == trade.foreseen and trade.reason:
            explained.append(f"explained: {_describe(trade)}: {trade.reason}")
        else:
            unexplained.append(f"UNEXPLAINED: {_describe(trade)}: engine filled {_list(found)}")
    for command in trades:
        faults.append(f"command {command + 1} traded, which the exchange's order did not")
    checked = len(plan.trades)
    enough = checked > 0 and exact >= EXACT_SHARE_MIN * checked
    if not enough:
        faults.append(f"{exact} exact of {checked} trades are too few to prove anything")
    lines.append(
        f"{plan.withdrawn} orders that the exchange withdrew within the event of a trade, "
        "unfilled, were cancelled ahead of that trade"
    )
    return MboResult(
        ok=enough and not unexplained and not faults,
        lines=(*lines, *explained, *shortened(unexplained), *shortened(faults)),
        messages=plan.messages,
        trades_checked=checked,
        trades_exact=exact,
        trades_explained=len(explained),
        unexplained=len(unexplained),
        auction=opening,
    )


def _engine_trades(plan: MboPlan, slots: npt.NDArray[np.uint8]) -> dict[int, list[EngineTrade]]:
    """The engine's trades by index of the command that caused them, in order."""
    events = slots.view(EVENT)[:, 0]
    accepted = events[events["kind"] == EventKind.ACCEPTED]
    entered = plan.orders[accepted["source_sequence"] - 1]
    names = dict(zip(accepted["order_id"].tolist(), entered.tolist(), strict=True))
    made = slots.view(TRADE)[:, 0]
    made = made[made["kind"] == EventKind.TRADE]
    trades: dict[int, list[EngineTrade]] = {}
    for sequence, taker, maker, lots, price_ticks, flags in zip(
        made["source_sequence"].tolist(),
        made["order_id"].tolist(),
        made["maker_order_id"].tolist(),
        made["qty_lots"].tolist(),
        made["price_ticks"].tolist(),
        made["flags"].tolist(),
        strict=True,
    ):
        orders = names.get(taker, NO_ORDER), names.get(maker, NO_ORDER)
        trade = EngineTrade(*orders, lots, price_ticks, bool(flags & EventFlag.AUCTION))
        trades.setdefault(sequence - 1, []).append(trade)
    return trades


def _level_faults(levels: Levels, slots: npt.NDArray[np.uint8], when: str) -> list[str]:
    """Whether the levels that the events leave are the exchange's."""
    book, changes = L2Book(), level_changes(slots)
    for level in zip(changes.sides, changes.prices_ticks, changes.lots, strict=True):
        book.apply(*level)
    found = {
        (side, price_ticks): lots
        for side in (0, 1)
        for price_ticks, lots in book.best(side, book.level_count(side))
    }
    wrong = {at for at in levels.keys() | found.keys() if levels.get(at) != found.get(at)}
    return [f"{len(wrong)} price levels differ from the exchange's {when}"] if wrong else []


def _describe(trade: Trade) -> str:
    message = trade.message
    verb = "auctioned" if message.side is None else ("bought", "sold")[message.side]
    return (
        f"message {message.number}: {verb} {message.lots} at {message.price_ticks} ticks, "
        f"exchange filled {_list(trade.fills)}"
    )


def _list(fills: tuple[Fill, ...]) -> str:
    return " ".join(f"{fill.order_id}x{fill.lots}" for fill in fills) or "nothing"
