"""`okimi account` reads the shared memory of a venue, and is right about its names and amounts."""

import json

import orjson
import pytest
from click.testing import CliRunner

from engine.limits import ASSETS_MAX
from engine.messages import RejectReason
from engine.rules import FIRST_MONEY_RULE, RuleNumber
from tools import status as watching
from tools.account import AccountNotFound, collect, render
from tools.cli import main
from tools.status import VenueNotFound

ALICE = 1
USD, BTC = 0, 1
LATE = 5
"""An instrument that was listed by a command."""


@pytest.fixture
def held(venue):
    """Alice is long 0.5 BTC/USD and short in an instrument without a name."""
    state = venue.risk
    late, known = state.terms[LATE], state.terms[0]
    for name in ("base_asset", "quote_asset", "notional_multiplier", "notional_divisor"):
        setattr(late, name, getattr(known, name))
    late.base_units_per_lot = 1_000_000
    late.notional_multiplier = 1
    late.listed = late.was_listed = 1
    for index, instrument, net, cost in ((1, 0, 5_000, 20_000_000_000), (2, LATE, -3, -300)):
        position = state.positions.table[index]
        position.account, position.instrument, position.next = ALICE, instrument, index - 1
        position.net, position.cost, position.worth = net, cost, cost + 50
        position.mark = 4_000_100
    state.owners[ALICE].first_position = 2
    purse = state.purses[ALICE * ASSETS_MAX + USD]
    purse.reserved, purse.gross = 12_340_000, 9_000_000_000
    purse.rules[RuleNumber.GROSS_MAX_UNITS - FIRST_MONEY_RULE] = 10_000_000_000
    state.money_on = 1 << RuleNumber.GROSS_MAX_UNITS - FIRST_MONEY_RULE
    state.symbols[LATE].rules[RuleNumber.QTY_MAX_LOTS] = 70
    state.on = 1 << RuleNumber.QTY_MAX_LOTS
    state.reasons[RejectReason.PRICE_COLLAR] = 3
    return venue


def test_what_an_account_has(held, name):
    found = collect(name, ALICE)
    assert json.loads(orjson.dumps(found)) == found
    who = {key: found[key] for key in ("account", "kind", "tier", "group")}
    assert who == {"account": ALICE, "kind": "cash", "tier": 0, "group": ALICE}
    assert found["balances"][0] == {
        "asset": "USD",
        "total": "1000000.000000",
        "available": "999987.660000",
        "reserved": "12.340000",
        "loss_state": "good",
    }
    known, late = found["positions"]
    assert (known["symbol"], known["quantity"], known["mark"]) == ("BTC/USD", "0.5000", "40001.00")
    assert (known["average_cost"], known["unrealised"]) == ("40000.00", "0.000050")
    assert (late["symbol"], late["quantity"], late["average_cost"]) == ("#5", "-0.03", "0.0100")
    assert found["limits"] == [
        {
            "scope": "account",
            "account": ALICE,
            "rule": "gross_max_units",
            "asset": "USD",
            "limit": "10000.000000",
            "used": "9000.000000",
            "percent_used": "90.00",
        },
        {"scope": "symbol", "symbol": "#5", "rule": "qty_max_lots", "limit": "0.70"},
    ]


def test_the_terminal_shows_it_all(held, name, shown):
    text = shown(render(collect(name, ALICE)))
    for expected in ("cash", "999987.660000", "BTC/USD", "-0.03", "gross_max_units", "90.00", "#5"):
        assert expected in text


def test_the_command(held, name):
    result = CliRunner().invoke(main, ["account", "1", "--name", name, "--json"])
    assert result.exit_code == 0
    assert json.loads(result.output.splitlines()[-1])["account"] == ALICE
    result = CliRunner().invoke(main, ["account", "1", "--name", name])
    assert (result.exit_code, "account 1" in result.output) == (0, True)
    for wrong in (["account", "9", "--name", name], ["account", "1", "--name", "nowhere"]):
        assert CliRunner().invoke(main, wrong).exit_code == 1
    assert CliRunner().invoke(main, ["account", "4096", "--name", name]).exit_code == 2


def test_what_is_not_there(venue, name):
    with pytest.raises(AccountNotFound, match="no account 9"):
        collect(name, 9)
    with pytest.raises(VenueNotFound, match="nowhere"):
        collect("nowhere", ALICE)


def test_status_counts_refusals(held, name, shown):
    found = watching.collect(name, measured_seconds=0.01)
    assert found["refusals"] == {"price_collar": 3}
    assert "price_collar 3" in shown(watching.render(found))
