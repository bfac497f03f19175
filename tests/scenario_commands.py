"""The words in which scenario tables say commands: a trader's line becomes a command.

    A: ann buy 5 @ 100 iceberg 2

Orders have names, accounts are people. `tests/scenarios/README.md` lists the words.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from engine.messages import (
    BOTH_SIDES,
    CommandFlag,
    CommandKind,
    Funds,
    Instruction,
    Listing,
    ListKind,
    OrderType,
    Peg,
    Phase,
    Prevention,
    Scope,
    Side,
    TimeInForce,
    Trigger,
)
from engine.reference import TERM_NUMBERS
from engine.rules import RULES

SECOND_NS: Final = 1_000_000_000

PEOPLE: Final = ("ann", "bob", "cat", "dan", "eve")
"""Accounts 1 to 5."""

SYMBOLS: Final = ("S", "T", "U")
"""Instruments by index; a line that names none means the first."""


ASSETS: Final = ("Q", "B0", "B1", "B2")
"""What is paid in, and what the instruments trade."""


class TableError(Exception):
    """A line of a table that cannot be understood; says which, and what was expected."""


class Words:
    """The words of one line, taken from the left."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.left = line.split()

    def take(self, expected: str) -> str:
        """The next word."""
        if not self.left:
            raise TableError(f"{self.line!r} ends where {expected} should follow")
        return self.left.pop(0)

    def number(self, expected: str) -> int:
        """The next word as a whole number."""
        word = self.take(expected)
        try:
            return int(word)
        except ValueError:
            raise TableError(f"{self.line!r}: {word!r} is not {expected}") from None

    def seconds(self) -> int:
        """The next word as a time, 5s, in nanoseconds."""
        word = self.take("a time like 5s")
        if not word.endswith("s") or not word[:-1].isdigit():
            raise TableError(f"{self.line!r}: {word!r} is not a time like 5s")
        return int(word[:-1]) * SECOND_NS

    def one_of(self, table: Mapping[str, Any], expected: str) -> Any:
        """What the next word stands for."""
        word = self.take(expected)
        if word not in table:
            known = ", ".join(table)
            raise TableError(f"{self.line!r}: {word!r} is not {expected} ({known})")
        return table[word]

    def skip(self, phrase: str) -> bool:
        """Take a phrase if it is next; whether it was."""
        words = phrase.split()
        if self.left[: len(words)] != words:
            return False
        del self.left[: len(words)]
        return True

    def expect(self, phrase: str) -> None:
        """Take a phrase that must be next."""
        if not self.skip(phrase):
            raise TableError(f"{self.line!r}: expected {phrase!r} before {' '.join(self.left)!r}")


ACCOUNTS: Final = {name: number for number, name in enumerate(PEOPLE, start=1)}
SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
PHASES: Final = {phase.name.lower().replace("_", "-"): phase for phase in Phase}
PREVENTIONS: Final = {mode.name.lower(): mode for mode in Prevention}
PEGS: Final = {peg.name.lower(): peg for peg in Peg}
ASSET_NUMBERS: Final = {name: index for index, name in enumerate(ASSETS)}
SCOPES: Final = {scope.name.lower(): scope for scope in Scope}
RULE_NUMBERS: Final = {name: rule.number for name, rule in RULES.items()}
INSTRUMENTS: Final = {symbol: index for index, symbol in enumerate(SYMBOLS)}


@dataclass
class Line:
    """A command as a line says it, before order names are ids."""

    kind: CommandKind
    name: str = ""
    "What a NEW calls its order."
    target: str = ""
    "The order that a CANCEL or AMEND is about."
    fields: dict[str, Any] = field(default_factory=dict)


def _flag(name: str, bit: int, **more: int) -> Callable[[Words, dict[str, Any]], None]:
    def apply(words: Words, fields: dict[str, Any]) -> None:
        fields[name] = fields.get(name, 0) | bit
        fields.update(more)

    return apply


def _value(name: str, **more: int) -> Callable[[Words, dict[str, Any]], None]:
    def apply(words: Words, fields: dict[str, Any]) -> None:
        fields.update(more | {name: words.number("a number")})

    return apply


def _trail(words: Words, fields: dict[str, Any]) -> None:
    distance = words.take("a distance like 5 or 50bps")
    in_bps = distance.endswith("bps")
    fields["trigger"] = Trigger.TRAIL_BPS if in_bps else Trigger.TRAIL_TICKS
    fields["trigger_ticks"] = int(distance.removesuffix("bps"))


