"""What risk knows, for gateways and tools: balances, positions, limits, refusals.

A view only reads the mapped state. There is no lock and the stage does not notice: a purse, a
position or the counters of a scope are copied until two readings of their bytes agree, at most
READINGS_MAX times, after which the last copy counts. So the figures of one record belong together,
but for a stage that changes it all the time; those of two records may be of different moments.
Figures at marks are those of the last valuation of each position (docs/risk.md).
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple, TypeVar

from engine.limits import ACCOUNTS_MAX, ASSETS_MAX, INSTRUMENTS_MAX
from engine.messages import AccountKind, Scope, Side
from engine.risk.state import NO_POSITION, Position, Purse, RiskState
from engine.risk.state import Scope as ScopeState
from engine.rules import FIRST_MONEY_RULE, RULES_BY_NUMBER, RuleNumber
from ipc import memory
from ipc.record import Array, Record

READINGS_MAX: Final = 64
"""Copies of a record before the last one counts, torn or not: a change takes well below a
microsecond and a copy about one, so that two in a row agree unless nothing else is changed."""

PERCENT_PARTS: Final = 10_000
"""Hundredths of a percent in a whole."""

R = TypeVar("R", bound=Record)


class Owner(NamedTuple):
    """Who an account is."""

    known: bool
    kind: int
    "AccountKind."
    tier: int
    group: int


class AssetBalance(NamedTuple):
    """One asset of an account, in units."""

    asset: int
    kind: int
    "AccountKind of the account."
    total: int
    reserved: int
    worth: int
    "Of the account's positions that are paid in the asset, at marks; below 0 when short."
    cost: int
    initial: int
    maintenance: int
    margin_state: int
    loss_state: int

    @property
    def available(self) -> int:
        """What is not reserved."""
        return self.total - self.reserved

    @property
    def unrealised(self) -> int:
        """Profit of open positions at marks."""
        return self.worth - self.cost

    @property
    def equity(self) -> int:
        """What would be left if all positions in the asset were closed at their marks."""
        gained = self.unrealised if self.kind == AccountKind.MARGIN else self.worth
        return self.total + gained

    @property
    def free(self) -> int:
        """Margin that new orders and withdrawals may use."""
        return self.equity - self.initial


class Holding(NamedTuple):
    """A position: what an account has traded in one instrument."""

    instrument: int
    net: int
    "Lots."
    cost: int
    "Quote units, negative when short."
    mark_ticks: int
    worth: int
    realised: int
    "Less fees, in quote units."
    fees: int
    open_buy: int
    "Lots of live orders."
    open_sell: int

    @property
    def average_cost(self) -> Fraction | None:
        """Quote units of one lot; None without a position."""
        return Fraction(self.cost, self.net) if self.net else None

    @property
    def unrealised(self) -> int:
        """Profit at the mark of its last valuation, in quote units."""
        return self.worth - self.cost


class Limit(NamedTuple):
    """A rule that is on in one of the scopes that an account trades in."""

    scope: int
    entity: int
    "Number of the account, group or instrument; 0 for the venue."
    number: int
    "RuleNumber."
    place: int
    "Asset of a money rule, instrument of a restricted list, else -1."
    limit: int
    used: int | None
    "In the unit of the rule; None where nothing is counted."
    most: int = 0
    "What counts as all of it; the limit but for a rate, where it is the burst."
    fullest: int = -1
    "Instrument of the position that uses most of a limit of positions, else -1."

    @property
    def used_parts(self) -> int | None:
        """How much is used in hundredths of a percent, rounded down; None with no usage."""
        return None if self.used is None else self.used * PERCENT_PARTS // self.most


class RiskViews:
    """Questions to one state. Not for several threads: all copies share their room."""

    def __init__(self, state: RiskState, asset_count: int) -> None:
        """`asset_count`: assets of the configuration, which are all there are."""
        self._state = state
        self._assets = range(min(asset_count, ASSETS_MAX))
        self._purse: Purse = Purse.allocate()
        self._position: Position = Position.allocate()
        self._scope: ScopeState = ScopeState.allocate()

    # --- the venue -----------------------------------------------------------------------------

    def refusals(self) -> dict[int, int]:
        """See `refusals_of`."""
        return refusals_of(self._state)

    def deposited(self) -> list[int]:
        """Deposits less withdrawals, by asset, in units."""
        return list(_words(self._state.deposited)[: len(self._assets)])

    # --- an account ----------------------------------------------------------------------------

    def owner(self, account: int) -> Owner:
        """Who an account is; any number from 0 to ACCOUNTS_MAX - 1."""
        assert 0 <= account < ACCOUNTS_MAX, f"owner: account {account}"
        owner = self._state.owners[account]
        return Owner(owner.known != 0, owner.kind, owner.tier, owner.group)

    def balances(self, account: int) -> list[AssetBalance]:
        """All assets in which the account has or owes anything, or has traded, by asset."""
        kind = self.owner(account).kind
        made = []
        for asset in self._assets:
            purse = _copy(self._state.purses[account * ASSETS_MAX + asset], self._purse)
            if not any(getattr(purse, name) for name in _TOUCHED):
                continue
            made.append(
                AssetBalance(
                    asset=asset,
                    kind=kind,
                    total=purse.total,
                    reserved=purse.reserved,
                    worth=purse.worth,
                    cost=purse.cost,
                    initial=purse.initial,
                    maintenance=purse.maintenance,
                    margin_state=purse.margin_state,
                    loss_state=purse.loss_state,
                )
            )
        return made

    def positions(self, account: int) -> list[Holding]:
        """All positions of the account, closed ones too, by instrument."""
        state, made = self._state, []
        index = state.owners[account].first_position
        for _ in range(INSTRUMENTS_MAX):  # it has no more, one for each instrument
            if index == NO_POSITION:
                break
            position = _copy(state.positions.table[index], self._position)
            if position.account != account:
                break  # it is being made just now
            made.append(
                Holding(
                    instrument=position.instrument,
                    net=position.net,
                    cost=position.cost,
                    mark_ticks=position.mark,
                    worth=position.worth,
                    realised=position.realised,
                    fees=position.fees,
                    open_buy=position.open_buy,
                    open_sell=position.open_sell,
                )
            )
            index = position.next
        return sorted(made)

    # --- limits --------------------------------------------------------------------------------

    def limits(self, account: int, instruments: Iterable[int], now_ns: int) -> Iterator[Limit]:
        """Every rule that is on for the account, its group, one of the instruments, or the venue.

        `now_ns`: time by which the bucket of a rate has been refilled, Unix ns. Other questions may
        be asked before all have been taken.
        """
        positions = self.positions(account)
        for place in self._places(account, instruments):
            made: list[Limit] = []
            if self._state.on:
                made += self._entity_limits(place, positions, now_ns)
            if self._state.money_on:
                for asset, purse in place.purses:
                    made += self._money_limits(place, asset, purse)
            yield from made

    def _places(self, account: int, instruments: Iterable[int]) -> Iterator["_Place"]:
        """The scopes, from the narrowest to the widest."""
        state, group = self._state, self.owner(account).group

        def purses(of: Array[Purse], first: int) -> list[tuple[int, Purse]]:
            return [(asset, of[first + asset]) for asset in self._assets]

        own = purses(state.purses, account * ASSETS_MAX)
        yield _Place(Scope.ACCOUNT, account, state.accounts[account], own)
        shared = purses(state.group_purses, group * ASSETS_MAX)
        yield _Place(Scope.GROUP, group, state.groups[group], shared)
        # Most instruments have no rules: one look at all of them is faster than one at each.
        ruled = _ruled(state.symbols, ScopeState) | _ruled(state.symbol_purses, Purse)
        for number in (each for each in instruments if each in ruled):
            purse = state.terms[number].quote_asset, state.symbol_purses[number]
            yield _Place(Scope.SYMBOL, number, state.symbols[number], [purse])
        yield _Place(Scope.VENUE, 0, state.venue, purses(state.venue_purses, 0))

    def _entity_limits(
        self, place: "_Place", positions: Sequence[Holding], now_ns: int
    ) -> Iterator[Limit]:
        """Rules of an entity, in the order of their numbers."""
        state, scope = self._state, _copy(place.state, self._scope)
        rules = _words(scope.rules)
        for number in range(len(rules)):
            if not state.on >> number & 1:
                continue  # never set anywhere
            if number == RuleNumber.RESTRICTED and place.scope != Scope.SYMBOL:
                for instrument in _bits(_words(scope.restricted)):
                    yield Limit(place.scope, place.entity, number, instrument, 1, None)
                continue
            value = rules[number]
            if value == 0:
                continue
            if number in _SIDES:
                fullest, used = _fullest(place, positions, _SIDES[RuleNumber(number)])
                yield Limit(place.scope, place.entity, number, -1, value, used, value, fullest)
                continue
            most = value
            if number == RuleNumber.ORDERS_PER_SECOND:
                most = rules[RuleNumber.ORDERS_BURST] or value
            counted = self._counted(scope, number, now_ns)
            yield Limit(place.scope, place.entity, number, -1, value, counted, most)

    def _counted(self, scope: ScopeState, number: int, now_ns: int) -> int | None:
        """What a scope counts for one of its rules; None for a rule without a counter."""
        if number == RuleNumber.OPEN_ORDERS_MAX:
            return scope.open_orders
        if number == RuleNumber.ORDERS_PER_DAY:
            return scope.day_orders if scope.day == self._state.day else 0
        if number == RuleNumber.ORDERS_PER_SECOND:
            return _in_bucket(scope, now_ns)
        return None

    def _money_limits(self, place: "_Place", asset: int, purse: Purse) -> Iterator[Limit]:
        """Money rules of an entity in one asset, in the order of their numbers."""
        if not any(_words(purse.rules)):
            return
        held = _copy(purse, self._purse)
        day = held.day_realised if held.day == self._state.day else 0
        used_of = {
            RuleNumber.OPEN_NOTIONAL_MAX_UNITS: held.open_units,
            RuleNumber.GROSS_MAX_UNITS: held.gross,
            RuleNumber.NET_MAX_UNITS: max(held.worth + held.buys, held.sells - held.worth),
            RuleNumber.DAILY_LOSS_MAX_UNITS: max(-(day + held.worth - held.cost), 0),
        }
        for at, value in enumerate(_words(held.rules)):
            number = FIRST_MONEY_RULE + at
            if value and number in RULES_BY_NUMBER:
                used = used_of.get(RuleNumber(number))
                yield Limit(place.scope, place.entity, number, asset, value, used, value)


_TOUCHED: Final = ("total", "reserved", "open_units", "worth", "cost", "realised", "fees")
"""Figures of a purse of which one is not 0 when anything has happened to it, or is about to."""


class _Place(NamedTuple):
    """One scope with its purses, by asset."""

    scope: int
    entity: int
    state: ScopeState
    purses: list[tuple[int, Purse]]


_SIDES: Final = {
    RuleNumber.LONG_MAX_LOTS: Side.BUY,
    RuleNumber.SHORT_MAX_LOTS: Side.SELL,
}
"""Limits of a position, and which of its sides they bound."""


def _fullest(place: _Place, positions: Sequence[Holding], side: Side) -> tuple[int, int]:
    """Instrument and lots of the position that its orders can make longest (shortest).

    (-1, 0) without any; the one of its instrument in the scope SYMBOL.
    """
    fullest, most = -1, 0
    for each in positions:
        lots = each.net + each.open_buy if side == Side.BUY else each.open_sell - each.net
        if lots > most and (place.scope != Scope.SYMBOL or each.instrument == place.entity):
            fullest, most = each.instrument, lots
    return fullest, most


def _ruled(owners: Array[Any], kind: type[Record]) -> set[int]:
    """Numbers of the records, each with `rules`, in which one is on."""
    words = memoryview(_bytes(owners.address, len(owners) * kind.size)).cast("q")
    field, stride = kind.fields["rules"], kind.size // 8
    first = field.offset // 8
    return {
        number
        for number in range(len(owners))
        if any(words[number * stride + first : number * stride + first + field.count])
    }


def _in_bucket(scope: ScopeState, now_ns: int) -> int:
    """Orders of the bucket that are not refilled yet."""
    waiting = max(scope.full_ns - now_ns, 0)
    return -(-waiting // scope.interval_ns) if scope.interval_ns else 0


def refusals_of(state: RiskState) -> dict[int, int]:
    """How many commands ingest and risk have refused, by RejectReason; those with any."""
    return {reason: count for reason, count in enumerate(_words(state.reasons)) if count}


# --- copies ------------------------------------------------------------------------------------


def _copy(source: R, room: R) -> R:
    """Copy a record until two readings agree, at most READINGS_MAX of them."""
    size = type(source).size
    before = _bytes(source.address, size)
    for _ in range(READINGS_MAX - 1):
        after = _bytes(source.address, size)
        if after == before:
            break
        before = after
    region = memory.find(room.address, size)
    start = region.offset(room.address, size)
    region.view[start : start + size] = before
    return room


def _bytes(address: int, size: int) -> bytes:
    region = memory.find(address, size)
    start = region.offset(address, size)
    return bytes(region.view[start : start + size])


def _words(array: Array[Any]) -> memoryview:
    """The int64 words of an array, copied at once."""
    return memoryview(_bytes(array.address, len(array) * 8)).cast("q")


def _bits(words: memoryview) -> Iterator[int]:
    """Numbers of the bits that are set."""
    for at, word in enumerate(words):
        yield from (at * 64 + bit for bit in range(64) if word >> bit & 1)
