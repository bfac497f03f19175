"""Tables of a right configuration, and how tests make them wrong."""

import copy
import re
from typing import Any

import pytest
from hypothesis import strategies as st

from engine.config import Config, ConfigError

TABLES: dict[str, Any] = {
    "assets": [{"name": "USD", "decimals": 2}, {"name": "BTC", "decimals": 8}],
    "instruments": [
        {
            "symbol": "BTC/USD",
            "base": "BTC",
            "quote": "USD",
            "tick": "0.50",
            "lot": "0.02",
            "qty_max": "10",
            "notional_max": "250000.00",
        }
    ],
    "accounts": [{"number": 7, "name": "alice", "balances": {"USD": "1000.25"}}],
}

MISSING = object()

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def changed(path: str, value: object) -> dict[str, Any]:
    """TABLES with the key at `path` set to a value, or removed."""
    tables = copy.deepcopy(TABLES)
    *parents, last = (int(part) if part.isdigit() else part for part in re.findall(r"\w+", path))
    place: Any = tables
    for parent in parents:
        place = place[parent] if isinstance(parent, int) else place.setdefault(parent, {})
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return tables


def problems_of(tables: dict[str, Any]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        Config.build(**tables)
    return caught.value.problems