def _peg(words: Words, fields: dict[str, Any]) -> None:
    fields["peg"] = words.one_of(PEGS, "a peg")
    if words.left and words.left[0][0] in "+-":
        fields["offset_ticks"] = words.number("an offset")


def _until(words: Words, fields: dict[str, Any]) -> None:
    fields |= {"time_in_force": TimeInForce.GTD, "at_ns": words.seconds()}


def _prevent(words: Words, fields: dict[str, Any]) -> None:
    fields["self_trade"] = words.one_of(PREVENTIONS, "a way to prevent")


def _named(words: Words, fields: dict[str, Any]) -> None:
    fields["client_order_id"] = words.take("a client order id").encode()


def _time(value: TimeInForce) -> Callable[[Words, dict[str, Any]], None]:
    return _flag("", 0, time_in_force=value)


def _listed(kind: ListKind) -> Callable[[Words, dict[str, Any]], None]:
    return _value("list_index", list_kind=kind)


MODIFIERS: Final[Mapping[str, Callable[[Words, dict[str, Any]], None]]] = {
    "ioc": _time(TimeInForce.IOC),
    "fok": _time(TimeInForce.FOK),
    "day": _time(TimeInForce.DAY),
    "until": _until,
    "at-open": _time(TimeInForce.AT_OPEN),
    "at-close": _time(TimeInForce.AT_CLOSE),
    "auction-only": _time(TimeInForce.AUCTION),
    "post-only": _flag("flags", CommandFlag.POST_ONLY),
    "reduce-only": _flag("flags", CommandFlag.REDUCE_ONLY),
    "slide": _flag("instructions", Instruction.SLIDE),
    "hidden": _flag("instructions", Instruction.HIDDEN),
    "all-or-none": _flag("instructions", Instruction.ALL_OR_NONE),
    "iceberg": _value("display_lots"),
    "minimum": _value("minimum_lots"),
    "stop": _value("trigger_ticks", trigger=Trigger.STOP),
    "touch": _value("trigger_ticks", trigger=Trigger.TOUCH),
    "trail": _trail,
    "trail-limit": _value("offset_ticks", trail_limit=1),
    "peg": _peg,
    "prevent": _prevent,
    "oco": _listed(ListKind.OCO),
    "oto": _listed(ListKind.OTO),
    "bracket": _listed(ListKind.BRACKET),
    "named": _named,
    "leaves": _flag("flags", CommandFlag.LEAVES),
    "requeue": _flag("flags", CommandFlag.REQUEUE),
    "trigger": _value("trigger_ticks"),
}
"""What may follow price and quantity, in any order."""

PLAIN_MODIFIERS: Final = {
    *("ioc", "fok", "post-only", "reduce-only", "named", "leaves", "requeue"),
}
"""Those that need no terms."""


def _common(words: Words, fields: dict[str, Any]) -> None:
    """The rest of a line about an order: modifiers, `on` an instrument, `by` a person."""
    terms = fields.get("order_type") == OrderType.MARKET_TO_LIMIT
    while words.left:
        if words.skip("on"):
            fields["instrument"] = words.one_of(INSTRUMENTS, "an instrument")
        elif words.skip("by"):
            fields["account"] = words.one_of(ACCOUNTS, "a person")
        else:
            terms |= words.left[0] not in PLAIN_MODIFIERS
            words.one_of(MODIFIERS, "a property of orders")(words, fields)
    fields.pop("", None)
    if terms:
        fields["flags"] = fields.get("flags", 0) | CommandFlag.TERMS


def _new(name: str, words: Words) -> Line:
    fields: dict[str, Any] = {
        "account": words.one_of(ACCOUNTS, "a person"),
        "side": words.one_of(SIDES, "a side"),
        "qty_lots": words.number("a quantity"),
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
    }
    if words.skip("market"):
        fields["order_type"] = OrderType.MARKET
    elif words.skip("market-to-limit"):
        fields["order_type"] = OrderType.MARKET_TO_LIMIT
    else:
        words.expect("@")
        fields["price_ticks"] = words.number("a price")
    _common(words, fields)
    return Line(CommandKind.NEW, name, fields=fields)


