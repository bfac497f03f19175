"""What risk does by itself: margin calls, liquidations, loss stops, cancels, halts.

The conditions are found where positions are valued (engine.risk.valuation) and wait as alarms and
marks in the state. Here they become ordinary commands in risk's own order ring, one at a time: the
next one is written when the last one has its answer. Ingest sequences them like all others, so
nothing that risk does is hidden from the journal or from a replay.

A command is made after a record of the decision stream and nowhere else: so whoever follows the
stream makes the same one at the same place. Risk writes a WATERMARK when it has business and no
command comes. It keeps the command that has no answer yet, to send it again after its death.
"""

from typing import Final

from engine.limits import ASSETS_MAX, INSTRUMENTS_MAX
from engine.messages import (
    BOTH_SIDES,
    MESSAGE_BYTES,
    AccountKind,
    Command,
    CommandFlag,
    CommandKind,
    Funds,
    OrderType,
    Phase,
    Scope,
    Side,
    TimeInForce,
)
from engine.risk.purses import insured_units
from engine.risk.state import ALARMS_MAX, NO_POSITION, MarginState, Purse, RiskState
from engine.risk.valuation import (
    has_lost_too_much,
    is_below_maintenance,
    is_due,
    is_to_be_called,
    raise_alarm,
)
from engine.rules import RuleNumber
from engine.stage import Word
from ipc.jit import inlined, kernel

TURNS_MAX: Final = 16
"""Alarms, at most, that are looked at after one record: bounds the work of a step."""

LOOKED_AT_MAX: Final = 1024
"""Positions or instruments that one step looks through for the next one to act on."""


@inlined
def blank_command(state: RiskState, kind: int) -> Command:
    """The next command of risk's own; whoever calls fills it."""
    warden = state.warden
    command = warden.command
    for word in range(MESSAGE_BYTES >> 3):
        Word(command.address + word * 8).value = 0
    command.kind = kind
    warden.sent += 1
    warden.awaited = warden.sent
    return command


@inlined
def tell_state(state: RiskState, account: int, asset: int, number: int, value: int) -> int:
    """RULE margin_state or loss_state of an account's purse."""
    command = blank_command(state, CommandKind.RULE.value)
    command.order_type, command.account, command.instrument = Scope.ACCOUNT, account, asset
    command.order_id, command.qty_lots = number, value
    return 1


@kernel
def halt_next(state: RiskState) -> int:
    """PHASE HALT for the next instrument whose price has moved too far."""
    warden = state.warden
    for _ in range(INSTRUMENTS_MAX):
        warden.halt_cursor = (warden.halt_cursor + 1) % INSTRUMENTS_MAX
        quote = state.quotes[warden.halt_cursor]
        if quote.halt_due != 0:
            quote.halt_due = 0
            warden.halts_due -= 1
            command = blank_command(state, CommandKind.PHASE.value)
            command.flags, command.instrument = CommandFlag.TERMS, warden.halt_cursor
            command.terms.phase = Phase.HALT
            return 1
    return 0


@inlined
def cancel_position(state: RiskState, index: int) -> int:
    """MASS_CANCEL of one account's orders in one instrument."""
    position = state.positions.table[index]
    command = blank_command(state, CommandKind.MASS_CANCEL.value)
    command.account, command.instrument = position.account, position.instrument
    command.side = BOTH_SIDES
    return 1


@kernel
def cancel_next(state: RiskState) -> int:
    """Cancel the orders of the next position that is to have none."""
    warden, positions = state.warden, state.positions
    for _ in range(min(positions.count, LOOKED_AT_MAX)):
        warden.cancel_cursor += 1
        if warden.cancel_cursor > positions.count:
            warden.cancel_cursor = 1
        position = positions.table[warden.cancel_cursor]
        if position.cancel_due != 0:
            position.cancel_due = 0
            warden.cancels_due -= 1
            if position.open_buy + position.open_sell != 0:
                return cancel_position(state, warden.cancel_cursor)
    return 0


# --- liquidation -------------------------------------------------------------------------------


@kernel
def close_position(state: RiskState, index: int) -> int:
    """A market order against a position, at most of the instrument's largest quantity."""
    position, warden = state.positions.table[index], state.warden
    command = blank_command(state, CommandKind.NEW.value)
    command.account, command.instrument = position.account, position.instrument
    command.side = Side.SELL if position.net > 0 else Side.BUY
    command.order_type, command.time_in_force = OrderType.MARKET, TimeInForce.IOC
    command.flags = CommandFlag.LIQUIDATION
    command.qty_lots = min(abs(position.net), state.terms[position.instrument].qty_max_lots)
    warden.forced_position, warden.forced_net = index, position.net
    return 1


