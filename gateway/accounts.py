"""The accounts as the configuration and the events say: which there are, and in which state.

The configuration says who trades from the start. RULED events say which accounts are opened later,
of which kind, and whether risk calls, liquidates or stops one. `VenueView` applies them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from engine.config import Config
from engine.durability.history import Past
from engine.messages import AccountKind, Scope
from engine.rules import RuleNumber

STATES: Final = {
    RuleNumber.MARGIN_STATE: ("good", "called", "liquidating"),
    RuleNumber.LOSS_STATE: ("good", "stopped"),
}
"""What the values of the rules mean by which risk itself marks an account."""


class Known(NamedTuple):
    """An account that may trade."""

    number: int
    name: str | None
    "None for one that was opened by a command."
    kind: int
    "AccountKind."


class Accounts:
    """All accounts, by number."""

    def __init__(self, config: Config) -> None:
        """As the venue begins."""
        self._known = {
            each.number: Known(each.number, each.name, each.kind) for each in config.accounts
        }
        self._kinds: dict[int, int] = {}
        "Of accounts that are not open yet; they are cash accounts unless set."
        self._states: dict[tuple[RuleNumber, int, int], int] = {}
        "By rule, account and asset, but for those that are good."
        for rule in config.rules:
            if rule.scope == Scope.ACCOUNT:
                self._set(rule.number, rule.entity, rule.instrument, rule.value)

    def __iter__(self) -> Iterator[Known]:
        return iter(sorted(self._known.values()))

    def __contains__(self, number: int) -> bool:
        return number in self._known

    def __getitem__(self, number: int) -> Known:
        """The account; KeyError when there is none that is open."""
        return self._known[number]

    def kind_of(self, number: int) -> int:
        """The AccountKind of an account, open or not."""
        known = self._known.get(number)
        return self._kinds.get(number, int(AccountKind.CASH)) if known is None else known.kind

    def in_state(self, rule: RuleNumber, state: str) -> Iterable[tuple[int, int]]:
        """Account and asset of all that are in a state but "good" (see STATES)."""
        value = STATES[rule].index(state)
        found = (key for key, held in self._states.items() if held == value)
        return sorted((account, asset) for number, account, asset in found if number == rule)

    def ruled(self, event: Any) -> None:
        """RULED: a number of the rules was set."""
        if event.order_type == Scope.ACCOUNT:
            self._set(event.order_id, event.account, event.instrument, event.qty_lots)

    def take_over(self, pasts: Sequence[Past]) -> None:
        """Begin after events that have passed, by shard."""
        told = [each for past in pasts for each in past.accounts]
        for each in sorted(told, key=lambda each: each.kind_dseq):
            if each.kind is not None:
                self._kinds[each.number] = each.kind
        for each in told:
            if each.opened:
                self._set(RuleNumber.OPEN, each.number, 0, 1)
        for past in pasts:
            for (number, account, asset), value in past.states.items():
                self._set(number, account, asset, value)

    def _set(self, number: int, account: int, asset: int, value: int) -> None:
        if number == RuleNumber.KIND:
            self._kinds[account] = value
        elif number == RuleNumber.OPEN and value == 1 and account not in self._known:
            self._known[account] = Known(account, None, self.kind_of(account))
        elif number in STATES:
            key = RuleNumber(number), account, asset
            if value:
                self._states[key] = value
            else:
                self._states.pop(key, None)
