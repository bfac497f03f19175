"""What a venue says of its accounts, as the twin's risk stage is told it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from engine.limits import ASSETS_MAX, POSITIONS_MAX
from tools.twin.risk.rules import Setting


class Settings(NamedTuple):
    """What a venue's configuration says of its accounts, beyond what they own; -1: no account."""

    groups: Mapping[int, int] = MappingProxyType({})
    "Without an entry an account is a group of its own, by its number."
    preventions: Mapping[int, int] = MappingProxyType({})
    "Without an entry an account trades with its group."
    kinds: Mapping[int, int] = MappingProxyType({})
    "Without an entry an account is CASH."
    tiers: Mapping[int, int] = MappingProxyType({})
    "Without an entry an account is of tier 0."
    fee_account: int = -1
    insurance_account: int = -1
    day_start_ns: int = 0
    rules: Sequence[Setting] = ()
    "Set before the first command."
    risk_source: int = 1
    "Number of risk's own commands."
    positions_max: int = POSITIONS_MAX
    assets: int = ASSETS_MAX


PLAIN: Final = Settings()
