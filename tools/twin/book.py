"""All orders of one instrument: those that rest, by side and price, and those that wait."""

from collections.abc import Iterator

from engine.limits import CHUNK_TICKS, LOOK_MAX
from engine.messages import Side
from tools.twin.instrument import Instrument
from tools.twin.order import Order
from tools.twin.terms import Terms

Result = tuple[int, int, int, int]
"""What an auction would do: price, volume, surplus, side of the surplus."""


class Book:
    """Resting orders: for each side, price -> orders in time order. Waiting ones: by arrival."""

    def __init__(self, number: int, instrument: Instrument) -> None:
        """An empty book in the instrument's first phase."""
        self.number = number
        self.terms = Terms(instrument)
        self.levels: dict[Side, dict[int, list[Order]]] = {Side.BUY: {}, Side.SELL: {}}
        self.triggers: list[Order] = []
        "By arrival at their trigger."
        self.woken: list[Order] = []
        self.pegs: list[Order] = []
        "In the book or out of it."
        self.all_or_none: list[Order] = []
        self.auction: list[Order] = []
        self.held: list[Order] = []
        self.phase = instrument.phase
        self.last_ticks: int | None = None
        self.uncross_ticks: int | None = None
        self.interruption_end_ns: int | None = None
        self.indicative: Result = (0, 0, 0, 0)
        "The last one published."
        self.pass_references: tuple[int | None, int | None] | None = (None, None)
        "At the end of the last pass of the pegs; None: they have to be passed through anyway."
        self.told: tuple[int | None, int | None] = (None, None)
        "The best prices of the last TOP."
        self.brought = False
        "Something came into the book since the all-or-none orders were tried."

    @property
    def instrument(self) -> Instrument:
        """The terms as they are now."""
        return self.terms.instrument

    @property
    def static_ticks(self) -> int | None:
        """The middle of the static band: the price of the last uncross, else as configured."""
        if self.uncross_ticks is not None:
            return self.uncross_ticks
        return self.instrument.reference_ticks or None

    def prices(self, side: Side) -> list[int]:
        """Prices at which orders rest, best first."""
        return sorted(self.levels[side], reverse=side == Side.BUY)

    def best(self, side: Side) -> int | None:
        """The best price of a side."""
        if not self.levels[side]:
            return None
        return max(self.levels[side]) if side == Side.BUY else min(self.levels[side])

    def best_shown(self, side: Side) -> int | None:
        """The best price of a side at which anything is shown, of those that are looked at."""
        shown = [price for price in self.prices(side)[:LOOK_MAX] if self.lots(side, price)]
        return shown[0] if shown else None

    def lots(self, side: Side, price_ticks: int) -> int:
        """What is shown at one price."""
        return sum(order.shown_lots for order in self.levels[side].get(price_ticks, []))

    def open_lots(self, side: Side, price_ticks: int) -> int:
        """Open quantity at one price, shown or not."""
        return sum(order.open_lots for order in self.levels[side].get(price_ticks, []))

    def chunks(self, side: Side) -> set[int]:
        """Groups of adjacent prices that hold orders: what the engine's memory is counted in."""
        return {price // CHUNK_TICKS for price in self.levels[side]}

    def trigger_chunks(self, upward: bool) -> set[int]:
        """The same of the triggers that wake in one direction."""
        return {
            order.trigger_ticks // CHUNK_TICKS
            for order in self.triggers
            if order.wakes_upward == upward
        }

    def all_chunks(self) -> int:
        """How many of both there are."""
        sides = sum(len(self.chunks(side)) for side in Side)
        return sides + sum(len(self.trigger_chunks(upward)) for upward in (True, False))

    def meets(self, taker_side: Side, limit_ticks: int) -> bool:
        """Whether a taker with this limit meets anybody."""
        best = self.best(Side(1 - taker_side))
        if best is None:
            return False
        return best <= limit_ticks if taker_side == Side.BUY else best >= limit_ticks

    def met_prices(self, taker_side: Side, limit_ticks: int) -> list[int]:
        """The prices that a taker with this limit meets, best first."""
        prices = self.prices(Side(1 - taker_side))
        if taker_side == Side.BUY:
            return [price for price in prices if price <= limit_ticks]
        return [price for price in prices if price >= limit_ticks]

    def makers(self, taker_side: Side, limit_ticks: int) -> Iterator[Order]:
        """Orders that a taker with this limit meets, in price-time order."""
        for price in self.met_prices(taker_side, limit_ticks):
            yield from list(self.levels[Side(1 - taker_side)][price])

    def head(self, side: Side) -> Order:
        """The first order at the best price of a side that has any."""
        best = self.best(side)
        assert best is not None
        return self.levels[side][best][0]

    def resting(self, side: Side) -> list[Order]:
        """All orders of a side in price-time order."""
        return [order for price in self.prices(side) for order in self.levels[side][price]]

    def is_crossed(self) -> bool:
        """Whether the best bid could trade with the best ask."""
        bid, ask = self.best(Side.BUY), self.best(Side.SELL)
        return bid is not None and ask is not None and bid >= ask

    def reference(self, side: Side) -> int | None:
        """The best price that an order shows which is not pegged: what pegs follow."""
        for price in self.prices(side):
            if any(order.shown_lots and not order.peg for order in self.levels[side][price]):
                return price
        return None

    def references(self) -> tuple[int | None, int | None]:
        """Of bids and asks."""
        return self.reference(Side.BUY), self.reference(Side.SELL)

    def add(self, order: Order, price_ticks: int) -> None:
        """Put an order at the back of a level."""
        assert order.rest_ticks is None, "an order rests once"
        self.levels[order.side].setdefault(price_ticks, []).append(order)
        order.rest_ticks = price_ticks
        order.next_part()

    def remove(self, order: Order) -> None:
        """Take an order out of its level."""
        assert order.rest_ticks is not None
        level = self.levels[order.side][order.rest_ticks]
        level.remove(order)
        if not level:
            del self.levels[order.side][order.rest_ticks]
        order.rest_ticks = None

    def requeue(self, order: Order) -> None:
        """Send an order to the back of its level, showing its next part."""
        assert order.rest_ticks is not None
        level = self.levels[order.side][order.rest_ticks]
        level.remove(order)
        level.append(order)
        order.next_part()

    def forget(self, order: Order) -> None:
        """Take an order out of everything but its level."""
        waiting = (self.triggers, self.woken, self.pegs, self.all_or_none, self.auction, self.held)
        for orders in waiting:
            if order in orders:
                orders.remove(order)

    def triggered_order(self, orders: list[Order]) -> list[Order]:
        """Waiting orders in the order they would wake: upward ones first."""
        upward = [order for order in orders if order.wakes_upward]
        downward = [order for order in orders if not order.wakes_upward]
        upward.sort(key=lambda order: order.trigger_ticks)
        downward.sort(key=lambda order: -order.trigger_ticks)
        return upward + downward

    def everything(self) -> list[Order]:
        """All orders, in the order in which a mass cancel ends them."""
        return [
            *self.resting(Side.BUY),
            *self.resting(Side.SELL),
            *self.triggered_order(self.triggers),
            *(order for order in self.pegs if order.rest_ticks is None),
            *self.all_or_none,
            *self.auction,
            *self.held,
        ]
