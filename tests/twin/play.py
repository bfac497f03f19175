"""Random decisions for an exchange, by seed: every order type, phase and list, nothing refused.

Feeds an exchange while it draws, so that cancels and amendments mostly hit orders that live.
What ingest would refuse is not drawn: combinations of terms that mean nothing.
"""

from random import Random
from typing import Any

from engine.limits import CHUNK_TICKS
from engine.messages import (
    BOTH_SIDES,
    CommandFlag,
    CommandKind,
    Instruction,
    ListKind,
    OrderType,
    Peg,
    Phase,
    Prevention,
    Side,
    TimeInForce,
    Trigger,
)
from tests.twin.instrument import Instrument
from tests.twin.matching import Exchange
from tests.twin.messages import Decision, Event
from tests.twin.order import LIST_ORDERS

SECOND_NS = 1_000_000_000
MIDDLE_TICKS = CHUNK_TICKS * 3
"""The border of a chunk, so that prices lie on both sides of it."""

INSTRUMENTS = (
    Instrument(price_min_ticks=1, price_max_ticks=10_000),
    Instrument(
        price_min_ticks=2,
        price_max_ticks=10_000,
        price_steps=((0, 2), (MIDDLE_TICKS - 2, 5), (MIDDLE_TICKS + 8, 10)),
        static_band_bps=1_000,
        dynamic_band_bps=400,
        volatility_halt_ns=2 * SECOND_NS,
        volatility_auction_ns=3 * SECOND_NS,
        reference_ticks=MIDDLE_TICKS,
        phase=Phase.PRE_OPEN,
    ),
    Instrument(price_min_ticks=-50, price_max_ticks=50, dynamic_band_bps=9_000),
)
"""A plain one; one with a tick table, bands and a halt; one around zero, without a halt."""

MIDDLES = (MIDDLE_TICKS, MIDDLE_TICKS, 0)
ACCOUNTS = (1, 2, 3, 4)
GROUPS = {1: 1, 2: 2, 3: 3, 4: 3}
LIMIT, MARKET = OrderType.LIMIT, OrderType.MARKET
STAYING = (TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTD, TimeInForce.DAY)


