"""Ten decisions of every sort that the journal's tools show in a way of their own."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from engine.messages import (
    CommandFlag,
    CommandKind,
    Funds,
    Listing,
    OrderType,
    Phase,
    Side,
    TimeInForce,
)
from engine.reference import TERM_NUMBERS
from tools.cli import main
from tools.twin import Command

CONFIG: dict[str, Any] = {
    "assets": [{"name": "USD", "decimals": 2}, {"name": "BTC", "decimals": 8}],
    "instruments": [
        {
            "symbol": "BTC-USD",
            "base": "BTC",
            "quote": "USD",
            "tick": "0.50",
            "lot": "0.001",
            "qty_max": "1000",
            "notional_max": "100000000",
        }
    ],
    "accounts": [
        {"number": number, "name": f"a{number}", "balances": {"USD": "1000000", "BTC": "100"}}
        for number in (1, 2)
    ],
}


def new(account: int, side: Side, price_ticks: int, lots: int, name: bytes = b"") -> Command:
    return Command(
        0,
        int(CommandKind.NEW),
        order_type=int(OrderType.LIMIT),
        time_in_force=int(TimeInForce.GTC),
        account=account,
        side=int(side),
        price_ticks=price_ticks,
        qty_lots=lots,
        client_order_id=name,
    )


def listing(number: int, value: int, name: bytes = b"") -> Command:
    kind = int(CommandKind.INSTRUMENT)
    return Command(0, kind, instrument=1, order_id=number, qty_lots=value, client_order_id=name)


COMMANDS = [
    new(1, Side.SELL, 20_001, 5, b"first"),
    new(2, Side.BUY, 20_001, 2),
    new(2, Side.BUY, 19_000, 7)._replace(flags=int(CommandFlag.TERMS), display_lots=3),
    Command(0, int(CommandKind.CANCEL), account=1, order_id=1),
    Command(0, int(CommandKind.FUNDS), side=int(Funds.DEPOSIT), account=2, qty_lots=12_345),
    listing(TERM_NUMBERS["base_asset"], 1),
    listing(TERM_NUMBERS["base_units_per_lot"], 10**6),
    listing(Listing.LIST, int(Phase.CONTINUOUS), b"BTC-2"),
    new(1, Side.SELL, 7, 1)._replace(instrument=1),
    new(1, Side.BUY, 1, 2_000_000),
]
"""Ten decisions; the last one is refused."""


def okimi(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["journal", *map(str, words)])


def answer(*words: str | Path, code: int = 0) -> dict[str, Any]:
    """The last line with --json."""
    result = okimi(*words, "--json")
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found
