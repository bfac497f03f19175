"""What risk has to do by itself: the conditions that hold now and are not yet acted upon.

Risk sends commands for them, which arrive in the sequence like all others; when one of them is
decided its condition is looked at again.
"""

from typing import NamedTuple

from engine.messages import Funds, Scope
from engine.rules import RuleNumber
from tools.twin.messages import Sequenced
from tools.twin.risk import rules, valuation
from tools.twin.risk.rules import CALLED, GOOD, LIQUIDATING, margin_state
from tools.twin.risk.state import Position, State


class Demand(NamedTuple):
    """Something that is due."""

    what: str
    '"margin_state", "loss_state", "mass_cancel", "liquidation", "cover" or "halt".'
    account: int
    place: int
    "The asset of a state and of a transfer, else the instrument."
    value: int = 0
    "The state; the lots of a liquidation, negative to sell; the units of a transfer."


def demands(state: State) -> set[Demand]:
    """All that is due now."""
    due = {Demand("halt", 0, instrument) for instrument in state.halts_due}
    for position in state.positions:
        if position.cancel_due:
            due.add(Demand("mass_cancel", position.account, position.instrument))
    for account, asset in {(each.account, each.asset) for each in state.positions}:
        for wanted in (GOOD, CALLED, LIQUIDATING):
            if may_set_margin_state(state, account, asset, wanted):
                due.add(Demand("margin_state", account, asset, wanted))
        for wanted in (0, 1):
            if may_set_loss_state(state, account, asset, wanted):
                due.add(Demand("loss_state", account, asset, wanted))
        due |= _liquidations(state, account, asset)
        units = to_cover(state, account, asset)
        if units:
            due.add(Demand("cover", account, asset, units))
    return due


# --- states --------------------------------------------------------------------------------------


def may_set_margin_state(state: State, account: int, asset: int, wanted: int) -> bool:
    """Whether the condition for a margin state holds."""
    now = margin_state(state, account, asset)
    if account not in state.balances or not state.is_margin(account):
        return False
    equity = valuation.equity(state, account, asset)
    maintenance = valuation.sums(state, (Scope.ACCOUNT, account), asset).maintenance
    called = equity < maintenance + maintenance // 4
    if wanted == CALLED:
        return now == GOOD and called
    if wanted == LIQUIDATING:
        return now != LIQUIDATING and maintenance > 0 and equity < maintenance
    if now == LIQUIDATING:
        return is_flat(state, account, asset) and not to_cover(state, account, asset)
    return now == CALLED and not called


def may_set_loss_state(state: State, account: int, asset: int, wanted: int) -> bool:
    """Whether the day's result is beyond the account's limit, or a new day has begun."""
    entity = (Scope.ACCOUNT, account)
    now = rules.value_at(state, RuleNumber.LOSS_STATE, entity, asset)
    if wanted == 0:
        return now == 1 and state.loss_days[account, asset] < state.today
    most = rules.value_at(state, RuleNumber.DAILY_LOSS_MAX_UNITS, entity, asset)
    return now == 0 and most > 0 and valuation.result(state, entity, asset) < -most


# --- liquidation ---------------------------------------------------------------------------------


def is_flat(state: State, account: int, asset: int) -> bool:
    """Whether an account has nothing open in an asset."""
    positions = state.in_asset((Scope.ACCOUNT, account), asset)
    return all(each.holding.net == 0 and each.orders == 0 for each in positions)


def to_cover(state: State, account: int, asset: int) -> int:
    """Units that the insurance account owes a liquidated account, as far as it has them."""
    insurance = state.insurance_account
    if insurance < 0 or margin_state(state, account, asset) != LIQUIDATING:
        return 0
    debt = -state.purse(account, asset).total
    if debt <= 0 or not is_flat(state, account, asset):
        return 0
    return max(0, min(debt, state.purse(insurance, asset).available))


def may_cover(state: State, command: Sequenced) -> bool:
    """Whether a transfer that risk sends is still due, in full."""
    from_insurance = command.side == Funds.TRANSFER and command.account == state.insurance_account
    due = to_cover(state, command.price_ticks, command.instrument)
    return from_insurance and command.qty_lots <= due


def may_liquidate(state: State, command: Sequenced) -> bool:
    """Whether an order that risk sends only closes a position that is to be closed."""
    position = state.position_of.get((command.account, command.instrument))
    if position is None:
        return False
    if margin_state(state, command.account, position.asset) != LIQUIDATING:
        return False
    return position.holding.reduced_by(command.side, command.qty_lots)


def _liquidations(state: State, account: int, asset: int) -> set[Demand]:
    """The orders that close positions, once nothing else is live."""
    if margin_state(state, account, asset) != LIQUIDATING:
        return set()
    positions = state.in_asset((Scope.ACCOUNT, account), asset)
    if any(each.orders for each in positions):
        return set()
    return {
        Demand("liquidation", account, each.instrument, _lots_to_close(state, each))
        for each in positions
        if each.holding.net and not each.tried
    }


def _lots_to_close(state: State, position: Position) -> int:
    net, most = position.holding.net, state.instruments[position.instrument].qty_max_lots
    return -min(net, most) if net > 0 else min(-net, most)