@inlined
def cover_debt(state: RiskState, account: int, asset: int, units: int) -> int:
    """A transfer from the insurance account."""
    command = blank_command(state, CommandKind.FUNDS.value)
    command.account, command.instrument = state.insurance_account, asset
    command.side, command.price_ticks, command.qty_lots = Funds.TRANSFER, account, units
    return 1


@kernel
def liquidate(state: RiskState, account: int, asset: int, purse: Purse) -> int:
    """The next step of a liquidation; 0 if there is nothing to do before the next TICK."""
    index, wanted, held = state.owners[account].first_position, NO_POSITION, 0
    while index != NO_POSITION:
        position = state.positions.table[index]
        if state.terms[position.instrument].quote_asset == asset:
            if position.open_buy + position.open_sell != 0:
                return cancel_position(state, index)
            if position.net != 0:
                held += 1
                if position.tried == 0:
                    wanted = index
        index = position.next
    if wanted != NO_POSITION:
        return close_position(state, wanted)
    if held != 0:
        return 0
    units = insured_units(state, account, asset)
    if units > 0:
        return cover_debt(state, account, asset, units)
    if is_below_maintenance(state, account, purse):
        return 0
    return tell_state(state, account, asset, RuleNumber.MARGIN_STATE.value, 0)


# --- alarms ------------------------------------------------------------------------------------


@kernel
def act_on(state: RiskState, account: int, asset: int, purse: Purse) -> int:
    """What is due about an account's purse; 0 for nothing just now."""
    margin_state = RuleNumber.MARGIN_STATE.value
    if purse.margin_state == MarginState.LIQUIDATING:
        return liquidate(state, account, asset, purse)
    if is_below_maintenance(state, account, purse):
        return tell_state(state, account, asset, margin_state, MarginState.LIQUIDATING.value)
    if state.owners[account].kind == AccountKind.MARGIN:
        called = is_to_be_called(state, account, purse)
        if called and purse.margin_state == MarginState.GOOD:
            return tell_state(state, account, asset, margin_state, MarginState.CALLED.value)
        if not called and purse.margin_state == MarginState.CALLED:
            return tell_state(state, account, asset, margin_state, MarginState.GOOD.value)
    loss_state = RuleNumber.LOSS_STATE.value
    if purse.loss_state != 0:
        if purse.loss_day != state.day:
            return tell_state(state, account, asset, loss_state, 0)
        return 0
    if has_lost_too_much(state, purse):
        return tell_state(state, account, asset, loss_state, 1)
    return 0


@kernel
def answer_alarm(state: RiskState) -> int:
    """Act on the alarm that waits longest; one about which more is to be done waits again."""
    warden = state.warden
    entry = warden.alarms[warden.head & (ALARMS_MAX - 1)]
    warden.head += 1
    account, asset = entry // ASSETS_MAX, entry % ASSETS_MAX
    purse = state.purses[entry]
    purse.alarmed = 0
    if not is_due(state, account, purse):
        return 0
    fruitless = warden.fruitless + 1
    done = act_on(state, account, asset, purse)
    raise_alarm(state, account, asset, purse)
    warden.fruitless = 0 if done != 0 else fruitless
    return done


@inlined
def has_business(state: RiskState) -> bool:
    """Whether there is something that risk may have to do."""
    warden = state.warden
    alarms = warden.tail - warden.head
    return alarms > warden.fruitless or warden.cancels_due != 0 or warden.halts_due != 0


@kernel
def take_turn(state: RiskState) -> int:
    """Make the next command, if one is due; returns how many there are, 0 or 1."""
    if state.warden.halts_due != 0 and halt_next(state) != 0:
        return 1
    if state.warden.cancels_due != 0:
        return cancel_next(state)
    if state.warden.tail > state.warden.head:
        return answer_alarm(state)
    return 0


@kernel
def take_turns(state: RiskState) -> int:
    """After a record of the stream: `warden.command` if one is due; returns 1 if it is new.

    Alarms about which nothing is to be done are passed over, as others may wait behind them.
    """
    for _ in range(TURNS_MAX):
        if take_turn(state) != 0:
            return 1
        if not has_business(state):
            break
    return 0


@kernel
def hear_tick(state: RiskState) -> None:
    """A TICK: liquidations that found nobody are tried again."""
    warden = state.warden
    for at in range(warden.head, warden.tail):
        account = warden.alarms[at & (ALARMS_MAX - 1)] // ASSETS_MAX
        index = state.owners[account].first_position
        while index != NO_POSITION:
            state.positions.table[index].tried = 0
            index = state.positions.table[index].next
    warden.fruitless = 0
