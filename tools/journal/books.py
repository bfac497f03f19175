"""Books and balances as the state blocks of a replica have them, for people and for --json.

Works on any state that lies in this process: it reads the records of matching and risk directly,
so it must not be used on one that somebody changes meanwhile.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from engine.book import SIDES_PER_INSTRUMENT, Books, SideBook, key_of
from engine.durability.blocks import Block
from engine.limits import ACCOUNTS_MAX, CHUNK_TICKS, INSTRUMENTS_MAX
from engine.market.state import NO_TICKS
from engine.matching import MatchingState
from engine.messages import Phase, Side
from engine.risk.state import RiskState
from engine.risk.views import RiskViews
from gateway.risk_documents import balance_document, owner_document, position_document
from tools.account import Traded
from tools.journal.decisions import Document, word
from tools.journal.names import Names

_BITMAP: Final = (1 << CHUNK_TICKS) - 1


class ShownLevel(NamedTuple):
    """One price of a book."""

    price_ticks: int
    lots: int
    "All of it."
    hidden_lots: int
    "Of that, what is not shown."


def levels(books: Books, instrument: int, side: int) -> Iterator[ShownLevel]:
    """The levels of a side from the best one on."""
    place: SideBook = books.sides[instrument * SIDES_PER_INSTRUMENT + side]
    for at in range(place.count - 1, -1, -1):
        chunk = books.chunks[place.chunks[at]]
        bits = chunk.bitmap & _BITMAP
        while bits:
            number = (bits & -bits).bit_length() - 1
            bits &= bits - 1
            price = key_of(chunk.key * CHUNK_TICKS + number, side)
            yield ShownLevel(price, chunk.levels[number].lots, chunk.hidden[number])


def book_documents(
    blocks: Mapping[str, Block], names: Names, symbols: tuple[str, ...], depth: int
) -> list[Document]:
    """The books of instruments that are listed or were, up to `depth` levels of each side.

    `symbols`: only of these; empty: of all.
    """
    risk = RiskState(blocks["risk"].address)
    states = [MatchingState(blocks[name].address) for name in sorted(blocks) if "matching" in name]
    wanted = {number for symbol in symbols for number in names.numbers(symbol)}
    made = []
    for number in range(INSTRUMENTS_MAX):
        terms = risk.terms[number]
        if terms.was_listed and (not symbols or number in wanted):
            books = states[terms.shard if len(states) > 1 else 0].books
            made.append(_book(books, number, names, depth) | {"listed": terms.listed != 0})
    return made


def _book(books: Books, number: int, names: Names, depth: int) -> Document:
    market = books.markets[number]
    last = market.last_ticks
    sides: Document = {}
    for side in Side:
        rows = [_level(each, number, names) for each in levels(books, number, side)]
        key = "bids" if side == Side.BUY else "asks"
        sides[key], sides[f"{key}_levels"] = rows[:depth], len(rows)
    return {
        "symbol": names.symbol(number),
        "instrument": number,
        "phase": word(Phase, market.phase),
        "last": None if last == NO_TICKS else names.price(number, last),
        "last_ticks": None if last == NO_TICKS else last,
        "waiting_orders": market.trigger_orders,
        **sides,
    }


def _level(level: ShownLevel, number: int, names: Names) -> Document:
    return {
        "price": names.price(number, level.price_ticks),
        "quantity": names.quantity(number, level.lots),
        "hidden": names.quantity(number, level.hidden_lots),
        "price_ticks": level.price_ticks,
        "lots": level.lots,
        "hidden_lots": level.hidden_lots,
    }


def account_documents(
    blocks: Mapping[str, Block], names: Names, accounts: tuple[int, ...]
) -> list[Document]:
    """Balances and positions of accounts; `accounts` empty: of all that have any.

    Needs the names of assets: without them nothing can be written in decimals, and there are none.
    """
    state = RiskState(blocks["risk"].address)
    views = RiskViews(state, len(names.assets))
    listed = {
        number: _traded(state, names, number)
        for number in range(INSTRUMENTS_MAX)
        if state.terms[number].was_listed and names.steps(number) is not None
    }
    made = []
    for account in accounts or range(ACCOUNTS_MAX):
        owner = views.owner(account)
        balances = [balance_document(each, names.assets) for each in views.balances(account)]
        positions = [
            position_document(each, listed, names.assets)
            for each in views.positions(account)
            if each.instrument in listed
        ]
        if accounts or (owner.known and (balances or positions)):
            about = owner_document(account, None, owner)
            made.append(about | {"balances": balances, "positions": positions})
    return made


def _traded(state: RiskState, names: Names, number: int) -> Traded:
    terms, steps = state.terms[number], names.steps(number)
    assert steps is not None, "positions of instruments without steps are not shown"
    return Traded(
        symbol=names.symbol(number),
        quote_asset_index=terms.quote_asset,
        prices=steps.prices,
        quantities=steps.quantities,
        notional_multiplier=terms.notional_multiplier,
        notional_divisor=terms.notional_divisor,
    )
