"""`okimi account`: what an account has and may do, from the shared memory of a running venue.

Nothing is asked of the gateway, so it works when that is busy or gone. `collect` gives the same
documents as `GET /api/v1/accounts/{account}`, with its limits; `render` shows them to people.
"""

import time
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Final, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from engine.directory import derived_steps, read_assets, read_steps
from engine.instruments import Asset
from engine.limits import INSTRUMENTS_MAX
from engine.reference import ReferenceData
from engine.risk.state import RiskState
from engine.risk.views import RiskViews
from engine.scale import Scale
from engine.venue import REFERENCE, RISK_STATE, segment_name
from gateway.risk_documents import (
    balance_document,
    limit_document,
    owner_document,
    position_document,
)
from ipc.errors import SegmentMissing
from ipc.record import fingerprint
from tools.figures import NONE
from tools.sample import VenueNotFound, attached, venues
from tools.status import plain_table

NEARLY_USED: Final = 8_000
"""Hundredths of a percent of a limit from which on its usage is shown in another colour."""


class AccountNotFound(Exception):
    """The venue has no such account."""


class Traded(NamedTuple):
    """An instrument as far as positions in it are shown."""

    symbol: str
    quote_asset_index: int
    prices: Scale
    quantities: Scale
    notional_multiplier: int
    notional_divisor: int


def collect(name: str, account: int) -> dict[str, Any]:
    """Who the account is, its balances, positions and limits.

    Raises VenueNotFound, AccountNotFound, and ipc.errors.SegmentError for a venue of another
    version or user.
    """
    try:
        with (
            attached(
                segment_name(name, REFERENCE), ReferenceData.size, fingerprint(ReferenceData)
            ) as reference,
            attached(
                segment_name(name, RISK_STATE), RiskState.size, fingerprint(RiskState)
            ) as risk,
        ):
            return _describe(ReferenceData(reference.address), RiskState(risk.address), account)
    except SegmentMissing:
        raise VenueNotFound(name, venues()) from None


def _describe(reference: ReferenceData, state: RiskState, account: int) -> dict[str, Any]:
    assets = read_assets(reference.directory, reference.asset_count)
    views = RiskViews(state, len(assets))
    owner = views.owner(account)
    if not owner.known:
        raise AccountNotFound(f"there is no account {account}")
    listed = {
        number: _traded(reference, state, number, assets)
        for number in range(INSTRUMENTS_MAX)
        if state.terms[number].was_listed
    }
    traded_now = [number for number in listed if state.terms[number].listed]
    limits = views.limits(account, traded_now, time.time_ns())
    return owner_document(account, None, owner) | {
        "balances": [balance_document(each, assets) for each in views.balances(account)],
        "positions": [
            position_document(each, listed, assets)
            for each in views.positions(account)
            if each.instrument in listed
        ],
        "limits": [limit_document(each, listed, assets) for each in limits],
    }


def _traded(reference: ReferenceData, state: RiskState, number: int, assets: list[Asset]) -> Traded:
    """An instrument by its name in the configuration, or by its number if it was listed later."""
    terms, entry = state.terms[number], reference.directory.instruments[number]
    steps = read_steps(entry)
    if steps is None:
        value = Fraction(terms.notional_multiplier, terms.notional_divisor)
        base, quote = assets[terms.base_asset], assets[terms.quote_asset]
        steps = derived_steps(terms.base_units_per_lot, value, base, quote)
    return Traded(
        symbol=entry.symbol.get() or f"#{number}",
        quote_asset_index=terms.quote_asset,
        prices=steps.prices,
        quantities=steps.quantities,
        notional_multiplier=terms.notional_multiplier,
        notional_divisor=terms.notional_divisor,
    )


# --- for people --------------------------------------------------------------------------------


def render(found: dict[str, Any]) -> RenderableType:
    """What `collect` found, for a terminal."""
    line = Text.assemble(
        ("account ", "dim"),
        (str(found["account"]), "bold"),
        f"  {found['kind']}  tier {found['tier']}  group {found['group']}",
    )
    tables = [
        _table(_BALANCES, found["balances"], left=1),
        _table(_POSITIONS, found["positions"], left=1),
        _limit_table(found["limits"]),
    ]
    return Group(line, *tables)


_BALANCES: Final = {
    "asset": "asset",
    "total": "total",
    "available": "available",
    "reserved": "reserved",
    "equity": "equity",
    "unrealised": "unrealised",
    "initial_margin": "initial",
    "maintenance_margin": "maintenance",
    "free_margin": "free",
    "margin_state": "margin",
}
_POSITIONS: Final = {
    "symbol": "position",
    "quantity": "quantity",
    "average_cost": "average cost",
    "mark": "mark",
    "quote": "in",
    "unrealised": "unrealised",
    "realised": "realised",
    "open_buy": "open buy",
    "open_sell": "open sell",
}
"""Members of the documents and the heads of their columns."""


def _table(columns: dict[str, str], documents: Iterable[dict[str, Any]], left: int) -> Table:
    """One row for each document; what it lacks is shown as missing."""
    table = plain_table(*columns.values(), left=left)
    for document in documents:
        values = (document.get(name) for name in columns)
        table.add_row(*(NONE if value is None else str(value) for value in values))
    return table


def _limit_table(limits: Iterable[dict[str, Any]]) -> Table:
    table = plain_table("scope", "of", "rule", "asset", "limit", "used", "percent", left=4)
    for limit in limits:
        of = limit.get(limit["scope"], NONE)
        about = limit.get("asset") or (limit.get("symbol") if limit["scope"] != "symbol" else None)
        percent = limit.get("percent_used", NONE)
        near = percent != NONE and int(percent.replace(".", "")) >= NEARLY_USED
        table.add_row(
            limit["scope"],
            str(of),
            limit["rule"],
            about or NONE,
            str(limit["limit"]),
            str(limit.get("used", NONE)),
            Text(percent, "yellow" if near else ""),
        )
    return table
