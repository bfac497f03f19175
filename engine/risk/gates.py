"""The first checks of an order: may this account trade this instrument just now, and so often?

Switches and counters only, no money. Each is looked at where it is on; a rule that has never been
set anywhere costs one test of a bit.
"""

from typing import Final

from engine.limits import INSTRUMENTS_MAX
from engine.messages import Decision, OrderType, RejectReason
from engine.risk.purses import find_position, group_of, own_rule, purse_of
from engine.risk.state import MarginState, RiskState, Scope
from engine.rules import DAY_NS, RuleNumber
from ipc.intrinsics import shift_left, shift_right
from ipc.jit import inlined, kernel

KILLED: Final = RuleNumber.KILLED.value
RESTRICTED: Final = RuleNumber.RESTRICTED.value
PER_SECOND: Final = RuleNumber.ORDERS_PER_SECOND.value
BURST: Final = RuleNumber.ORDERS_BURST.value
PER_DAY: Final = RuleNumber.ORDERS_PER_DAY.value
CANCEL_RATIO: Final = RuleNumber.CANCEL_RATIO_MAX.value
DUPLICATE: Final = RuleNumber.DUPLICATE_NS.value

COUNTED: Final = 1 << PER_SECOND | 1 << PER_DAY | 1 << CANCEL_RATIO

RATIO_ORDERS_MIN: Final = 100
"""Orders of a day from which on the share of cancels is looked at."""

assert INSTRUMENTS_MAX % 64 == 0


# --- the day -----------------------------------------------------------------------------------


@kernel
def begin_day(state: RiskState, time_ns: int) -> None:
    """A command is the first of a new day."""
    days = (time_ns - state.day_start_ns) // DAY_NS
    state.day = state.day_start_ns + days * DAY_NS
    state.next_day = state.day + DAY_NS


@inlined
def day_orders(state: RiskState, scope: Scope) -> int:
    """Orders and amendments of today."""
    return scope.day_orders if scope.day == state.day else 0


@inlined
def enter_day(state: RiskState, scope: Scope) -> None:
    """Begin to count anew with the first command of a day."""
    if scope.day != state.day:
        scope.day = state.day
        scope.day_orders = scope.day_cancels = 0


# --- switches ----------------------------------------------------------------------------------


@inlined
def is_on_list(scope: Scope, instrument: int) -> int:
    """Whether the instrument is on the scope's restricted list."""
    return shift_right(scope.restricted[instrument >> 6], instrument & 63) & 1


@kernel
def put_on_list(scope: Scope, instrument: int, wanted: int) -> None:
    """Put an instrument on a restricted list (wanted 1), or take it off (0)."""
    word, bit = instrument >> 6, shift_left(1, instrument & 63)
    if wanted != 0:
        scope.restricted[word] = scope.restricted[word] | bit
    else:
        scope.restricted[word] = scope.restricted[word] & ~bit


@kernel
def is_restricted(state: RiskState, account: int, instrument: int) -> bool:
    """Whether anything forbids this account this instrument."""
    if state.symbols[instrument].rules[RESTRICTED] != 0:
        return True
    if is_on_list(state.venue, instrument) or is_on_list(state.accounts[account], instrument):
        return True
    return is_on_list(group_of(state, account), instrument) != 0


@inlined
def check_switches(state: RiskState, decision: Decision) -> int:
    """Killed and, for a new order, restricted; and whether the account is being liquidated."""
    account, instrument = decision.account, decision.instrument
    if state.on >> KILLED & 1 and own_rule(state, account, instrument, KILLED) != 0:
        return RejectReason.KILLED.value
    if state.margin != 0:
        purse = purse_of(state, account, state.terms[instrument].quote_asset)
        if purse.margin_state == MarginState.LIQUIDATING:
            return RejectReason.LIQUIDATING.value
    return RejectReason.NONE.value


# --- counters ----------------------------------------------------------------------------------


@inlined
def full_after(scope: Scope, time_ns: int) -> int:
    """When the bucket would be full again after one more order."""
    return max(scope.full_ns, time_ns) + scope.interval_ns


@inlined
def is_too_fast(scope: Scope, time_ns: int) -> bool:
    """Whether the scope's bucket has no order left."""
    if scope.interval_ns == 0:
        return False
    burst = scope.rules[BURST]
    if burst == 0:
        burst = scope.rules[PER_SECOND]
    return full_after(scope, time_ns) - time_ns > burst * scope.interval_ns


@inlined
def is_day_full(state: RiskState, scope: Scope) -> bool:
    """Whether the scope has had all its orders of the day."""
    limit = scope.rules[PER_DAY]
    return limit != 0 and day_orders(state, scope) >= limit