class Play:
    """A seeded source of decisions, and the exchange that answers them."""

    def __init__(self, seed: int, **limits: int) -> None:
        """Nothing sent yet; `limits` are those of the exchange."""
        self.random = Random(seed)
        self.exchange = Exchange(INSTRUMENTS, **limits)
        self.decisions: list[Decision] = []
        self.orders = 0
        self.clock_ns = 0

    def run(self, commands: int) -> list[Event]:
        """The events of so many more commands, or a few more to complete a list."""
        events: list[Event] = []
        end = len(self.decisions) + commands
        while len(self.decisions) < end:
            events += self.step()
        return events

    def step(self) -> list[Event]:
        """Draw a command, or the commands of a list, and execute them."""
        draw = self.random.random()
        if draw < 0.30:
            return self.new()
        if draw < 0.60:
            return self.new(**self.terms())
        if draw < 0.68:
            return self.order_list()
        if draw < 0.86:
            return self.change()
        return self.venue_command()

    def send(self, kind: int, **fields: Any) -> list[Event]:
        """Send one command."""
        sequence = len(self.decisions) + 1
        marks = {"source": 0, "source_sequence": sequence, "time_ns": sequence}
        decision = Decision(sequence, kind, **(marks | fields))
        self.decisions.append(decision)
        return self.exchange.decide(decision)

    # --- orders ------------------------------------------------------------------------------

    def price(self, instrument: int, side: int, spread: int = 6) -> int:
        """A valid price; buyers and sellers overlap."""
        terms = INSTRUMENTS[instrument]
        away = self.random.randrange(-spread // 2, spread + 1)
        price = MIDDLES[instrument] + (away if side == Side.SELL else -away)
        step = 1
        for first, ticks in terms.price_steps:
            step = ticks if first <= price else step
        return price - price % step

    def new(self, **fields: Any) -> list[Event]:
        """A new order, plain unless `fields` say otherwise."""
        random = self.random
        instrument, side = random.choice((0, 0, 1, 1, 2)), random.randrange(2)
        account = random.choice(ACCOUNTS)
        sent: dict[str, Any] = {"instrument": instrument, "side": side, "account": account}
        sent |= {"order_type": LIMIT, "time_in_force": TimeInForce.GTC, "flags": 0}
        if "flags" not in fields and random.random() < 0.3:
            sent |= self.plain_kind()
        sent |= fields
        self.orders += 1
        lots = random.choice((1, 2, 3, 5, 8, 13))
        lots = max(lots, fields.get("minimum_lots", 1))
        price = self.price(sent["instrument"], sent["side"])
        order = {"order_id": self.orders, "qty_lots": lots, "price_ticks": price}
        modes = (Prevention.NONE,) * 2 + tuple(Prevention)[2:]
        owner = {"group": GROUPS[sent["account"]], "prevention": random.choice(modes)}
        return self.send(CommandKind.NEW, **(order | owner | sent))

    def plain_kind(self) -> dict[str, Any]:
        """Something that needs no terms."""
        kinds = (
            {"time_in_force": TimeInForce.IOC},
            {"time_in_force": TimeInForce.FOK},
            {"order_type": MARKET, "time_in_force": TimeInForce.IOC},
            {"order_type": MARKET},
            {"flags": CommandFlag.POST_ONLY},
        )
        return self.random.choice(kinds)

    def terms(self) -> dict[str, Any]:
        """The fields of an order with terms."""
        random = self.random
        drawn = random.choice((self.iceberg, self.stop, self.stop, self.trailing, self.pegged))
        fields: dict[str, Any] = {"time_in_force": random.choice(STAYING)}
        fields |= random.choice((drawn, drawn, self.special))()
        if fields["time_in_force"] == TimeInForce.GTD:
            fields["at_ns"] = self.clock_ns + random.randrange(-1, 9) * SECOND_NS
        return {"flags": CommandFlag.TERMS} | fields

    def iceberg(self) -> dict[str, Any]:
        """An iceberg or a hidden order."""
        if self.random.random() < 0.4:
            return {"instructions": Instruction.HIDDEN}
        return {"display_lots": self.random.randrange(1, 4)}

    def stop(self) -> dict[str, Any]:
        """A stop or touch, with limit or market."""
        instrument = self.random.choice((0, 0, 1, 2))
        trigger_ticks = self.price(instrument, self.random.randrange(2), 10)
        fields: dict[str, Any] = {"trigger": self.random.choice((Trigger.STOP, Trigger.TOUCH))}
        fields |= {"trigger_ticks": trigger_ticks, "instrument": instrument}
        return fields | {"order_type": self.random.choice((LIMIT, LIMIT, MARKET))}

    def trailing(self) -> dict[str, Any]:
        """A trailing stop."""
        trigger = self.random.choice((Trigger.TRAIL_TICKS, Trigger.TRAIL_BPS))
        fields: dict[str, Any] = {"trigger": trigger, "trigger_ticks": self.random.randrange(1, 4)}
        if trigger == Trigger.TRAIL_BPS:
            fields["trigger_ticks"] *= 100
        if self.random.random() < 0.5:
            fields |= {"trail_limit": 1, "offset_ticks": self.random.randrange(-2, 3)}
        return fields

    def pegged(self) -> dict[str, Any]:
        """A peg, some of them hidden."""
        peg = self.random.choice((Peg.PRIMARY, Peg.MID, Peg.OPPOSITE))
        fields: dict[str, Any] = {"peg": peg, "offset_ticks": self.random.randrange(-2, 3)}
        if self.random.random() < 0.3:
            fields |= {"instructions": Instruction.HIDDEN}
        elif self.random.random() < 0.3:
            fields |= {"display_lots": 2}
        return fields

    def special(self) -> dict[str, Any]:
        """All that has a word of its own."""
        whole = {"instructions": Instruction.ALL_OR_NONE}
        slide: dict[str, Any] = {"instructions": Instruction.SLIDE}
        slide["flags"] = CommandFlag.TERMS | CommandFlag.POST_ONLY
        kinds: tuple[dict[str, Any], ...] = (
            whole,
            whole | {"time_in_force": TimeInForce.IOC},
            {"minimum_lots": self.random.randrange(2, 6)},
            {"minimum_lots": 3, "time_in_force": TimeInForce.IOC},
            slide,
            slide,
            {"order_type": OrderType.MARKET_TO_LIMIT},
            {"time_in_force": TimeInForce.AT_OPEN},
            {
                "time_in_force": TimeInForce.AT_CLOSE,
                "order_type": self.random.choice((LIMIT, MARKET)),
            },
            {
                "time_in_force": TimeInForce.AUCTION,
                "order_type": self.random.choice((LIMIT, MARKET)),
            },
        )
        return self.random.choice(kinds)

    def order_list(self) -> list[Event]:
        """A list, complete as a rule."""
        random = self.random
        kind = random.choice((ListKind.OCO, ListKind.OTO, ListKind.BRACKET))
        fields = {"instrument": random.choice((0, 0, 1, 2)), "account": random.choice(ACCOUNTS)}
        fields |= {"list_kind": kind, "source": random.randrange(2)}
        count = LIST_ORDERS[kind] - (random.random() < 0.1)
        events: list[Event] = []
        for index in range(count):
            terms = random.choice((dict, self.stop, self.iceberg, self.pegged))()
            terms |= {"flags": CommandFlag.TERMS, "list_index": index}
            events += self.new(**(terms | fields))
            if random.random() < 0.05:
                events += self.step()
        return events

    # --- changes -----------------------------------------------------------------------------

    def change(self) -> list[Event]:
        """Cancel or amend."""
        random = self.random
        live = list(self.exchange.orders.values())
        if not live:
            return self.new()
        order = random.choice(live)
        fields: dict[str, Any] = {"order_id": order.order_id, "account": order.account}
        fields |= {"instrument": order.instrument, "flags": 0, "source": random.randrange(2)}
        if random.random() < 0.35:
            return self.send(CommandKind.CANCEL, **fields)
        price = order.price_ticks
        if random.random() < 0.5:
            price = self.price(order.instrument, order.side)
        lots = max(1, order.total_lots + random.randrange(-3, 3))
        fields["flags"] |= random.choice((0, 0, 0, CommandFlag.LEAVES, CommandFlag.REQUEUE))
        if random.random() < 0.2:
            fields["flags"] |= CommandFlag.TERMS
            if order.trigger:
                fields["trigger_ticks"] = self.price(order.instrument, order.side, 10)
            else:
                fields["display_lots"] = random.randrange(0, 4)
        return self.send(CommandKind.AMEND, price_ticks=price, qty_lots=lots, **fields)

    def venue_command(self) -> list[Event]:
        """One of those that come from whoever runs the venue."""
        random = self.random
        instrument = random.randrange(len(INSTRUMENTS))
        draw = random.random()
        fields: dict[str, Any] = {"instrument": instrument, "source": 2}
        if draw < 0.5:
            self.clock_ns += random.randrange(0, 2) * SECOND_NS
            terms = {"flags": CommandFlag.TERMS, "at_ns": self.clock_ns}
            return self.send(CommandKind.TICK, source=2, **terms)
        if draw < 0.85:
            phases = (*Phase, *(Phase.CONTINUOUS,) * 12)
            terms = {"flags": CommandFlag.TERMS, "phase": random.choice(phases)}
            return self.send(CommandKind.PHASE, **fields, **terms)
        if draw < 0.92:
            return self.send(CommandKind.SNAPSHOT, **fields)
        fields |= {"account": random.choice(ACCOUNTS), "side": random.choice((*Side, BOTH_SIDES))}
        return self.send(CommandKind.MASS_CANCEL, **fields)
