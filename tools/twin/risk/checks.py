"""What an order must pass before and after its own numbers are looked at.

All in the order of the table of rules; the first that fails gives the reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.messages import CommandKind, RejectReason, Scope, Side
from engine.rules import RuleNumber
from tools.twin.messages import Sequenced
from tools.twin.risk import rules, valuation
from tools.twin.risk.money import BPS, EXPOSURE_MAX
from tools.twin.risk.state import Entity, Figures, Holding, State

AT_THE_MARK = (
    RuleNumber.GROSS_MAX_UNITS,
    RuleNumber.NET_MAX_UNITS,
    RuleNumber.DAILY_LOSS_MAX_UNITS,
    RuleNumber.CONCENTRATION_BPS,
)
"""Rules that need a mark price."""

VENUE = (Scope.VENUE, 0)


def gates(state: State, command: Sequenced) -> Iterator[RejectReason]:
    """Who may trade at all, and where; also for amendments, but for the lists."""
    account, index = command.account, command.instrument
    if any(rules.values(state, RuleNumber.KILLED, account, index)):
        yield RejectReason.KILLED
    if command.kind != CommandKind.AMEND and rules.is_restricted(state, account, index):
        yield RejectReason.RESTRICTED
    asset = state.instruments[index].quote_asset_index
    if rules.margin_state(state, account, asset) == rules.LIQUIDATING:
        yield RejectReason.LIQUIDATING


@dataclass(frozen=True)
class Change:
    """A position as it is, and as it would be with an order, or with a larger one."""

    account: int
    instrument: int
    asset: int
    "In which it is quoted."
    side: int
    lots: int
    "By which the open lots of the side grow."
    before: Holding
    after: Holding
    old: Figures
    new: Figures
    reduce_only: bool
    "Because the order says so, or others of its side do."

    @property
    def reducing(self) -> bool:
        """Whether it can only make the net smaller."""
        return self.before.reduced_by(self.side, self.lots)

    @property
    def place(self) -> tuple[int, int]:
        """Account and instrument."""
        return self.account, self.instrument


def change_of(state: State, command: Sequenced, growth: tuple[int, int], own: bool) -> Change:
    """What a command would do to its position: `growth` in lots and in units of its side.

    `own`: the order may only reduce.
    """
    account, index = command.account, command.instrument
    position = state.position_of.get((account, index))
    before = position.holding if position else Holding()
    after = before.with_order(command.side, *growth)
    others = bool(position and position.reduce_only[command.side])
    return Change(
        account=account,
        instrument=index,
        asset=state.instruments[index].quote_asset_index,
        side=command.side,
        lots=growth[0],
        before=before,
        after=after,
        old=position.figures if position else Figures(),
        new=valuation.figures_of(state, account, index, after),
        reduce_only=own or others,
    )


# --- counts and quantities -----------------------------------------------------------------------


def room(state: State, change: Change) -> Iterator[RejectReason]:
    """Places for the order, and for a position that is not there yet."""
    if len(state.holds) >= state.orders_max:
        yield RejectReason.TOO_MANY_ORDERS
    if change.place not in state.position_of and len(state.positions) >= state.positions_max:
        yield RejectReason.TOO_MANY_POSITIONS


def open_orders(state: State, change: Change) -> Iterator[RejectReason]:
    """One more live order."""
    for entity, most in rules.in_force(state, RuleNumber.OPEN_ORDERS_MAX, *change.place):
        if sum(each.orders for each in state.members[entity]) + 1 > most:
            yield RejectReason.OPEN_ORDERS


def notionals(state: State, change: Change) -> Iterator[RejectReason]:
    """Open notional."""
    for entity, most in rules.in_force(state, RuleNumber.OPEN_NOTIONAL_MAX_UNITS, *change.place):
        if _with(state, change, entity).open_units > most:
            yield RejectReason.OPEN_NOTIONAL
    if _with(state, change, VENUE).open_units > EXPOSURE_MAX:
        yield RejectReason.EXPOSURE_OVERFLOW


def quantities(state: State, change: Change) -> Iterator[RejectReason]:
    """What the position may become."""
    only = change.reduce_only or rules.values(state, RuleNumber.REDUCE_ONLY, *change.place)
    if only and not change.reducing:
        yield RejectReason.REDUCE_ONLY
    net, lots = change.before.net, change.lots
    most = rules.lowest(state, RuleNumber.LONG_MAX_LOTS, *change.place)
    if change.side == Side.BUY and most and net + change.before.open_buy + lots > most:
        yield RejectReason.POSITION_LONG
    most = rules.lowest(state, RuleNumber.SHORT_MAX_LOTS, *change.place)
    if change.side == Side.SELL and most and change.before.open_sell + lots - net > most:
        yield RejectReason.POSITION_SHORT


def short_selling(state: State, change: Change) -> Iterator[RejectReason]:
    """On margin, of what the account does not have."""
    if not state.is_margin(change.account) or change.side == Side.BUY:
        return
    uncovered = change.before.open_sell + change.lots > change.before.net
    if uncovered and not state.instruments[change.instrument].short_selling:
        yield RejectReason.SHORT_SELLING


def marginable(state: State, change: Change) -> Iterator[RejectReason]:
    """Whether the instrument is traded on margin."""
    if change.reducing:
        return
    if state.is_margin(change.account) and not state.instruments[change.instrument].initial_bps:
        yield RejectReason.NOT_MARGINABLE


# --- figures at marks ----------------------------------------------------------------------------


def exposures(state: State, change: Change) -> Iterator[RejectReason]:
    """From NO_MARK_PRICE to DAILY_LOSS."""
    if change.reducing:
        return
    margin = state.is_margin(change.account)
    valued = margin or any(rules.values(state, each, *change.place) for each in AT_THE_MARK)
    if valued and not valuation.mark(state, change.instrument):
        yield RejectReason.NO_MARK_PRICE
    if _with(state, change, VENUE).gross > EXPOSURE_MAX:
        yield RejectReason.EXPOSURE_OVERFLOW
    if margin and abs(change.new.cost) + change.new.open_units > EXPOSURE_MAX:
        yield RejectReason.EXPOSURE_OVERFLOW
    yield from _limits_at_the_mark(state, change)


def _limits_at_the_mark(state: State, change: Change) -> Iterator[RejectReason]:
    place, asset = change.place, change.asset
    for entity, most in rules.in_force(state, RuleNumber.GROSS_MAX_UNITS, *place):
        if _with(state, change, entity).gross > most:
            yield RejectReason.GROSS_EXPOSURE
    for entity, most in rules.in_force(state, RuleNumber.NET_MAX_UNITS, *place):
        found = _with(state, change, entity)
        net = found.buys + found.worth if change.side == Side.BUY else found.sells - found.worth
        if net > most:
            yield RejectReason.NET_EXPOSURE
    bps = rules.lowest(state, RuleNumber.CONCENTRATION_BPS, *place)
    equity = max(0, valuation.equity(state, change.account, asset))
    if bps and change.new.gross > equity * bps // BPS:
        yield RejectReason.CONCENTRATION
    for entity, most in rules.in_force(state, RuleNumber.DAILY_LOSS_MAX_UNITS, *place):
        if valuation.result(state, entity, asset) < -most:
            yield RejectReason.DAILY_LOSS
        stopped = rules.value_at(state, RuleNumber.LOSS_STATE, entity, asset)
        if stopped and state.loss_days[change.account, asset] == state.today:
            yield RejectReason.DAILY_LOSS


def margin(state: State, change: Change) -> Iterator[RejectReason]:
    """Whether the equity covers what the account would need."""
    if change.reducing or not state.is_margin(change.account):
        return
    needed = _with(state, change, (Scope.ACCOUNT, change.account)).initial
    if valuation.equity(state, change.account, change.asset) < needed:
        yield RejectReason.INITIAL_MARGIN


def _with(state: State, change: Change, entity: Entity) -> Figures:
    """The sums of an entity as they would be: the old figures taken out, the new ones put in."""
    found = valuation.sums(state, entity, change.asset)
    parts = zip(found, change.old, change.new, strict=True)
    return Figures(*[whole - old + new for whole, old, new in parts])