@inlined
def cancels_too_much(state: RiskState, scope: Scope) -> bool:
    """Whether too many of the day's orders have been cancelled."""
    limit, orders = scope.rules[CANCEL_RATIO], day_orders(state, scope)
    return limit != 0 and orders >= RATIO_ORDERS_MIN and scope.day_cancels * 100 > limit * orders


@kernel
def check_counters(state: RiskState, decision: Decision, with_ratio: int) -> int:
    """Rate, orders of the day and, for a new order, cancel ratio, at all scopes."""
    time_ns = decision.time_ns
    account, group = state.accounts[decision.account], group_of(state, decision.account)
    symbol, venue = state.symbols[decision.instrument], state.venue
    if is_too_fast(account, time_ns) or is_too_fast(group, time_ns):
        return RejectReason.ORDER_RATE.value
    if is_too_fast(symbol, time_ns) or is_too_fast(venue, time_ns):
        return RejectReason.ORDER_RATE.value
    if is_day_full(state, account) or is_day_full(state, group):
        return RejectReason.DAILY_ORDERS.value
    if is_day_full(state, symbol) or is_day_full(state, venue):
        return RejectReason.DAILY_ORDERS.value
    if with_ratio == 0:
        return RejectReason.NONE.value
    if cancels_too_much(state, account) or cancels_too_much(state, group):
        return RejectReason.CANCEL_RATIO.value
    if cancels_too_much(state, symbol) or cancels_too_much(state, venue):
        return RejectReason.CANCEL_RATIO.value
    return RejectReason.NONE.value


@inlined
def count_one(state: RiskState, scope: Scope, time_ns: int) -> None:
    """One more order or amendment of a scope."""
    enter_day(state, scope)
    scope.day_orders += 1
    if scope.interval_ns != 0:
        scope.full_ns = full_after(scope, time_ns)


@inlined
def count_command(state: RiskState, decision: Decision) -> None:
    """One more order or amendment, at all scopes."""
    count_one(state, state.accounts[decision.account], decision.time_ns)
    count_one(state, group_of(state, decision.account), decision.time_ns)
    count_one(state, state.symbols[decision.instrument], decision.time_ns)
    count_one(state, state.venue, decision.time_ns)


@inlined
def cancel_one(state: RiskState, scope: Scope) -> None:
    """One more cancel of a scope."""
    enter_day(state, scope)
    scope.day_cancels += 1


@inlined
def count_cancel(state: RiskState, decision: Decision) -> None:
    """One more cancel, at all scopes."""
    cancel_one(state, state.accounts[decision.account])
    cancel_one(state, group_of(state, decision.account))
    cancel_one(state, state.symbols[decision.instrument])
    cancel_one(state, state.venue)


@inlined
def sent_ticks(decision: Decision) -> int:
    """The order's limit; 0 without one: risk may have given it a price meanwhile."""
    return decision.price_ticks if decision.order_type == OrderType.LIMIT else 0


@inlined
def longest_window(state: RiskState, account: int, instrument: int) -> int:
    """The strictest `duplicate_ns` of all scopes, which is the longest one; 0: none is set."""
    own, group = state.accounts[account], group_of(state, account)
    symbol, venue = state.symbols[instrument], state.venue
    return max(
        own.rules[DUPLICATE],
        group.rules[DUPLICATE],
        symbol.rules[DUPLICATE],
        venue.rules[DUPLICATE],
    )


@kernel
def is_repeated(state: RiskState, decision: Decision) -> bool:
    """Whether the account's last order in the instrument was the same, a moment ago."""
    account, instrument = decision.account, decision.instrument
    window = longest_window(state, account, instrument)
    last = find_position(state, account, instrument)
    if window == 0 or last.last_type == 0 or decision.time_ns - last.last_ns >= window:
        return False
    same_kind = last.last_side == decision.side and last.last_type == decision.order_type
    return (
        same_kind
        and last.last_ticks == sent_ticks(decision)
        and last.last_lots == decision.qty_lots
    )


@inlined
def check_gates(state: RiskState, decision: Decision, is_new: int, commits: int) -> int:
    """All of these checks; a command that the counters let pass is counted if `commits`."""
    reason = check_switches(state, decision)
    if is_new != 0 and state.on >> RESTRICTED & 1:
        forbidden = is_restricted(state, decision.account, decision.instrument)
        if forbidden and reason != RejectReason.KILLED:
            reason = RejectReason.RESTRICTED.value
    if reason == RejectReason.NONE and state.on & COUNTED:
        reason = check_counters(state, decision, is_new)
    if reason != RejectReason.NONE:
        return reason
    if commits != 0:
        count_command(state, decision)
    if is_new != 0 and state.on >> DUPLICATE & 1 and is_repeated(state, decision):
        return RejectReason.DUPLICATE_ORDER.value
    return RejectReason.NONE.value