def _changed(kind: CommandKind, words: Words) -> Line:
    fields: dict[str, Any] = {}
    target = words.take("the name of an order")
    if target == "named":
        target, fields["client_order_id"] = "", words.take("a client order id").encode()
    if kind == CommandKind.AMEND:
        fields["qty_lots"] = words.number("a quantity")
        words.expect("@")
        fields["price_ticks"] = words.number("a price")
    _common(words, fields)
    return Line(kind, target=target, fields=fields)


def _mass_cancel(words: Words) -> Line:
    fields = {"account": words.one_of(ACCOUNTS, "a person"), "side": BOTH_SIDES}
    if words.skip("bids"):
        fields["side"] = Side.BUY
    elif words.skip("asks"):
        fields["side"] = Side.SELL
    _common(words, fields)
    return Line(CommandKind.MASS_CANCEL, fields=fields)


def _funds(side: Funds, words: Words) -> Line:
    """`deposit ann 5 Q`, `transfer ann 5 Q to bob named x`."""
    fields: dict[str, Any] = {"side": side, "account": words.one_of(ACCOUNTS, "a person")}
    fields["qty_lots"] = words.number("a number of units")
    fields["instrument"] = words.one_of(ASSET_NUMBERS, "an asset")
    if side == Funds.TRANSFER:
        words.expect("to")
        fields["price_ticks"] = words.one_of(ACCOUNTS, "a person")
    if words.skip("named"):
        _named(words, fields)
    return Line(CommandKind.FUNDS, fields=fields)


def _rule(words: Words) -> Line:
    """`rule account ann killed 1`, `rule symbol T collar_bps 50`, `rule venue qty_max_lots 5`."""
    scope = words.one_of(SCOPES, "a scope")
    fields: dict[str, Any] = {"order_type": scope}
    if scope == Scope.SYMBOL:
        fields["instrument"] = words.one_of(INSTRUMENTS, "an instrument")
    elif scope != Scope.VENUE:
        fields["account"] = words.one_of(ACCOUNTS, "a person")
    fields["order_id"] = words.one_of(RULE_NUMBERS, "a rule")
    fields["qty_lots"] = words.number("its value")
    return Line(CommandKind.RULE, fields=fields)


def _mark(words: Words) -> Line:
    fields = {"price_ticks": words.number("a price")}
    _common(words, fields)
    return Line(CommandKind.MARK, fields=fields)


def _of_venue(kind: CommandKind, words: Words, **fields: Any) -> Line:
    _common(words, fields)
    return Line(kind, fields=fields)


def _phase(words: Words) -> Line:
    phase = words.one_of(PHASES, "a phase")
    return _of_venue(CommandKind.PHASE, words, phase=phase, flags=int(CommandFlag.TERMS))


def _clock(words: Words) -> Line:
    at_ns = words.seconds()
    return _of_venue(CommandKind.TICK, words, at_ns=at_ns, flags=int(CommandFlag.TERMS))


def _set(words: Words) -> Line:
    number = words.one_of(TERM_NUMBERS, "a term of instruments")
    value = words.number("its value")
    return _of_venue(CommandKind.INSTRUMENT, words, order_id=number, qty_lots=value)


def _delist(words: Words) -> Line:
    return _of_venue(CommandKind.INSTRUMENT, words, order_id=int(Listing.DELIST))


def _check(words: Words) -> Line:
    return Line(CommandKind.CHECK, fields=_new("", words).fields)


COMMANDS: Final[Mapping[str, Callable[[Words], Line]]] = {
    "cancel": partial(_changed, CommandKind.CANCEL),
    "amend": partial(_changed, CommandKind.AMEND),
    "mass cancel": _mass_cancel,
    "phase": _phase,
    "clock": _clock,
    "snapshot": partial(_of_venue, CommandKind.SNAPSHOT),
    "delist": _delist,
    "set": _set,
    "deposit": partial(_funds, Funds.DEPOSIT),
    "withdraw": partial(_funds, Funds.WITHDRAW),
    "transfer": partial(_funds, Funds.TRANSFER),
    "rule": _rule,
    "mark": _mark,
    "check": _check,
}
"""What a line begins with that is no order."""


def parse_command(text: str) -> Line:
    """The command that a line stands for. TableError when it is none."""
    name, colon, rest = text.partition(":")
    if colon:
        return _new(name.strip(), Words(rest))
    words = Words(text)
    for phrase, parse in COMMANDS.items():
        if words.skip(phrase):
            return parse(words)
    raise TableError(f"{text!r} is not a command")
