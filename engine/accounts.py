"""Accounts: who trades, and what each owns when the venue starts.

Made once from the configuration; risk fills its table of balances from them, gateways and tools
read names. Amounts are whole units of their asset.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, NamedTuple

from engine.instruments import Asset
from engine.limits import ACCOUNTS_MAX, BALANCE_MAX, TIERS_MAX
from engine.messages import AccountKind, Prevention
from engine.schema import Problems, choice, table, text, whole

ACCOUNT_NAME: Final = text(
    "[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}", "1 to 64 letters, digits, spaces or ._@-"
)

PREVENTIONS: Final = {
    "none": Prevention.NONE,
    "newest": Prevention.NEWEST,
    "oldest": Prevention.OLDEST,
    "both": Prevention.BOTH,
    "decrement": Prevention.DECREMENT,
}
"""Values of `self_trade`."""

ACCOUNT_KINDS: Final = {kind.name.lower(): kind for kind in AccountKind}
"""Values of `kind`."""


@dataclass(frozen=True, slots=True)
class AccountTable:
    """One [[accounts]] table of the configuration, as written."""

    number: Annotated[int, whole(0, ACCOUNTS_MAX - 1)]
    name: Annotated[str, ACCOUNT_NAME]
    balances: Annotated[Mapping[str, Any], table()] = field(default_factory=dict)
    group: Annotated[int | None, whole(0, ACCOUNTS_MAX - 1)] = None
    self_trade: Annotated[str, choice(*PREVENTIONS)] = "none"
    kind: Annotated[str, choice(*ACCOUNT_KINDS)] = "cash"
    tier: Annotated[int, whole(0, TIERS_MAX - 1)] = 0


class Balance(NamedTuple):
    """What an account owns of one asset at the start, in units of the asset."""

    asset_index: int
    units: int


@dataclass(frozen=True, slots=True)
class Account:
    """Who trades."""

    number: int
    "Number of the account in messages."
    name: str
    balances: tuple[Balance, ...]
    "At most one for each asset, without zeros, by asset index."
    group: int
    "Accounts with the same group do not trade with each other if one prevents it."
    prevention: int
    "Prevention of its orders that do not say."
    kind: int
    "AccountKind."
    tier: int
    "Which fees it pays, 0..TIERS_MAX-1."

    def render(self, assets: Sequence[Asset]) -> str:
        """One line, as it is printed at the start of the venue."""
        owned = (
            f"{assets[index].name}={assets[index].to_text(units)}" for index, units in self.balances
        )
        line = f"  account {self.number:<4}{self.name}: {' '.join(owned) or 'no balances'}"
        if self.group != self.number:
            line += f" group={self.group}"
        if self.prevention != Prevention.NONE:
            line += f" self_trade={Prevention(self.prevention).name.lower()}"
        if self.kind != AccountKind.CASH:
            line += f" kind={AccountKind(self.kind).name.lower()}"
        if self.tier:
            line += f" tier={self.tier}"
        return line


def make_account(
    written: AccountTable, path: str, assets: Mapping[str, Asset | None], problems: Problems
) -> Account:
    """The account of one checked table; what is wrong with its balances goes to `problems`.

    Balances in assets that are unknown or None, noted elsewhere, are left out.
    """
    balances = []
    for name, amount in written.balances.items():
        asset = assets.get(name)
        units = 0 if asset is None else _units(asset, amount, f"{path}.balances.{name}", problems)
        if asset is not None and units > 0:
            balances.append(Balance(asset.index, units))
    return Account(
        number=written.number,
        name=written.name,
        balances=tuple(sorted(balances)),
        group=written.number if written.group is None else written.group,
        prevention=PREVENTIONS[written.self_trade],
        kind=ACCOUNT_KINDS[written.kind],
        tier=written.tier,
    )


def _units(asset: Asset, amount: Any, path: str, problems: Problems) -> int:
    """A balance in units; 0 after noting that it is not one."""
    try:
        units = asset.to_units(amount)
    except ValueError as error:
        problems.say(path, str(error))
        return 0
    if not 0 <= units <= BALANCE_MAX:
        problems.note(path, f"0 to {asset.to_text(BALANCE_MAX)}", amount)
        return 0
    return units


def check_supply(
    accounts: Iterable[Account], assets: Iterable[Asset | None], problems: Problems
) -> None:
    """Note each asset of which all accounts together own more than one balance can hold.

    Trading only moves assets between accounts, so with a bounded supply no balance can overflow.
    """
    supply: dict[int, int] = {}
    for account in accounts:
        for index, units in account.balances:
            supply[index] = supply.get(index, 0) + units
    for asset in assets:
        if asset is not None and supply.get(asset.index, 0) > BALANCE_MAX:
            problems.say(
                "accounts",
                f"expected at most {asset.to_text(BALANCE_MAX)} {asset.name} in all balances "
                f"together, found {asset.to_text(supply[asset.index])}",
            )
