"""How many orders, in a second and in a day; how many cancels; the same order twice."""

from collections.abc import Iterator

from engine.messages import CommandKind, OrderType, RejectReason
from engine.rules import RuleNumber
from tools.twin.messages import Sequenced
from tools.twin.risk import rules
from tools.twin.risk.state import NS, Entity, State

ORDERS_FOR_RATIO = 100
"""Orders of a day from which cancels are compared with them."""


def refusals(state: State, command: Sequenced) -> Iterator[RejectReason]:
    """Why a NEW, CHECK or AMEND comes too often."""
    account, index = command.account, command.instrument
    for entity, interval_ns in _rates(state, account, index):
        burst = rules.value_at(state, RuleNumber.ORDERS_BURST, entity)
        burst = burst or rules.value_at(state, RuleNumber.ORDERS_PER_SECOND, entity)
        full_ns = max(state.counters[entity].full_ns, command.time_ns) + interval_ns
        if full_ns - command.time_ns > burst * interval_ns:
            yield RejectReason.ORDER_RATE
    for entity, most in rules.in_force(state, RuleNumber.ORDERS_PER_DAY, account, index):
        if state.counters[entity].orders + 1 > most:
            yield RejectReason.DAILY_ORDERS
    if command.kind == CommandKind.AMEND:
        return
    for entity, percent in rules.in_force(state, RuleNumber.CANCEL_RATIO_MAX, account, index):
        day = state.counters[entity]
        if day.orders >= ORDERS_FOR_RATIO and day.cancels * 100 > percent * day.orders:
            yield RejectReason.CANCEL_RATIO


def count_order(state: State, command: Sequenced) -> None:
    """An order or amendment came often enough and not too often."""
    account, index = command.account, command.instrument
    for entity, interval_ns in _rates(state, account, index):
        counters = state.counters[entity]
        counters.full_ns = max(counters.full_ns, command.time_ns) + interval_ns
    for entity in state.entities(account, index):
        state.counters[entity].orders += 1


def count_cancel(state: State, command: Sequenced) -> None:
    """A cancel has passed."""
    for entity in state.entities(command.account, command.instrument):
        state.counters[entity].cancels += 1


def _rates(state: State, account: int, index: int) -> Iterator[tuple[Entity, int]]:
    """Each scope with a rate, and the time between two orders of it."""
    for entity, rate in rules.in_force(state, RuleNumber.ORDERS_PER_SECOND, account, index):
        yield entity, NS // rate


# --- the same order again ------------------------------------------------------------------------


def is_repeated(state: State, command: Sequenced) -> bool:
    """Whether the account's last order in the instrument was this one, a moment ago."""
    account, index = command.account, command.instrument
    position = state.position_of.get((account, index))
    window_ns = max(rules.values(state, RuleNumber.DUPLICATE_NS, account, index), default=0)
    if position is None or position.last_order is None:
        return False
    *order, time_ns = position.last_order
    return order == _looks(command) and command.time_ns - time_ns < window_ns


def remember(state: State, command: Sequenced) -> None:
    """An order was accepted."""
    position = state.position(command.account, command.instrument)
    position.last_order = (*_looks(command), command.time_ns)


def _looks(command: Sequenced) -> list[int]:
    """What two orders have in common that are the same, as they were sent.

    Without a limit the price is whatever the sender left there.
    """
    limited = command.order_type == OrderType.LIMIT
    price_ticks = command.price_ticks if limited else 0
    return [command.side, command.order_type, price_ticks, command.qty_lots]
