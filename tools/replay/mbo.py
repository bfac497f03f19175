"""mbo: a recorded futures session, order by order, checked against the exchange's own fills.

The exchange reports which resting orders each trade filled, in which order and quantity; that is
the oracle. `tools.replay.session` makes commands from the messages. The session begins after the
last auction in the file: auctions are not simulated yet, so the book that one leaves is entered
as it is, and its price and volume are reported as the exchange gave them.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.marketdata import L2Book, level_changes
from engine.messages import EventKind, TradeEvent, slot_dtype
from tools.replay import databento
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
from tools.replay.queues import Fill
from tools.replay.session import OWNER, TAKER, Session, Trade

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
    levels: dict[tuple[int, int], int]
    "Lots by side and price of the book at the end."
    withdrawn: int
    "Orders that were cancelled ahead of the trades of their event."
    auction: dict[str, Any] | None
    "What the exchange reported of the auction before the session."


@dataclass(frozen=True)
class MboResult(Result):
    """The fills of the exchange against those of the engine."""

    messages: int
    trades_checked: int
    trades_exact: int
    trades_explained: int
    unexplained: int
    auction: dict[str, Any] | None
    "price_ticks and volume as reported by the exchange; `simulated` is false."


def read(path: Path) -> MboPlan:
    """The plan of a file; see `tools.replay.databento.read` for the errors."""
    return make_plan(databento.read(path), str(path))


def make_plan(recording: Recording, origin: str) -> MboPlan:
    """The plan of a recording; `origin` names it in errors."""
    events = [*recording.events()]
    opening, auction = _opening(events)
    if opening == len(events):
        raise UnsupportedFileError(f"{origin}: nothing follows the opening to be checked")
    session = Session(hidden_orders(events))
    for event in events[:opening]:
        session.prepare(event)
    session.enter_all()
    for event in events[opening:]:
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
        levels={at: sum(queue.values()) for at, queue in session.queues.queues()},
        withdrawn=session.withdrawn,
        auction=auction,
    )


def _opening(events: list[list[Message]]) -> tuple[int, dict[str, Any] | None]:
    """How many events come before the session, and what the auction that ends them reported."""
    opening, auction = 0, None
    for position, event in enumerate(events, start=1):
        for message in event:
            if message.action == databento.TRADE and message.side is None:
                opening = position
                auction = {
                    "price_ticks": message.price_ticks,
                    "volume": message.lots,
                    "simulated": False,
                }
            elif message.flags & databento.F_SNAPSHOT:
                opening = position
    return opening, auction


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
        faults += rejections(slots) + _book_faults(plan, slots)
    fills = _engine_fills(plan, slots)
    exact, explained, unexplained = 0, [], []
    for trade in plan.trades:
        found = tuple(fills.pop(trade.command, ()))
        # Without a command nothing shows that the engine would do as the exchange did.
        if found == trade.fills and trade.command >= 0:
            exact += 1
        elif found == trade.foreseen and trade.reason:
            explained.append(f"explained: {_describe(trade)}: {trade.reason}")
        else:
            unexplained.append(f"UNEXPLAINED: {_describe(trade)}: engine filled {_list(found)}")
    for command in fills:
        faults.append(f"command {command + 1} traded, which the exchange's order did not")
    checked = len(plan.trades)
    enough = checked > 0 and exact >= EXACT_SHARE_MIN * checked
    if not enough:
        faults.append(f"{exact} exact of {checked} trades are too few to prove anything")
    lines = [_auction_line(plan.auction)] if plan.auction is not None else []
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
        auction=plan.auction,
    )


def _engine_fills(plan: MboPlan, slots: npt.NDArray[np.uint8]) -> dict[int, list[Fill]]:
    """By index of the aggressive command: fills by the exchange's order ids, in order."""
    events = slots.view(EVENT)[:, 0]
    accepted = events[events["kind"] == EventKind.ACCEPTED]
    entered_by = dict(
        zip(accepted["order_id"].tolist(), (accepted["source_sequence"] - 1).tolist(), strict=True)
    )
    trades = slots.view(TRADE)[:, 0]
    trades = trades[trades["kind"] == EventKind.TRADE]
    fills: dict[int, list[Fill]] = {}
    for sequence, maker, lots in zip(
        trades["source_sequence"].tolist(),
        trades["maker_order_id"].tolist(),
        trades["qty_lots"].tolist(),
        strict=True,
    ):
        order_id = int(plan.orders[entered_by[maker]]) if maker in entered_by else NO_ORDER
        fills.setdefault(sequence - 1, []).append(Fill(order_id, lots))
    return fills


def _book_faults(plan: MboPlan, slots: npt.NDArray[np.uint8]) -> list[str]:
    """Whether the levels that the events leave are the exchange's at the end of the file."""
    book, changes = L2Book(), level_changes(slots)
    for level in zip(changes.sides, changes.prices_ticks, changes.lots, strict=True):
        book.apply(*level)
    found = {
        (side, price_ticks): lots
        for side in (0, 1)
        for price_ticks, lots in book.best(side, book.level_count(side))
    }
    wrong = {at for at in plan.levels.keys() | found.keys() if plan.levels.get(at) != found.get(at)}
    return [f"{len(wrong)} price levels differ from the exchange's at the end"] if wrong else []


def _describe(trade: Trade) -> str:
    message = trade.message
    verb = "auctioned" if message.side is None else ("bought", "sold")[message.side]
    return (
        f"message {message.number}: {verb} {message.lots} at {message.price_ticks} ticks, "
        f"exchange filled {_list(trade.fills)}"
    )


def _list(fills: tuple[Fill, ...]) -> str:
    return " ".join(f"{fill.order_id}x{fill.lots}" for fill in fills) or "nothing"


def _auction_line(auction: dict[str, Any]) -> str:
    return (
        f"auction: the exchange reported {auction['volume']} at {auction['price_ticks']} ticks; "
        "it is not simulated yet, the session starts with the book that it left"
    )
