"""What trades do to positions and purses."""

from engine.messages import Scope, Side
from engine.rules import RuleNumber
from tools.twin.messages import TradeEvent
from tools.twin.risk import rules, valuation
from tools.twin.risk.money import BPS, fee, payment, toward_zero
from tools.twin.risk.reserving import release, reserve
from tools.twin.risk.state import Hold, Holding, Position, State


def traded(holding: Holding, side: int, lots: int, units: int) -> tuple[Holding, int]:
    """A position after `lots` were bought or sold for `units`, and the profit realised."""
    sign = 1 if side == Side.BUY else -1
    closing = min(lots, max(0, -sign * holding.net))
    closing_units = units * closing // lots
    part = toward_zero(holding.cost * closing, abs(holding.net)) if closing else 0
    left = holding._replace(
        net=holding.net + sign * lots,
        cost=holding.cost - part + sign * (units - closing_units),
    )
    return left, -sign * closing_units - part


def settle(state: State, trade: TradeEvent) -> None:
    """TRADE: money and goods change hands, for the taker first."""
    state.last_prices[trade.instrument] = trade.price_ticks
    _watch_breaker(state, trade)
    sides = ((trade.order_id, trade.fee_rate), (trade.maker_order_id, trade.maker_fee_rate))
    for order_id, rate in sides:
        hold = state.holds[order_id]
        position = release(state, hold)
        _settle_side(state, trade, hold, position, rate)
        hold.open_lots -= trade.qty_lots
        hold.bound_lots -= trade.qty_lots
        if hold.open_lots == 0:
            del state.holds[order_id]
            position.cancel_due &= position.orders > 0
        else:
            reserve(state, hold)
        valuation.revalue(state, position)


def _settle_side(
    state: State, trade: TradeEvent, hold: Hold, position: Position, rate: int
) -> None:
    instrument = state.instruments[trade.instrument]
    paid = payment(instrument, trade.price_ticks, trade.qty_lots)
    delivered = trade.qty_lots * instrument.base_units_per_lot
    bought = hold.side == Side.BUY
    base = state.purse(hold.account, instrument.base_asset_index)
    quote = state.purse(hold.account, instrument.quote_asset_index)
    position.holding, profit = traded(position.holding, hold.side, trade.qty_lots, paid)
    if state.is_margin(hold.account):
        quote.available += profit
    else:
        quote.available += -paid if bought else paid
        base.available += delivered if bought else -delivered
    if hold.fee_in_base and bought:
        charge = fee(delivered, rate)
        base.available -= charge
        asset = instrument.base_asset_index
    else:
        charge = fee(paid, rate)
        quote.available -= charge
        profit -= charge
        asset = instrument.quote_asset_index
    if charge:
        assert state.fee_account >= 0, "a fee without a fee account"
        state.purse(state.fee_account, asset).available += charge
    _realise(state, position, profit, state.day_of(trade.time_ns))


def _realise(state: State, position: Position, profit: int, day: int) -> None:
    """Profit belongs to the day of the command that caused the trade."""
    if day > position.realised_day:
        position.realised, position.realised_day = 0, day
    if day == position.realised_day:
        position.realised += profit


def _watch_breaker(state: State, trade: TradeEvent) -> None:
    """A trade far from the day's first one halts the instrument."""
    index, day = trade.instrument, state.day_of(trade.time_ns)
    first_day, first_ticks = state.first_trades.get(index, (day - 1, 0))
    if day > first_day:
        first_ticks = trade.price_ticks
        state.first_trades[index] = (day, first_ticks)
    asset = state.instruments[index].quote_asset_index
    entities = ((Scope.SYMBOL, index), (Scope.VENUE, 0))
    found = [rules.value_at(state, RuleNumber.BREAKER_BPS, each, asset) for each in entities]
    bps = min([each for each in found if each], default=0)
    far = abs(trade.price_ticks - first_ticks) * BPS > bps * abs(first_ticks)
    if bps and far and trade.dseq > state.halted_at.get(index, -1):
        state.halts_due.add(index)


def prevented(state: State, event: TradeEvent) -> None:
    """PREVENTED: two orders lost quantity to each other; one with none left is ended later.

    While an amendment is under way its bound stays: it asks for what it asks for.
    """
    for order_id in (event.order_id, event.maker_order_id):
        hold = state.holds[order_id]
        position = release(state, hold)
        hold.total_lots -= event.qty_lots
        hold.open_lots -= event.qty_lots
        if hold.amendments == 0:
            hold.bound_lots = hold.open_lots
        reserve(state, hold)
        valuation.revalue(state, position)
